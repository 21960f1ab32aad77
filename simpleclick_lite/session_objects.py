"""The objects of a click session's image, and what is done to them: names, colors, undo, redo.

Explained in notebooks/13_click_tool.ipynb. The middle of `ClickSession`: what needs no network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .annotation import CutObject
from .errors import InputError
from .pages import Page
from .rle import encode_rle
from .session_images import ImageSession


class ObjectSession(ImageSession):
    """The objects of a `ClickSession`; arguments and attributes are explained there."""

    @property
    def objects(self) -> list[CutObject]:
        """The objects of the image, by id."""
        return [*self._page().annotation.objects.values()]

    @property
    def current(self) -> CutObject | None:
        """The object that the next click goes to; None: the next click begins a new one."""
        with self._lock:
            annotation = self._page().annotation
            return annotation.objects.get(annotation.current)

    def start_from(self, mask: np.ndarray) -> None:
        """Begin the current object, or a new one, from a (H, W) mask that clicks then correct.

        Raises:
            InputError: a mask of another size than the image.
        """
        mask = np.asarray(mask)
        with self._pages.changing(self.index) as page:
            if mask.shape != page.size:
                raise InputError(f"the mask has shape {mask.shape}, the image is {page.size}")
            number, start = self._new_or_current(page), encode_rle(mask > 0)
            page.annotation.do({"do": "mask", "object": number, "start": start})

    @staticmethod
    def _new_or_current(page: Page) -> int:
        annotation = page.annotation
        return annotation.next_id() if annotation.current is None else annotation.current

    def undo(self) -> bool:
        """Take the last change of this image back; False when there is none."""
        with self._pages.changing(self.index) as page:
            return page.annotation.undo()

    def redo(self) -> bool:
        """Do again what was taken back last; False when there is nothing."""
        with self._pages.changing(self.index) as page:
            return page.annotation.redo()

    def clear(self) -> bool:
        """Take all clicks and the imported mask from the current object; False without any."""
        return self._do("clear", lambda target: not target.empty)

    def finish(self) -> bool:
        """The current object is done, the next click begins a new one; False without an object."""
        return self._do("finish", lambda target: not target.empty)

    def delete(self, number: int | None = None) -> bool:
        """Remove an object (None: the current one); False without one."""
        return self._do("delete", lambda target: True, number)

    def rename(self, name: str, number: int | None = None) -> bool:
        """Say what an object (None: the current one) is; False if nothing changes."""
        return self._do("name", lambda target: target.name != name, number, name=name)

    def recolor(self, color: str, number: int | None = None) -> bool:
        """Show an object (None: the current one) in "#rrggbb"; False if nothing changes."""
        return self._do("color", lambda target: target.color != color, number, color=color)

    def _do(
        self,
        what: str,
        useful: Callable[[CutObject], bool],
        number: int | None = None,
        **more: Any,
    ) -> bool:
        with self._pages.changing(self.index) as page:
            number = page.annotation.current if number is None else number
            if number is None or not useful(page.find(number)):
                return False
            page.annotation.do({"do": what, "object": number} | more)
            return True

    def select(self, number: int | None) -> None:
        """Choose the object that the next click goes to; None begins a new one.

        Raises:
            InputError: there is no such object.
        """
        with self._pages.changing(self.index) as page:
            if number is not None:
                page.find(number)
            page.annotation.current = number
