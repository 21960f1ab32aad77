"""A way to run every layer as PyTorch and timm wrote it, for comparisons.

inference.py and learning.py have quicker ways to the same numbers; both ask here first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_wanted: ContextVar[bool] = ContextVar("as_written", default=False)


@contextmanager
def as_written() -> Iterator[None]:
    """Run every layer as it is, inside this block."""
    token = _wanted.set(True)
    try:
        yield
    finally:
        _wanted.reset(token)


def wanted() -> bool:
    """Whether this is inside a block of `as_written`."""
    return _wanted.get()
