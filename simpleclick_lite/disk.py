"""Room on a disk: in units for people, asked for before work begins, missed in one sentence."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .errors import FetchError

RESERVE = 50 << 20  # bytes of disk that are left free


class DiskError(FetchError):
    """The disk is full or cannot be written; another address would not help."""


def size_text(count: float | None) -> str:
    """Bytes for people: 1.4 GB."""
    if count is None:
        return "unknown size"
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def free_bytes(path: Path) -> int:
    """Free disk where `path` is, or would be."""
    path = path.resolve()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def need_disk(path: Path, needed: int, what: str) -> None:
    """Refuse work for which the disk is too small.

    Raises:
        DiskError: fewer than `needed` bytes are free.
    """
    free = free_bytes(path)
    if needed + RESERVE > free:
        raise DiskError(
            f"{what} needs {size_text(needed)} of disk at {path}, {size_text(free)} are free; "
            "free some space or choose another folder"
        )


@contextlib.contextmanager
def disk_errors(path: Path, then: str) -> Iterator[None]:
    """Turn the system's errors of writing into one sentence.

    Raises:
        DiskError: the disk is full, or cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskError(f"the disk is full at {path}; free some space, {then}") from error
        raise DiskError(f"cannot write {path}: {error.strerror or error}") from error


def open_file(path: Path, mode: str) -> IO[bytes]:
    """A file for bytes; by this name, so that a test can put a full disk in its place."""
    return path.open(mode)
