"""What the buttons of the click tool do, and its keys with them.

Explained in notebooks/13_click_tool.ipynb. A part of `ClickTool` (widget.py).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from .errors import InputError
from .overlay import MODES, View
from .session import ClickSession
from .widget_canvas import PhotoCanvas
from .widget_screen import Screen
from .widget_worker import Worker


def guarded(method: Callable) -> Callable:
    """Show an error in the tool, where the user looks; raise it again only in strict mode."""

    @functools.wraps(method)
    def safe(self: Actions, *args: Any, **more: Any) -> None:
        try:
            with self._hands:
                method(self, *args, **more)
        except Exception as error:
            self._screen.fail(error)
            if self.session.strict:
                raise

    return safe


class Actions:
    """The buttons of a `ClickTool`; its attributes are explained there."""

    session: ClickSession
    parts: SimpleNamespace
    _hands: threading.RLock
    _photo: PhotoCanvas
    _screen: Screen
    _worker: Worker

    @guarded
    def undo(self) -> None:
        """Take the last change of this image back."""
        self._changed("" if self.session.undo() else "nothing to undo")

    @guarded
    def redo(self) -> None:
        """Do it again."""
        self._changed("" if self.session.redo() else "nothing to redo")

    @guarded
    def reset(self) -> None:
        """Take all clicks of the current object back."""
        self._changed("" if self.session.clear() else "nothing to reset")

    @guarded
    def finish(self) -> None:
        """The next click begins a new object."""
        done = self.session.finish()
        self._changed("object finished, the next click begins a new one" if done else "")

    @guarded
    def delete(self) -> None:
        """Remove the current object."""
        self._changed("" if self.session.delete() else "choose an object to delete")

    @guarded
    def new_object(self) -> None:
        """The next click begins a new object; the present one stays unfinished."""
        self.session.select(None)
        self._changed("the next click begins a new object")

    @guarded
    def select(self, number: int) -> None:
        """Go on with an object."""
        self.session.select(number)
        self._changed()

    @guarded
    def robot(self) -> None:
        """Let the benchmark's robot click."""
        click = self.session.robot_click(predict=False)
        self._changed("" if click else "nothing is wrong any more")

    @guarded
    def save(self) -> None:
        """Write masks and all export formats."""
        self._changed("saving …")
        files = self.session.export()
        self._changed(f"saved {len(files)} files in {self.session.folder.path / 'export'}")

    @guarded
    def next_image(self) -> None:
        """Show the next image that can be read."""
        self._show_image("; ".join(self.session.move(1)))

    @guarded
    def previous_image(self) -> None:
        """Show the previous image that can be read."""
        self._show_image("; ".join(self.session.move(-1)))

    def next_view(self) -> None:
        """The next way to show masks."""
        position = MODES.index(self.parts.view.value)
        self.parts.view.value = MODES[(position + 1) % len(MODES)]

    def toggle_network(self) -> None:
        """Show or hide what the network sees."""
        self.parts.network.value = not self.parts.network.value

    def toggle_help(self) -> None:
        """Show or hide the keys."""
        self.parts.help.value = not self.parts.help.value

    @guarded
    def zoom_in(self) -> None:
        """Zoom in around the middle, or around the cross hair."""
        self._screen.look(self._photo.view.zoomed(1.5, *(self._screen.cursor or ())))

    @guarded
    def zoom_out(self) -> None:
        """Zoom out."""
        self._screen.look(self._photo.view.zoomed(1 / 1.5, *(self._screen.cursor or ())))

    @guarded
    def zoom_out_fully(self) -> None:
        """Show the whole image."""
        self._screen.look(View.whole(self.session.size, self._photo.most))

    @guarded
    def zoom_to_object(self) -> None:
        """Zoom to the current object, or to all if none is current."""
        current = self.session.current
        masks = [self.session.mask(current.id)] if current else [*self.session.masks().values()]
        rows, columns = np.nonzero(np.any(masks, axis=0)) if masks else ((), ())
        if not len(rows):
            raise InputError("there is no object to zoom to; click on one first")
        box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        self._screen.look(self._photo.view.around(tuple(int(v) for v in box)))

    def _show_image(self, message: str = "") -> None:
        self._screen.show_image()
        self._changed(message)

    def _changed(self, message: str = "") -> None:
        self._screen.say(message)
        self._worker.kick()  # first, so that the network runs while the page is brought up to date
        self._screen.refresh()
