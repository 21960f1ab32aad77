"""Mouse, touch and keyboard of the click tool, as a few plain calls.

Explained in notebooks/13_click_tool.ipynb. Which button was pressed only ipyevents knows, so it is
the one source of presses where it is installed, and ipycanvas otherwise. Keys, wheel and drags are
caught by a script in the page (widget_hands.js, through anywidget). Of the keys it takes only those
that mean something here, so that the browser's own shortcuts work, and those that mean nothing do
not reach JupyterLab's command mode. Of a drag it sends the sum of what has happened since the last
message was drawn, so that a slow machine does not lag behind the hand. Without anywidget all this
comes from the canvas, event by event.
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
    """What the events are turned into; all places are canvas pixels.

    `move` takes the photograph's place p to scale * p + (x, y).
    """

    def press(self, x: float, y: float, button: int = 0, shift: bool = False) -> None: ...

    def drag(self, x: float, y: float) -> None: ...

    def release(self) -> None: ...

    def move(self, scale: float, x: float, y: float) -> None: ...

    def key(self, name: str, shift: bool = False) -> None: ...


@dataclass(frozen=True)
class Connection:
    """A canvas whose events go somewhere.

    Attributes:
        mouse: what reports presses: ipyevents' `Event`, or the canvas itself.
        script: what reports keys, wheel and drags and must be shown for that (it has no size), or
            None.
        disconnect: ends it.
    """

    mouse: Widget
    script: Widget | None
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
        # of the same source as the moves, so that they arrive in order
        (canvas.on_mouse_up, lambda x, y: hands.release()),
        (canvas.on_mouse_out, lambda x, y: hands.release()),
        (canvas.on_mouse_wheel, partial(_wheel, canvas, hands)),
    ]
    mouse = _mouse_events(canvas)
    if mouse is not None:
        handlers.append((mouse.on_dom_event, partial(_dom_event, canvas, hands)))
    else:
        handlers.append((canvas.on_mouse_down, lambda x, y: hands.press(x, y)))
    script = _page_script(hands)
    if script is None:
        handlers.append((canvas.on_key_down, partial(_canvas_key, hands)))
    for register, handler in handlers:
        register(handler)

    def disconnect() -> None:
        for register, handler in handlers:
            register(handler, remove=True)
        if script is not None:
            script.close()

    return Connection(canvas if mouse is None else mouse, script, disconnect)


def _mouse_events(canvas: MultiCanvas) -> Widget | None:
    """ipyevents, which knows the button and the Shift key; None where it is not installed."""
    try:
        from ipyevents import Event
    except ImportError:
        return None
    watched = ["mousedown", "contextmenu"]
    return Event(source=canvas, watched_events=watched, prevent_default_action=True)


def _dom_event(canvas: MultiCanvas, hands: Hands, event: dict[str, Any]) -> None:
    if event["type"] == "mousedown":
        # on a Mac, Ctrl with the left button is a right click
        modified = event["shiftKey"] or event.get("ctrlKey", False)
        hands.press(*_place(event, canvas), event["button"], modified)


def _wheel(canvas: MultiCanvas, hands: Hands, dx: float, dy: float) -> None:
    """Zoom around the center: ipycanvas does not say where the mouse is."""
    scale = 1.25 ** -min(max(dy / 100, -1), 1)
    hands.move(scale, *((1 - scale) * side / 2 for side in (canvas.width, canvas.height)))


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
            scale = now[2] / max(before[2], 1)
            self.hands.move(scale, now[0] - scale * before[0], now[1] - scale * before[1])
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
    """Center and distance of two fingers."""
    (x0, y0), (x1, y1) = touches
    return (x0 + x1) / 2, (y0 + y1) / 2, math.dist((x0, y0), (x1, y1))


def _canvas_key(hands: Hands, key: str, shift: bool, ctrl: bool, meta: bool) -> None:
    if ctrl or meta:
        key = {"z": "Redo" if shift else "Undo", "y": "Redo"}.get(key.lower(), "")
    hands.key(key, shift)


def _page_script(hands: Hands) -> Widget | None:
    """The script for the element of class `click-tool` around it; None without anywidget."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        return None

    class PageScript(anywidget.AnyWidget):
        _esm = Path(__file__).with_name("widget_hands.js")
        shortcuts = traitlets.List(traitlets.Unicode()).tag(sync=True)

    script = PageScript(shortcuts=[*KEYS])

    def hear(_: Widget, message: dict[str, Any], __: list) -> None:
        if "key" in message:
            hands.key(str(message["key"]), bool(message["shift"]))
            return
        try:
            if "move" in message:
                hands.move(*(float(v) for v in message["move"]))
        finally:
            script.send({"done": True})  # the page may send the next movement

    script.on_msg(hear)
    return script
