"""Clicks and answers of a click session: when the network runs, and what is kept of it.

Explained in notebooks/13_click_tool.ipynb. The part of `ClickSession` between its objects and the
network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from .annotation import CutObject
from .clicks import check_clicks
from .overlay import View, blend, mark_clicks, paint
from .prediction import Prediction
from .session_objects import ObjectSession


class AnswerSession(ObjectSession):
    """Clicks and masks of a `ClickSession`; arguments and attributes are explained there."""

    def add_click(
        self, x: float, y: float, positive: bool = True, predict: bool = True
    ) -> Prediction | None:
        """Click on the current object, or begin a new one.

        Args:
            x: column in pixels of the image, (0, 0) the center of the top-left pixel.
            y: row.
            positive: True for the object, False for its surroundings.
            predict: False only notes the click; `step`, `answer` or `mask` then run the network.

        Returns:
            the answer to all clicks on this object, None without `predict`.

        Raises:
            InputError: a click outside of the image.
        """
        with self._pages.changing(self.index) as page:
            click = check_clicks([(x, y)], [int(positive)], page.size)[0]
            number = self._new_or_current(page)
            what = {"x": click.x, "y": click.y, "positive": click.positive}
            page.annotation.do({"do": "click", "object": number} | what)
        return self.answer() if predict else None

    def _target(self, number: int | None) -> CutObject | None:
        return self.current if number is None else self._page().find(number)

    def prepare(self) -> None:
        """Load the weights and give them the image now, so that the first answer comes sooner."""
        with self._lock:
            index, page = self.index, self._page()
        self._answers.prepare(page.fingerprint, self._loader(index))

    def step(self) -> tuple[Prediction, int] | None:
        """Run the network once, for the first click of the current object without an answer.

        Other objects are left to `step_others`. The mask is in the folder after `save`, or with the
        next change.

        Returns:
            the answer and how many clicks still have none, or None if there was nothing to do.
        """
        with self._lock:
            index, page, target = self.index, self._page(), self.current
            if target is None or self._pages.mask(page, target) is not None:
                return None
        answer, count = self._answers.step(page.fingerprint, self._loader(index), target)
        return answer, len(target.clicks) - count

    def step_others(self) -> bool:
        """Run the network once, for a click each of objects of the image that lack an answer.

        Several objects share the pass. The masks are in the folder after `save`.

        Returns:
            False if there was nothing to do.
        """
        with self._lock:
            index, page = self.index, self._page()
            targets = [o for o in self.objects if o != self.current]
            due = [o for o in targets if not self._pages.knows(page, o)]
        ran = self._answers.step_together(page.fingerprint, self._loader(index), due)
        for target in due:
            self._pages.knows(page, target)  # remembers it when the answer is no longer kept
        return ran

    def save(self) -> None:
        """Write masks that are known but not in the folder yet; clicks always are."""
        with self._pages.changing(self.index):
            pass

    def answer(self, number: int | None = None) -> Prediction | None:
        """What the network says to all clicks of an object; it runs where that is not known yet.

        Args:
            number: an object; None for the current one.

        Returns:
            None for an object without clicks.
        """
        with self._lock:
            index, page, target = self.index, self._page(), self._target(number)
        if target is None or not target.clicks:
            return None
        answer = self._answers.answer(page.fingerprint, self._loader(index), target)
        if page.saved.get(target.id) != target.digest() and self.folder:
            with self._pages.changing(index):
                pass  # saves the mask that is now known
        return answer

    def latest(self, number: int | None = None) -> tuple[Prediction | None, int]:
        """The newest answer that is there without running the network, and to how many clicks."""
        with self._lock:
            page, target = self._page(), self._target(number)
        return (None, 0) if target is None else self._answers.latest(page.fingerprint, target)

    def known_mask(self, number: int | None = None) -> np.ndarray | None:
        """The mask, (H, W) bool, or None where the network would have to run for it."""
        with self._lock:
            page, target = self._page(), self._target(number)
            return np.zeros(page.size, bool) if target is None else self._pages.mask(page, target)

    def mask(self, number: int | None = None) -> np.ndarray:
        """The mask of an object (None: the current one), (H, W) bool, by the network if needed."""
        mask = self.known_mask(number)
        return self.answer(number).mask if mask is None else mask

    def masks(self) -> dict[int, np.ndarray]:
        """The mask of every object of the image, id -> (H, W) bool, by the network if needed.

        Objects whose clicks have no answer yet share the passes of the network.
        """
        return dict(self._each_mask())

    def _each_mask(self) -> Iterator[tuple[int, np.ndarray]]:
        """As `masks`, one at a time: all of a large image take more memory than their figure."""
        with self._lock:
            index, page, targets = self.index, self._page(), self.objects
        self._answer_all(index, targets)
        unsaved = (not o.empty and page.saved.get(o.id) != o.digest() for o in targets)
        if self.folder and any(unsaved):
            with self._pages.changing(index):
                pass  # saves the masks that are now known
        for target in targets:
            yield target.id, self._mask_of(index, target)

    def _answer_all(self, index: int, targets: Sequence[CutObject]) -> None:
        """Let the network run for the masks that are not known."""
        page = self._pages.open(index)
        due = [target for target in targets if not self._pages.knows(page, target)]
        together = self._answers.answer_together(page.fingerprint, self._loader(index), due)
        for target, _ in together:
            self._pages.knows(page, target)  # remembers it when the answer is no longer kept

    def _mask_of(self, index: int, target: CutObject) -> np.ndarray:
        page = self._pages.open(index)
        mask = self._pages.mask(page, target)
        if mask is None:  # its file went meanwhile
            mask = self._answers.answer(page.fingerprint, self._loader(index), target).mask
        return mask

    def _loader(self, index: int) -> Callable[[], np.ndarray]:
        return lambda: self._pages.image(index)

    def probability(self, number: int | None = None) -> np.ndarray:
        """The probability of an object, (H, W) float32; the network runs if needed."""
        answer = self.answer(number)
        return self.mask(number).astype(np.float32) if answer is None else answer.probability

    def picture(self, width: int = 800, mode: str = "overlay") -> np.ndarray:
        """The image with masks and clicks as the click tool shows it, where no widget can run.

        Args:
            width: largest width in pixels.
            mode: one of `overlay.MODES`.

        Returns:
            (h, w, 3) uint8 RGB.
        """
        view = View.whole(self.size, (width, round(width * 0.75)))
        current = self.current
        small = {number: view.show(mask) for number, mask in self._each_mask()}
        objects = [o for o in self.objects if o.id in small]
        masks = [(small[o.id], o.color, o == current) for o in objects]
        seen = None
        if mode == "probability" and current is not None:
            seen = view.show(self.probability(), smooth=True)
        layer = paint((view.height, view.width), masks, mode, probability=seen)
        shown = blend(view.show(self.image, smooth=True), layer)
        mark_clicks(shown, view, () if current is None else current.clicks)
        return shown
