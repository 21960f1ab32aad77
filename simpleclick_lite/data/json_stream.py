"""Read a JSON file of gigabytes element by element, in little memory.

COCO's and LVIS's annotation files are one object whose values are long arrays; `json.load` needs
ten times their size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError

CHUNK = 1 << 22  # characters read at a time
_SPACE = " \t\r\n"


class _Text:
    """The file's text with a position; what was read is dropped."""

    def __init__(self, path: Path):
        self.path = path
        self.file = path.open(encoding="utf-8")
        self.decoder = json.JSONDecoder()
        self.text = ""
        self.at = 0

    def more(self) -> bool:
        """Read another chunk; False at the end of the file."""
        chunk = self.file.read(CHUNK)
        self.text, self.at = self.text[self.at :] + chunk, 0
        return bool(chunk)

    def peek(self) -> str:
        """The next character that is no space, "" at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in _SPACE:
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def take(self, allowed: str) -> str:
        """Consume one of some characters."""
        found = self.peek()
        if not found or found not in allowed:
            raise InputError(
                f"annotation {self.path} is no JSON that can be read: {found or 'its end'!r} where "
                f"one of {allowed!r} must stand"
            )
        self.at += 1
        return found

    def value(self) -> object:
        """Decode one whole value."""
        self.peek()
        last = False  # whether all of the file is in `text`
        while True:
            try:
                found, end = self.decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if last:
                    raise InputError(
                        f"annotation {self.path} is no JSON that can be read: {error.msg}"
                    ) from error
            else:
                if last or end < len(self.text):  # else a number could go on in the next chunk
                    self.at = end
                    return found
            last = not self.more()


def stream(path: Path, key: str) -> Iterator[dict]:
    """Yield the elements of the array at `key` of the file's one object, one at a time.

    Raises:
        InputError: missing or unreadable file, broken JSON, or no such array.
    """
    try:
        text = _Text(path)
    except OSError as error:
        raise InputError(f"annotation {path} cannot be read: {error.strerror}") from error
    try:
        with text.file:
            yield from _elements(text, key)
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"annotation {path} cannot be read: {error}") from error


def _elements(text: _Text, key: str) -> Iterator[dict]:
    text.take("{")
    found = text.take('"}')
    while found == '"':
        text.at -= 1
        name = text.value()
        text.take(":")
        if text.peek() != "[":
            text.value()
        else:
            text.at += 1
            if text.peek() == "]":
                text.at += 1
            else:
                while True:
                    element = text.value()
                    if name == key:
                        yield element
                    if text.take(",]") == "]":
                        break
            if name == key:
                return
        if text.take(",}") == "}":
            break
        found = text.take('"')
    raise InputError(f"annotation {text.path} has no list {key!r}")
