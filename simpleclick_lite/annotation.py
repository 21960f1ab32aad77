"""The objects of one image, and everything that was done to them: what undo and redo walk along.

Explained in notebooks/13_click_tool.ipynb. An annotation is a list of actions and a place in it.
The objects follow from the actions before that place, so undo is one step back, redo one step
forward, and the list alone is what a file has to hold.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .clicks import Click
from .errors import InputError

# Readable on photographs and told apart by the color-blind; never the green and red of the clicks.
COLORS = ("#2f8fff", "#f0a000", "#cc79d7", "#56d4e9", "#f0e442", "#a06040", "#8a7dff", "#c8c8c8")
DEFAULT_NAME = "object"


@dataclass(frozen=True)
class CutObject:
    """One object being cut out.

    Attributes:
        id: 1, 2, … inside its image.
        name: what it is; the class in COCO, YOLO and labelme files.
        color: "#rrggbb" of its overlay.
        clicks: in the order they were made.
        start: run-length code of an imported mask that the clicks correct, or None.
        finished: the user said so; clicks on it are still possible.
    """

    id: int
    name: str = DEFAULT_NAME
    color: str = COLORS[0]
    clicks: tuple[Click, ...] = ()
    start: Mapping[str, Any] | None = None
    finished: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is neither a click nor an imported mask."""
        return not self.clicks and self.start is None

    def digest(self, count: int | None = None) -> str:
        """Short text that is equal exactly when the imported mask and the first clicks are."""
        clicks = [[c.x, c.y, c.positive] for c in self.clicks[:count]]
        text = json.dumps([clicks, dict(self.start) if self.start else None])
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:16]


class Annotation:
    """The objects of one image and their history.

    Attributes:
        actions: everything done, as JSON objects; `done` of them hold, the rest can be redone.
        current: id of the object that the next click goes to; None: a click begins a new one.
    """

    def __init__(self) -> None:
        self.actions: list[dict[str, Any]] = []
        self.done = 0
        self.current: int | None = None
        self._objects: dict[int, CutObject] = {}

    @property
    def objects(self) -> dict[int, CutObject]:
        """id -> object, in the order of their ids."""
        return self._objects

    def next_id(self) -> int:
        """The id that a new object gets."""
        return max(self._objects, default=0) + 1

    def do(self, action: dict[str, Any]) -> None:
        """Carry out an action; what could have been redone is gone.

        Raises:
            InputError: the action does not fit the objects; then nothing has changed.
        """
        changed = apply(self._objects, action)
        self.actions[self.done :] = [action]
        self.done += 1
        self._objects = changed
        self._look_at(action)

    def undo(self) -> bool:
        """Take the last action back; False when there is none."""
        if not self.done:
            return False
        self.done -= 1
        self._objects = replay(self.actions[: self.done])
        number = self.actions[self.done]["object"]
        self.current = number if number in self._objects else None
        return True

    def redo(self) -> bool:
        """Carry out again what was taken back last; False when there is nothing."""
        if self.done == len(self.actions):
            return False
        action = self.actions[self.done]
        self._objects = apply(self._objects, action)
        self.done += 1
        self._look_at(action)
        return True

    def _look_at(self, action: dict[str, Any]) -> None:
        if action["do"] in ("finish", "delete"):
            self.current = None
        elif action["do"] not in ("name", "color"):
            self.current = action["object"]

    def to_json(self) -> dict[str, Any]:
        """Everything, as what `json.dump` takes."""
        return {"actions": list(self.actions), "done": self.done, "current": self.current}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Annotation:
        """The annotation that `to_json` described.

        Raises:
            InputError: the value is not such a description.
        """
        new = cls()
        try:
            new.actions = [dict(action) for action in value["actions"]]
            new.done = int(value["done"])
            new.current = value["current"]
            if not 0 <= new.done <= len(new.actions):
                raise ValueError("its place in the history is outside of the history")
            everything = [replay(new.actions[: new.done])]
            for action in new.actions[new.done :]:  # what can be redone must fit, too
                everything.append(apply(everything[-1], action))
            new._objects = everything[0]
            if new.current is not None and new.current not in new._objects:
                raise ValueError(f"it has no object {new.current!r}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"this is not an annotation of the click tool ({error})") from error
        return new


def replay(actions: list[dict[str, Any]]) -> dict[int, CutObject]:
    """The objects that a list of actions leads to."""
    objects: dict[int, CutObject] = {}
    for action in actions:
        objects = apply(objects, action)
    return objects


def apply(objects: dict[int, CutObject], action: Mapping[str, Any]) -> dict[int, CutObject]:
    """The objects after one action; the given ones stay as they are.

    Actions have "do" and "object" (an id). Beside them: "click" has x, y, positive; "mask" has
    start (a run-length code); "name" has name; "color" has color. "click" and "mask" make the
    object where there is none yet. "clear", "finish", "delete" have nothing more.

    Raises:
        InputError: unknown action, an object that does not exist, or a value that cannot be used.
    """
    what, number = action["do"], action["object"]
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise InputError(f"an object's id is 1, 2, …, not {number!r}")
    target = objects.get(number)
    if target is None:
        if what not in ("click", "mask"):
            raise InputError(f"there is no object {number}; choose one of {sorted(objects)}")
        target = CutObject(number, color=COLORS[(number - 1) % len(COLORS)])
    if what == "click":
        click = Click(_number(action["x"]), _number(action["y"]), bool(action["positive"]))
        target = replace(target, clicks=(*target.clicks, click), finished=False)
    elif what == "mask":
        target = replace(target, start=action["start"], clicks=(), finished=False)
    elif what == "clear":
        target = replace(target, start=None, clicks=(), finished=False)
    elif what == "finish":
        target = replace(target, finished=True)
    elif what == "name":
        target = replace(target, name=_name(action["name"]))
    elif what == "color":
        target = replace(target, color=_color(action["color"]))
    elif what != "delete":
        raise InputError(f"there is no action {what!r}")
    changed = objects | {number: target}
    if what == "delete":
        del changed[number]
    return dict(sorted(changed.items()))


def _number(value: Any) -> float:
    value = float(value)
    if not math.isfinite(value):
        raise InputError(f"a click's coordinate must be a finite number, not {value}")
    return value


def _name(value: Any) -> str:
    name = " ".join(str(value).split())
    if not name:
        raise InputError("an object's name cannot be empty; give at least one letter")
    return name


def _color(value: Any) -> str:
    digits = str(value).lower().removeprefix("#")
    if len(digits) != 6 or any(c not in "0123456789abcdef" for c in digits):
        raise InputError(f"a color is written #rrggbb, not {value!r}")
    return "#" + digits
