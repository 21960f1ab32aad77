"""Where a click session keeps its state: one small file per image, never half-written, never lost.

Explained in notebooks/13_click_tool.ipynb. The layout of the folder:

    clicks/NAME.json   objects, clicks and history of one image
    masks/NAME_1.png   0/255, one file per object, finished or not
    uploads/           images that the user added in the tool
    session.json       which image was shown last

Several tools may work in one folder, also in different kernels: each change takes the folder's lock
for a few milliseconds, reads what others have written meanwhile, and adds to it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .files import atomic_path, read_mask, write_json, write_png

FORMAT = "simpleclick-lite clicks 1"
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')
RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{n}{i}" for n in ("COM", "LPT") for i in range(1, 10))}

_threads = threading.RLock()  # lockf is per process on some systems, so threads need their own


def file_stem(name: str) -> str:
    """A name as a file name: only what some system does not take is replaced."""
    stem = FORBIDDEN.sub("_", name).strip(" .") or "image"
    while len(stem.encode()) > 150:  # file systems take 255 bytes, and more is added
        stem = stem[:-1]
    return f"{stem}_" if stem.upper() in RESERVED else stem


def keys(name: str) -> Iterator[str]:
    """File names for an image, without end: NAME, NAME-2, NAME-3, …"""
    stem = file_stem(name)
    yield stem
    yield from (f"{stem}-{number}" for number in itertools.count(2))


class SessionFolder:
    """The files of a session.

    Args:
        path: the folder; made when the first click is saved.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"out_dir {self.path} is a file; give a folder")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other tool from writing into the folder, in this process or in another."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = open(self.path / ".lock", "a+b")  # noqa: SIM115
        except OSError as error:
            raise InputError(
                f"cannot write into {self.path}: {error.strerror or error}; give another out_dir"
            ) from error
        with _threads, handle:
            # where a file system knows no locks, the files are still replaced whole
            with contextlib.suppress(OSError):
                _lock(handle)
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    _unlock(handle)

    def clicks_path(self, key: str) -> Path:
        """The state of one image."""
        return self.path / "clicks" / f"{key}.json"

    def mask_path(self, key: str, number: int) -> Path:
        """The mask of one object."""
        return self.path / "masks" / f"{key}_{number}.png"

    def stamp(self, key: str) -> tuple[int, ...] | None:
        """Changes whenever the state of an image is written; None where there is none."""
        try:
            info = self.clicks_path(key).stat()
        except OSError:
            return None
        return info.st_ino, info.st_mtime_ns, info.st_size

    def find_key(self, name: str, fingerprint: str) -> str:
        """The file name that belongs to an image: a second image of the same name gets another."""
        for key in keys(name):
            state = self.read(key)
            if state is None or state["fingerprint"] == fingerprint:
                return key
        raise AssertionError("keys never end")

    def read(self, key: str) -> dict[str, Any] | None:
        """The state of one image, or None where nothing was saved.

        Raises:
            InputError: the file cannot be read or is not ours.
        """
        path = self.clicks_path(key)
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            if state["format"] != FORMAT or not isinstance(state["fingerprint"], str):
                raise ValueError("another format")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is not a file of the click tool ({error}); move it away to start afresh"
            ) from error
        return state

    def write(self, key: str, state: dict[str, Any]) -> None:
        """Save the state of one image, atomically and compactly."""
        with atomic_path(self.clicks_path(key)) as temporary:
            text = json.dumps({"format": FORMAT} | state, separators=(",", ":"))
            temporary.write_text(text + "\n", encoding="utf-8")

    def write_mask(self, key: str, number: int, mask: np.ndarray | None) -> None:
        """Save a (H, W) bool mask as 0/255; None removes the file."""
        path = self.mask_path(key, number)
        if mask is None:
            path.unlink(missing_ok=True)
        else:
            write_png(path, mask)

    def read_mask(self, key: str, number: int) -> np.ndarray | None:
        """A saved mask, (H, W) bool, or None where it is missing or broken."""
        try:
            return read_mask(self.mask_path(key, number)) > 127
        except InputError:
            return None

    def annotated(self) -> dict[str, int]:
        """Image name -> how many objects are saved for it, for every image of the folder."""
        found: dict[str, int] = {}
        for path in sorted((self.path / "clicks").glob("*.json")):
            with contextlib.suppress(InputError):
                state = self.read(path.stem) or {}
                found[state.get("image", path.stem)] = int(state.get("objects", 0))
        return found

    def emptied(self) -> list[str]:
        """File names of images whose objects are all gone again."""
        found = []
        for path in sorted((self.path / "clicks").glob("*.json")):
            with contextlib.suppress(InputError):
                if not (self.read(path.stem) or {}).get("objects", 0):
                    found.append(path.stem)
        return found

    def uploads(self) -> list[Path]:
        """Images the user added, oldest first."""
        files = (self.path / "uploads").glob("*.png")
        return sorted(files, key=lambda p: (p.stat().st_mtime_ns, p.name))

    def add_upload(self, name: str, image: np.ndarray) -> Path:
        """Keep an added image; an existing file of the same name is not replaced."""
        with self.locked():
            paths = (self.path / "uploads" / f"{key}.png" for key in keys(name))
            path = next(path for path in paths if not path.exists())
            write_png(path, image)
        return path

    def last_image(self) -> str | None:
        """Name of the image that was shown last."""
        try:
            return json.loads((self.path / "session.json").read_text(encoding="utf-8"))["image"]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def set_last_image(self, name: str) -> None:
        """Remember which image is shown."""
        write_json(self.path / "session.json", {"image": name})


if os.name == "nt":  # pragma: no cover
    import msvcrt

    def _lock(handle: Any) -> None:
        handle.seek(0)
        msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)

    def _unlock(handle: Any) -> None:
        handle.seek(0)
        msvcrt.locking(handle.fileno(), msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(handle: Any) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)

    def _unlock(handle: Any) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)
