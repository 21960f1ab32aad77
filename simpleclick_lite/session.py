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

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .annotation import Annotation, CutObject
from .clicks import Click
from .errors import InputError
from .evaluation import intersection_over_union
from .export import FORMATS, AnnotatedImage, MaskedObject, export, file_from
from .export_index import read as read_index
from .session_answers import AnswerSession
from .simulation import robot_click
from .truths import choose_truth


class ClickSession(AnswerSession):
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
