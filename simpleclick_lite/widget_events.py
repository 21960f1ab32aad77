"""Mouse, touch and keyboard of the click tool, as a few plain calls.

Explained in notebooks/13_click_tool.ipynb. Which button was pressed only ipyevents knows, so it is
the one source of presses where it is installed, and ipycanvas otherwise. Keys are caught by a few
lines of JavaScript through anywidget: only those that mean something here, so that the browser's
own shortcuts work, and those that mean nothing do not reach JupyterLab's command mode. Without
anywidget the keys come from the canvas while it has the focus.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ipycanvas import MultiCanvas
from ipywidgets import Widget

# key -> name of the action; `ClickTool` has a method for each
KEYS = {
    " ": "click",
    "x": "switch_sign",
    "z": "undo",
    "y": "redo",
    "Backspace": "reset",
    "f": "finish",
    "Delete": "delete",
    "n": "next_image",
    "p": "previous_image",
    "s": "save",
    "v": "next_view",
    "i": "toggle_network",
    "g": "robot",
    "o": "zoom_to_object",
    "0": "zoom_out_fully",
    "+": "zoom_in",
    "=": "zoom_in",
    "-": "zoom_out",
    "ArrowLeft": "left",
    "ArrowRight": "right",
    "ArrowUp": "up",
    "ArrowDown": "down",
    "?": "toggle_help",
    "Undo": "undo",  # some keyboards have these two; elsewhere they stand for Ctrl+Z and Ctrl+Y
    "Redo": "redo",
}
TAP_SLACK = 12  # a finger that moves so many canvas pixels does not click


class Hands(Protocol):
    """What the events are turned into; all places are canvas pixels."""

    def press(self, x: float, y: float, button: int = 0, shift: bool = False) -> None: ...

    def drag(self, x: float, y: float) -> None: ...

    def release(self) -> None: ...

    def wheel(self, x: float | None, y: float | None, delta: float) -> None: ...

    def pinch(self, factor: float, x: float, y: float, dx: float, dy: float) -> None: ...

    def key(self, name: str, shift: bool = False) -> None: ...


@dataclass(frozen=True)
class Connection:
    """A canvas whose events go somewhere.

    Attributes:
        mouse: what reports presses: ipyevents' `Event`, or the canvas itself.
        keys: what reports keys and must be shown for that (it has no size), or None.
        disconnect: ends it.
    """

    mouse: Widget
    keys: Widget | None
    disconnect: Callable[[], None]


def connect(canvas: MultiCanvas, hands: Hands) -> Connection:
    """Send the events of a canvas to `hands`."""
    touch = _Touch(hands)
    handlers = [
        (canvas.on_touch_start, touch.start),
        (canvas.on_touch_move, touch.move),
        (canvas.on_touch_end, touch.end),
        (canvas.on_touch_cancel, touch.cancel),
        (canvas.on_mouse_move, hands.drag),
    ]
    mouse = _mouse_events(canvas)
    if mouse is not None:
        handlers.append((mouse.on_dom_event, partial(_dom_event, canvas, hands)))
    else:
        handlers += [
            (canvas.on_mouse_down, lambda x, y: hands.press(x, y)),
            (canvas.on_mouse_up, lambda x, y: hands.release()),
            (canvas.on_mouse_out, lambda x, y: hands.release()),
            (canvas.on_mouse_wheel, lambda dx, dy: hands.wheel(None, None, dy)),
        ]
    keys = _key_catcher(hands)
    if keys is None:
        handlers.append((canvas.on_key_down, partial(_canvas_key, hands)))
    for register, handler in handlers:
        register(handler)

    def disconnect() -> None:
        for register, handler in handlers:
            register(handler, remove=True)
        if keys is not None:
            keys.close()

    return Connection(canvas if mouse is None else mouse, keys, disconnect)


def _mouse_events(canvas: MultiCanvas) -> Widget | None:
    """ipyevents, which knows the button and the Shift key; None where it is not installed."""
    try:
        from ipyevents import Event
    except ImportError:
        return None
    watched = ["mousedown", "mouseup", "mouseleave", "contextmenu", "wheel"]
    return Event(source=canvas, watched_events=watched, prevent_default_action=True)


def _dom_event(canvas: MultiCanvas, hands: Hands, event: dict[str, Any]) -> None:
    kind = event["type"]
    if kind == "mousedown":
        hands.press(*_place(event, canvas), event["button"], event["shiftKey"])
    elif kind in ("mouseup", "mouseleave"):
        hands.release()
    elif kind == "wheel":
        hands.wheel(*_place(event, canvas), event["deltaY"])


def _place(event: dict[str, Any], canvas: MultiCanvas) -> tuple[float, float]:
    """Canvas pixels, fractional, of an ipyevents event: it only knows CSS pixels of the page."""
    across = canvas.width / max(event["boundingRectWidth"], 1)
    down = canvas.height / max(event["boundingRectHeight"], 1)
    left, top = event["boundingRectLeft"], event["boundingRectTop"]
    return (event["clientX"] - left) * across, (event["clientY"] - top) * down


class _Touch:
    """One finger that is lifted where it touched clicks; one that moves drags; two zoom."""

    def __init__(self, hands: Hands):
        self.hands = hands
        self.first: tuple[float, float] | None = None
        self.last: list[tuple[float, float]] = []

    def start(self, touches: list[tuple[float, float]]) -> None:
        self.first = touches[0] if len(touches) == 1 else None
        self.last = list(touches)

    def move(self, touches: list[tuple[float, float]]) -> None:
        if len(touches) == 2 == len(self.last):
            before, now = _pair(self.last), _pair(touches)
            factor = now[2] / max(before[2], 1)
            self.hands.pinch(factor, now[0], now[1], now[0] - before[0], now[1] - before[1])
        elif len(touches) == 1 and (
            self.first is None or math.dist(self.first, touches[0]) > TAP_SLACK
        ):
            if self.first is not None:
                self.hands.press(*self.first, button=1)
            self.first = None
            self.hands.drag(*touches[0])
        self.last = list(touches)

    def end(self, touches: list[tuple[float, float]]) -> None:
        if not touches and self.first is not None:
            self.hands.press(*self.first)
        self.cancel(touches)

    def cancel(self, touches: list[tuple[float, float]]) -> None:
        self.first, self.last = None, list(touches)
        self.hands.release()


def _pair(touches: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Centre and distance of two fingers."""
    (x0, y0), (x1, y1) = touches
    return (x0 + x1) / 2, (y0 + y1) / 2, math.dist((x0, y0), (x1, y1))


def _canvas_key(hands: Hands, key: str, shift: bool, ctrl: bool, meta: bool) -> None:
    if ctrl or meta:
        key = {"z": "Redo" if shift else "Undo", "y": "Redo"}.get(key.lower(), "")
    hands.key(key, shift)


def _key_catcher(hands: Hands) -> Widget | None:
    """The widget that catches keys for the element of class `click-tool` around it, or None."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        return None

    class KeyCatcher(anywidget.AnyWidget):
        _esm = Path(__file__).with_name("widget_keys.js")
        shortcuts = traitlets.List(traitlets.Unicode()).tag(sync=True)

    catcher = KeyCatcher(shortcuts=[*KEYS])
    catcher.on_msg(lambda _, message, __: hands.key(str(message["key"]), bool(message["shift"])))
    return catcher
