"""What the click tool shows of its session: photograph, masks, clicks, lists and the status line.

Explained in notebooks/13_click_tool.ipynb. `Screen.refresh` may be called at any time from any
thread; it sends only what has changed.
"""

from __future__ import annotations

import html
import threading
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import ipywidgets as w
import numpy as np

from .annotation import CutObject
from .errors import InputError
from .overlay import View, network_picture, paint
from .session import ClickSession
from .widget_canvas import PhotoCanvas, png
from .widget_parts import error_text


class Screen:
    """Keeps the page in step with a session.

    Args:
        session: what is shown.
        photo: the canvas.
        parts: the controls of `widget_parts.make_parts`.

    Attributes:
        cursor: the keyboard's cross hair in canvas pixels, None until it is used.
        updating: whether values of controls are being set by the tool and not by the user.
        on_select: called with the id of an object whose button is pressed.
    """

    def __init__(self, session: ClickSession, photo: PhotoCanvas, parts: SimpleNamespace):
        self.session, self.photo, self.parts = session, photo, parts
        self._message = ""
        self.cursor: tuple[float, float] | None = None
        self.updating = False
        self.on_select: Callable[[int], None] = lambda number: None
        self._lock = threading.RLock()
        self._painted: Any = None  # what is on the middle layer
        self._marked: Any = None  # what is on the upper one
        self._masks: dict[int, tuple[Any, np.ndarray]] = {}  # object -> what it shows, at the view
        self._network: Any = object()  # shown last; not None, which is an answer as well
        self._error = ""

    # -- the photograph

    def show_image(self) -> None:
        """Show the session's present image from scratch."""
        with self._lock:
            self.cursor = None
            self._masks.clear()
            self.photo.set_image(self.session.image)
            self.redraw()

    def redraw(self) -> None:
        """Draw everything again: a new or reloaded page has a blank canvas."""
        with self._lock:
            self._painted = self._marked = None
            self.photo.store()
            self.photo.draw_photo()
            self.refresh()

    def look(self, view: View) -> None:
        """Show another part of the photograph."""
        with self._lock:
            if view != self.photo.view:
                self.photo.view = view
                self.photo.draw_photo()
            self.refresh()

    def move_cursor(self, dx: float, dy: float) -> None:
        """Move the cross hair; at the edge of the canvas the photograph moves instead."""
        view = self.photo.view
        x, y = self.cursor or (view.width / 2, view.height / 2)
        wanted = x + dx, y + dy
        self.cursor = (
            min(max(wanted[0], 0), view.width - 1),
            min(max(wanted[1], 0), view.height - 1),
        )
        self.look(view.moved(self.cursor[0] - wanted[0], self.cursor[1] - wanted[1]))

    # -- everything else

    def refresh(self) -> None:
        """Bring the page up to date."""
        with self._lock:
            objects, current = self.session.objects, self.session.current
            answer, answered = self.session.latest()
            waiting = 0
            if current is not None and self.session.known_mask(current.id) is None:
                waiting = len(current.clicks) - answered
            self._draw(objects, current, answer, waiting)
            self.updating = True
            try:
                self._update_lists(objects, current)
                self._update_network(answer)
            finally:
                self.updating = False
            self.parts.status.value = self._error or self._status(current, answer, waiting)

    def say(self, message: str) -> None:
        """Add a message to the status line from the next `refresh` on; an error there is gone."""
        with self._lock:
            self._message, self._error = message, ""

    def fail(self, error: Exception) -> None:
        """Show an error in the status line: a user's mistake as its sentence alone."""
        trace = ""
        if not isinstance(error, InputError):
            trace = "".join(traceback.format_exception(error))
        with self._lock:
            self._error = error_text(error, trace)
            self.parts.status.value = self._error

    def _draw(
        self, objects: list[CutObject], current: CutObject | None, answer: Any, waiting: int
    ) -> None:
        view, mode = self.photo.view, self.parts.view.value
        shown = [self._visible_mask(target, view, target is current) for target in objects]
        probability = getattr(answer, "probability", None) if mode == "probability" else None
        number = None if current is None else current.id
        keys = [(o.id, o.color, key) for o, (key, _) in zip(objects, shown, strict=True)]
        painted = (view, mode, self.parts.opacity.value, number, keys, id(probability))
        if painted != self._painted:
            masks = [
                (mask, o.color, o is current)
                for o, (_, mask) in zip(objects, shown, strict=True)
                if mask is not None
            ]
            seen = None if probability is None else view.show(probability, smooth=True)
            layer = paint((view.height, view.width), masks, mode, self.parts.opacity.value, seen)
            self.photo.draw_layer(layer)
            self._painted = painted
        clicks = () if current is None else current.clicks
        crop = getattr(answer, "crop", None) if self.parts.network.value else None
        marked = (view, clicks, waiting, crop, self.cursor)
        if marked != self._marked:
            self.photo.draw_clicks(clicks, len(clicks) - waiting, crop, self.cursor)
            self._marked = marked

    def _visible_mask(
        self, target: CutObject, view: View, current: bool
    ) -> tuple[Any, np.ndarray | None]:
        """An object's newest mask at the canvas' resolution, and what tells it from another."""
        old_key, old = self._masks.get(target.id, (None, None))
        key = (view, target.digest())
        if key == old_key:
            return key, old
        mask = self.session.known_mask(target.id)
        if mask is None:  # the network is still at it: show what it said to fewer clicks
            answer, answered = self.session.latest(target.id)
            if answer is None:
                return old_key, old
            key, mask = (view, target.digest(answered)), answer.mask
            if key == old_key:
                return key, old
        self._masks[target.id] = key, view.show(mask)
        return self._masks[target.id]

    def _update_lists(self, objects: list[CutObject], current: CutObject | None) -> None:
        p, session = self.parts, self.session
        counts = session.counts()
        options = [
            (f"{i + 1} {picture.name}" + (f" ({count})" if count else ""), i)
            for i, (picture, count) in enumerate(zip(session.pictures, counts, strict=True))
        ]
        if tuple(p.images.options) != tuple(options):
            p.images.options = options
        p.images.value = session.index
        if len(p.objects.children) != len(objects):
            p.objects.children = [self._object_button() for _ in objects]
        for item, target in zip(p.objects.children, objects, strict=True):
            count = len(target.clicks)
            text = f"{target.id} · {target.name} · {count} click{'s' * (count != 1)}"
            mark = "▸ " if target is current else "✓ " if target.finished else "\u2007 "
            item.description = mark + text
            item.style.button_color = target.color
            item.number = target.id
        none = current is None
        p.name.value = "" if none else current.name
        p.color.value = "#c8c8c8" if none else current.color
        p.name.disabled = p.color.disabled = none
        p.robot.layout.display = None if session.has_truth else "none"
        p.help_text.layout.display = None if p.help.value else "none"

    def _object_button(self) -> w.Button:
        item = w.Button(layout=w.Layout(width="auto", min_height="28px"))
        item.add_class("click-object")
        item.number = 0
        item.on_click(lambda item: self.on_select(item.number))
        return item

    def _update_network(self, answer: Any) -> None:
        p = self.parts
        p.network_box.layout.display = None if p.network.value else "none"
        if not p.network.value or self._network is answer:
            return
        self._network = answer
        if answer is None:
            p.network_text.value = "Click on an object, then this shows what the network was given."
        elif not hasattr(answer, "net_image"):
            p.network_text.value = "This predictor does not tell what its network sees."
        else:
            x0, y0, x1, y1 = answer.crop
            clicks = answer.click_map()
            p.network_text.value = (
                f"The crop of the photograph (dashed box, {x1 - x0} × {y1 - y0} pixels, "
                f"seen as {clicks.shape[2]} × {clicks.shape[1]}) · the mask after the click before "
                "· the clicks as disks of two channels, positive green, negative orange"
            )
            image = answer.net_image[0].permute(1, 2, 0).cpu().numpy()
            p.network_image.value = png(network_picture(image, clicks))
        shown = hasattr(answer, "net_image")
        p.network_image.layout.display = None if shown else "none"

    def _status(self, current: CutObject | None, answer: Any, waiting: int) -> str:
        session = self.session
        parts = [f"<b>{html.escape(session.name)}</b>"]
        if len(session.pictures) > 1:
            parts[0] += f" ({session.index + 1} of {len(session.pictures)})"
        if current is None:
            parts.append("click on an object")
        else:
            count = len(current.clicks)
            parts.append(f"object {current.id}: {count} click{'s' * (count != 1)}")
        if waiting:
            more = f", {waiting - 1} more waiting" if waiting > 1 else ""
            parts.append(f"<b>the network is running{more} …</b>")
        elif current is not None and not current.empty:
            if answer is not None and hasattr(answer, "milliseconds"):
                parts.append(f"{answer.milliseconds:.0f} ms")
            iou = session.iou() if session.has_truth else None
            if iou is not None:
                parts.append(f"IoU {iou:.3f}")
            if session.folder:
                parts.append(f"kept in {html.escape(str(session.folder.path))}")
        if self._message:
            parts.append(f"<i>{html.escape(self._message)}</i>")
        return f'<span role="status">{" · ".join(parts)}</span>'
