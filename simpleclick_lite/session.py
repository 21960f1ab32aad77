"""Cutting objects out of images by clicks, without any display: what the click tool stands on.

Explained in notebooks/13_click_tool.ipynb. Scripts and tests use the same object:

>>> session = ClickSession("photos/", predictor, out_dir="annotations")
>>> session.add_click(210, 140)
>>> session.add_click(300, 60, positive=False)
>>> session.finish()
>>> session.export()

With an `out_dir` every change is on disk before the method returns, and a session opened on that
folder goes on exactly there. Methods may be called from several threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .annotation import Annotation, CutObject
from .clicks import Click, check_clicks
from .errors import InputError
from .evaluation import intersection_over_union
from .export import FORMATS, AnnotatedImage, MaskedObject, export, file_from
from .export_index import read as read_index
from .overlay import View, blend, mark_clicks, paint
from .predictor import Prediction
from .session_objects import ObjectSession
from .simulation import robot_click
from .truths import choose_truth


class ClickSession(ObjectSession):
    """Objects cut out of one or several images, with undo, saved after every change.

    Args:
        images: what `open_pictures` takes: a path, a folder, an array, a data set, a list of these.
        predictor: answers the clicks; None loads the shipped weights when the first answer is due.
        out_dir: folder for clicks and masks; None keeps everything in memory.
        strict: for the view: raise an error again after showing it, instead of only showing it.

    Attributes:
        pictures: the images, decoded on demand.
        index: which of them the methods work on.

    Raises:
        InputError: no image that can be read, or a folder that cannot be used.
    """

    # -- answers

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

    # -- the truth, where it is known

    @property
    def has_truth(self) -> bool:
        """Whether any object of the image is known."""
        return bool(self._pages.truths(self.index))

    def truth(self, number: int | None = None) -> np.ndarray | None:
        """The known object that an object (None: the current one) is meant to be.

        Without an object in progress it is the first known object that none stands for yet.

        Returns:
            (H, W) int8, 1 object, 0 background, -1 ignored; None if it is not known.
        """
        with self._lock:
            chosen = self._truth_index(number)
            return None if chosen is None else self._pages.truths(self.index)[chosen]

    def _truth_index(self, number: int | None = None) -> int | None:
        truths, target = self._pages.truths(self.index), self._target(number)

        def meant(one: CutObject) -> int | None:
            """The robot knows what it clicked on; what a user wants is guessed."""
            known = self._meant.get((self.index, one.id, one.clicks[:1]))
            return choose_truth(truths, one, self.known_mask(one.id)) if known is None else known

        if target is not None and not target.empty:
            return meant(target)
        taken = {meant(one) for one in self.objects if not one.empty}
        return next((i for i in range(len(truths)) if i not in taken), None)

    def iou(self, number: int | None = None) -> float | None:
        """IoU of an object (None: the current one) with the truth; None if that is not known."""
        truth = self.truth(number)
        return None if truth is None else intersection_over_union(self.mask(number), truth)

    def robot_click(self, predict: bool = True) -> Click | None:
        """Let the robot of the benchmark click on the current object, or begin a new one.

        Returns:
            its click, or None where nothing is wrong any more.

        Raises:
            InputError: the truth is not known, or all known objects are cut out.
        """
        with self._lock:
            chosen, target = self._truth_index(), self.current
        if chosen is None:
            reason = "has no other known object" if self.has_truth else "has no known objects"
            raise InputError(f"{self.name} {reason}, so the robot cannot click; click yourself")
        truth, mask = self._pages.truths(self.index)[chosen], self.mask()
        if not ((mask != (truth == 1)) & (truth != -1)).any():
            return None
        click = robot_click(mask, truth, target.clicks if target else ())
        new = target is None or target.empty
        self.add_click(click.x, click.y, click.positive, predict=False)
        if new and self.current is not None:
            self._meant[self.index, self.current.id, self.current.clicks[:1]] = chosen
        if predict:
            self.answer()
        return click

    # -- out of the session

    def state(self) -> dict[str, Any]:
        """Everything about the images opened so far, as what `json.dump` takes."""
        with self._lock:
            images = [
                {"index": index, "name": page.picture.name, "fingerprint": page.fingerprint}
                | page.annotation.to_json()
                for index, page in sorted(self._pages.opened().items())
            ]
            return {"index": self.index, "images": images}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to what `state` said; images it does not mention stay as they are.

        Raises:
            InputError: it does not fit the images of this session.
        """
        with self._lock:
            for item in state["images"]:
                with self._pages.changing(item["index"]) as page:
                    if page.fingerprint != item["fingerprint"]:
                        raise InputError(
                            f"the state belongs to another image than {page.picture.name}"
                        )
                    page.annotation = Annotation.from_json(item)
            self.go_to(state["index"])

    def export(
        self, folder: str | Path | None = None, formats: Sequence[str] = FORMATS
    ) -> list[Path]:
        """Write every object of every image, unfinished ones included.

        Args:
            folder: None for `export` inside of `out_dir`.
            formats: some of `export.FORMATS`.

        Returns:
            the files written.

        Raises:
            InputError: nothing is cut out yet, no folder, or an unknown format.
        """
        if folder is None and self.folder is None:
            raise InputError("there is no out_dir; give the folder to export to")
        folder = Path(folder) if folder is not None else self.folder.path / "export"
        self._pages.look_again()
        indices = [i for i, count in enumerate(self.counts()) if count]
        if not indices and not read_index(folder):
            raise InputError("nothing is cut out yet; click on an object first")
        emptied = self.folder.emptied() if self.folder else []
        return export((self._annotated(i, folder) for i in indices), folder, formats, emptied)

    def _annotated(self, index: int, folder: Path) -> AnnotatedImage:
        page, image = self._pages.open(index), self._pages.image(index)
        targets = [*page.annotation.objects.values()]
        self._answer_all(index, targets)
        objects = [MaskedObject(o.id, o.name, self._mask_of(index, o)) for o in targets]
        path = page.picture.path
        file = None if path is None else file_from(folder, path)
        return AnnotatedImage(page.key, image, objects, file)
