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


def connect(canvas: MultiCanvas, hands: Hands) -> tuple[list[Widget], Callable[[], None]]:
    """Send a canvas' events to `hands`.

    Args:
        canvas: events of all its layers.
        hands: gets them.

    Returns:
        widgets that must be shown (without a size) for this to work, and a function that ends it.
    """
    touch = _Touch(hands)
    canvas.on_touch_start(touch.start)
    canvas.on_touch_move(touch.move)
    canvas.on_touch_end(touch.end)
    canvas.on_touch_cancel(touch.cancel)
    canvas.on_mouse_move(hands.drag)
    end = _connect_mouse(canvas, hands)
    keys = _key_catcher(hands)
    if keys is None:
        canvas.on_key_down(
            lambda key, shift, ctrl, meta: _fallback_key(hands, key, shift, ctrl, meta)
        )

    def disconnect() -> None:
        end()
        canvas.on_touch_start(touch.start, remove=True)
        canvas.on_mouse_move(hands.drag, remove=True)

    return [keys] if keys is not None else [], disconnect


def _connect_mouse(canvas: MultiCanvas, hands: Hands) -> Callable[[], None]:
    try:
        from ipyevents import Event
    except ImportError:

        def press(x: float, y: float) -> None:
            hands.press(x, y)

        def release(x: float, y: float) -> None:
            hands.release()

        def wheel(dx: float, dy: float) -> None:
            hands.wheel(None, None, dy)

        canvas.on_mouse_down(press)
        canvas.on_mouse_up(release)
        canvas.on_mouse_out(release)
        canvas.on_mouse_wheel(wheel)
        return lambda: canvas.on_mouse_down(press, remove=True)

    watched = ["mousedown", "mouseup", "mouseleave", "contextmenu", "wheel"]
    events = Event(source=canvas, watched_events=watched, prevent_default_action=True)

    def hear(event: dict[str, Any]) -> None:
        kind = event.get("type", event.get("event"))
        if kind == "mousedown":
            hands.press(
                *_place(event, canvas), event.get("button", 0), event.get("shiftKey", False)
            )
        elif kind in ("mouseup", "mouseleave"):
            hands.release()
        elif kind == "wheel":
            hands.wheel(*_place(event, canvas), event.get("deltaY", 0))

    events.on_dom_event(hear)
    return lambda: events.on_dom_event(hear, remove=True)


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


def _fallback_key(hands: Hands, key: str, shift: bool, ctrl: bool, meta: bool) -> None:
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
