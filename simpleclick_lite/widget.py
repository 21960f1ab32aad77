"""The click tool: cut objects out of photographs with a few clicks, inside a notebook.

Explained in notebooks/13_click_tool.ipynb. What the buttons do is in widget_actions.py.

>>> ClickTool("photos/", out_dir="annotations")

The tool only shows a `ClickSession` and passes on what the user does; whatever it can do, a script
can do with `tool.session`. Callbacks may come from several threads, hence the locks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as w

from .errors import InputError
from .predictor import Predictor
from .session import ClickSession
from .session_images import decode, read_object
from .widget_actions import Actions, guarded
from .widget_canvas import PhotoCanvas
from .widget_events import KEYS, connect
from .widget_files import Files
from .widget_parts import ADD, MOVE, REMOVE, arrange, make_parts
from .widget_screen import Screen
from .widget_worker import Worker


def enable_colab() -> bool:
    """Switch on Google Colab's manager for third-party widgets; elsewhere nothing happens.

    Returns:
        whether this is Colab.
    """
    try:
        from google.colab import output
    except ImportError:
        return False
    output.enable_custom_widget_manager()
    return True


class ClickTool(Actions, w.VBox):
    """A photograph to click on, with everything around it.

    Args:
        images: a path, a folder, an array, a data set, a list of these, or a `ClickSession`.
        predictor: answers the clicks; None loads the shipped weights.
        out_dir: every click is saved here at once, and found again by the next tool; None: nowhere.
        width: largest width of the photograph on the page in pixels.
        strict: errors in callbacks are raised again after they were shown (for tests).

    Attributes:
        session: the objects, clicks and masks.
        canvas: the `MultiCanvas`.
        connection: where the canvas' events come from.

    Raises:
        InputError: no image that can be read, or a folder that cannot be used.
    """

    def __init__(
        self,
        images: Any,
        predictor: Predictor | None = None,
        out_dir: str | Path | None = "annotations",
        width: int = 800,
        strict: bool = False,
    ):
        enable_colab()
        given = isinstance(images, ClickSession)
        self.session = images if given else ClickSession(images, predictor, out_dir, strict)
        self._hands = threading.RLock()  # one action of the user at a time
        self._photo = PhotoCanvas((width, round(width * 0.75)))
        self.canvas = self._photo.widget
        self.parts = make_parts()
        self._screen = Screen(self.session, self._photo, self.parts)
        self._dragged: tuple[float, float] | None = None
        self._prepared: int | None = None
        self._worker = Worker(self._work, self._screen.fail, background=not self.session.strict)
        self.connection = connect(self.canvas, self)
        helpers = [] if self.connection.script is None else [self.connection.script]
        super().__init__(arrange(self.parts, self.canvas, helpers))
        self.add_class("click-tool")
        self._connect_parts()
        self._show_image()

    def __repr__(self) -> str:
        count, folder = len(self.session.pictures), self.session.folder
        kept = "nothing is kept" if folder is None else f"kept in {folder.path}"
        return f"<ClickTool on {count} image{'s' * (count != 1)}, {kept}>"

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until all clicks are answered and shown; False if that takes longer."""
        return self._worker.wait(seconds)

    # -- what the mouse, a finger or a key does; places are canvas pixels

    @guarded
    def press(self, x: float, y: float, button: int = 0, shift: bool = False) -> None:
        """Button 0 clicks as the switch says, with Shift or button 2 it removes, 1 drags."""
        if button == 1 or self.parts.sign.value == MOVE:
            self._dragged = (x, y)
            return
        negative = button == 2 or shift or self.parts.sign.value == REMOVE
        self.session.add_click(*self._photo.view.to_image(x, y), not negative, predict=False)
        self._changed()

    @guarded
    def drag(self, x: float, y: float) -> None:
        """Move the photograph while it is held."""
        if self._dragged is not None:
            dx, dy = x - self._dragged[0], y - self._dragged[1]
            self._dragged = (x, y)
            self._screen.look(self._photo.view.moved(dx, dy))

    @guarded
    def release(self) -> None:
        """Let the photograph go."""
        self._dragged = None

    @guarded
    def move(self, scale: float, x: float, y: float) -> None:
        """Zoom and push: what was at p is then at scale * p + (x, y), as far as the edges allow."""
        view = self._photo.view
        if abs(scale - 1) < 1e-6:
            self._screen.look(view.moved(x, y))
        else:  # the place that stays where it is, so that a limit of the zoom moves nothing
            self._screen.look(view.zoomed(scale, x / (1 - scale), y / (1 - scale)))

    def key(self, name: str, shift: bool = False) -> None:
        """Do what a key stands for, see `widget_events.KEYS`."""
        action = KEYS.get(name)
        step = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}.get(action)
        if step is not None:
            self.move_cursor(step[0] * (1 if shift else 10), step[1] * (1 if shift else 10))
        elif action is not None:
            getattr(self, action)()

    @guarded
    def move_cursor(self, dx: float, dy: float) -> None:
        """Move the keyboard's cross hair; at the edge the photograph moves."""
        self._screen.move_cursor(dx, dy)

    def click(self) -> None:
        """Click where the keyboard's cross hair is."""
        self.move_cursor(0, 0)
        self.press(*self._screen.cursor)

    def switch_sign(self) -> None:
        """Between adding and removing."""
        self.parts.sign.value = ADD if self.parts.sign.value == REMOVE else REMOVE

    # -- what is chosen, named or brought along

    @guarded
    def _choose_image(self, change: dict[str, Any]) -> None:
        if change["new"] is not None and change["new"] != self.session.index:
            self.session.go_to(change["new"])
            self._show_image()

    @guarded
    def _add_images(self, files: Files) -> None:
        troubles = []
        for name, data in files:
            try:
                self.session.add_image(name, data)
            except InputError as error:  # the other files are still wanted
                troubles.append(str(error))
        if len(troubles) < len(files):
            self._show_image()
        if troubles:
            raise InputError("; ".join(troubles))

    @guarded
    def _import_mask(self, files: Files) -> None:
        for name, data in files:
            self.session.start_from(decode(name, data, read_object))
            self._changed(f"object starts from {name}")

    @guarded
    def _rename(self, change: dict[str, Any]) -> None:
        if change["new"].strip():
            self.session.rename(change["new"])
            self._screen.refresh()

    @guarded
    def _recolor(self, change: dict[str, Any]) -> None:
        self.session.recolor(change["new"])
        self._screen.refresh()

    # -- between the user, the session and the network

    def _connect_parts(self) -> None:
        p = self.parts
        for name in ("undo", "redo", "reset", "finish", "save", "robot", "delete", "new_object"):
            getattr(p, name).on_click(lambda _, name=name: getattr(self, name)())
        for name in ("zoom_in", "zoom_out", "zoom_out_fully", "zoom_to_object"):
            getattr(p, name).on_click(lambda _, name=name: getattr(self, name)())
        for name in ("next_image", "previous_image"):
            getattr(p, name).on_click(lambda _, name=name: getattr(self, name)())
        for part, action in (
            (p.images, self._choose_image),
            (p.name, self._rename),
            (p.color, self._recolor),
        ):
            part.observe(self._by_the_user(action), "value")
        p.sign.observe(self._show_sign, "value")
        for part in (p.view, p.opacity, p.network, p.help):
            part.observe(self._by_the_user(lambda _: self._screen.refresh()), "value")
        p.upload.on_files, p.import_mask.on_files = self._add_images, self._import_mask
        self._screen.on_select = self.select
        self._photo.on_ready(self._screen.redraw)

    def _show_sign(self, change: dict[str, Any]) -> None:
        """The page takes its cursor, and what a drag does, from this class."""
        (self.add_class if change["new"] == MOVE else self.remove_class)("click-moving")

    def _by_the_user(self, action: Callable) -> Callable[[dict[str, Any]], None]:
        """The action, but not for changes that the tool makes itself to show what is the case."""

        def hear(change: dict[str, Any]) -> None:
            if not self._screen.updating:
                action(change)

        return hear

    def _work(self) -> bool:
        """One run of the network, if one is due; done beside the notebook by the worker."""
        if self._prepared != self.session.index:
            self._prepared = self.session.index
            self.session.prepare()
        if self.session.step() is None and not self.session.step_others():
            return False
        self._screen.refresh()
        self.session.save()  # after the mask is on the screen
        return True
