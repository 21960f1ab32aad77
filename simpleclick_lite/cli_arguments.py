"""How the command line reads one argument: clicks, settings, counts and shares.

What cannot be read raises `argparse.ArgumentTypeError`, which the parser prints in one line.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Sequence
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def point(text: str) -> tuple[float, float]:
    """`X,Y` as two numbers; whether they lie inside the image is checked later."""
    try:
        x, y = text.split(",")
        return float(x), float(y)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"a click is two numbers X,Y, for example 120,85, not {text!r}"
        ) from error


def setting(text: str) -> tuple[str, Any]:
    """`NAME=VALUE`; the value is a Python literal where it can be read as one, else text."""
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"give NAME=VALUE, not {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def share(text: str) -> float:
    """A number above 0 and at most 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:  # also refuses nan
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and at most 1")
    return value


def joined(argv: Sequence[str]) -> list[str]:
    """`--positive -3,5` as `--positive=-3,5`: argparse takes what begins with - for an option."""
    found: list[str] = []
    for text in argv:
        if found and found[-1] in ("--positive", "--negative") and re.match(r"-[\d.]", text):
            found[-1] += f"={text}"
        else:
            found.append(text)
    return found
