"""Reading pictures with clear errors, and writing files so that nothing is ever half-written."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .errors import InputError


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; on success it replaces `path`, on failure it vanishes.

    Raises:
        InputError: the folder cannot be made or written, `path` is a folder, or the disk is full.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder; give the name of a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(path.suffix, f".{path.stem}-", path.parent)
        os.close(handle)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot write {path}: {reason}; choose a folder that can be written"
        ) from error
    temporary = Path(name)
    try:
        # mkstemp is private to its owner; the result should have the usual permissions
        if os.name == "posix":
            temporary.chmod(0o666 & ~_umask())
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise InputError(f"cannot write {path}: the disk is full; free some space") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's umask; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def write_png(path: str | Path, array: np.ndarray) -> None:
    """Write an image atomically.

    Args:
        path: must end in .png.
        array: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA; bool becomes 0/255, else uint8 or uint16.

    Raises:
        InputError: another suffix, or a folder that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"cannot write {path}: masks are lossless, give a name that ends in .png")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.ndim == 3:
        array = cv2.cvtColor(
            array, cv2.COLOR_RGB2BGR if array.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        )
    ok, encoded = cv2.imencode(".png", array)
    if not ok:
        raise ValueError(f"OpenCV could not encode an array of {array.dtype}, shape {array.shape}")
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end or a part: decoders fill it with gray and only warn."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        at = 8
        while at + 8 <= len(data):  # a chunk: its length, its name, the data, a checksum
            name = data[at + 4 : at + 8]
            at += 12 + int.from_bytes(data[at : at + 4], "big")
            if name == b"IEND":
                return False
        return True
    if data[:2] != b"\xff\xd8":
        return False
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        # skip the header's segments: a thumbnail inside one has an end marker of its own
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.rfind(b"\xff\xd9") < at


def _decode(path: Path, flags: int, what: str) -> np.ndarray:
    """Decode with OpenCV from bytes, so that any Unicode path works on any system."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{what} {path} does not exist; check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{what} {path} cannot be read: {reason}") from error
    if _cut_off(data):
        raise InputError(f"{what} {path} is cut off (its end is missing); copy it again")
    array = None
    if data:
        with contextlib.suppress(cv2.error):
            array = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if array is None:
        raise InputError(
            f"{what} {path} is not an image that can be decoded (broken, or not an image at all)"
        )
    return array


def to_rgb8(array: np.ndarray) -> np.ndarray:
    """Any decoded picture as (H, W, 3) uint8: 16-bit scaled, gray repeated, alpha dropped.

    Args:
        array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); RGB order; bool, uint8, uint16, or
            float in [0, 1].

    Raises:
        InputError: another shape or type, or floats outside [0, 1].
    """
    array = np.asarray(array)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise InputError(
            f"an image has shape (H, W), (H, W, 3) or (H, W, 4), this one has {array.shape}"
        )
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    array = array[..., :3]
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise InputError("a float image must lie in [0, 1]; divide by 255, or pass uint8")
        array = np.round(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise InputError(f"an image must be uint8, uint16, bool or float, not {array.dtype}")
    return np.ascontiguousarray(array)


def read_image(path: str | Path) -> np.ndarray:
    """Read a photograph as (H, W, 3) uint8 RGB, turned upright by its EXIF note.

    Raises:
        InputError: missing, unreadable, broken or truncated file.
    """
    path = Path(path)
    # IMREAD_COLOR applies EXIF; IMREAD_ANYDEPTH keeps 16 bits, which are then scaled
    array = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, "image")
    if array.ndim == 3:
        array = cv2.cvtColor(array, cv2.COLOR_BGR2RGB)
    if np.issubdtype(array.dtype, np.floating):
        array = np.clip(np.nan_to_num(array), 0, 1)
    return to_rgb8(array)


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask or label map as (H, W), the values as stored (uint8 or uint16).

    A color picture whose channels are equal counts as gray. Palette PNGs need `read_palette`.

    Raises:
        InputError: missing or broken file, or a file with real colors.
    """
    path = Path(path)
    array = _decode(path, cv2.IMREAD_UNCHANGED, "mask")
    if array.ndim == 3:
        first = array[..., 0]
        if any((array[..., c] != first).any() for c in range(1, min(3, array.shape[2]))):
            raise InputError(
                f"mask {path} holds colors; a mask or label map needs one number per pixel"
            )
        array = first
    return np.ascontiguousarray(array)


def read_labels(path: str | Path) -> np.ndarray:
    """Read a label map as (H, W): the indices of a palette PNG, else the values as stored.

    Raises:
        InputError: missing or broken file, or a file with real colors.
    """
    path = Path(path)
    with contextlib.suppress(OSError), path.open("rb") as file:
        head = file.read(26)
        if head[:4] == b"\x89PNG" and head[25:26] == b"\x03":
            return read_palette(path)
    return read_mask(path)


def read_palette(path: str | Path) -> np.ndarray:
    """Read a PNG's (H, W) uint8 indices without applying its palette (Pascal VOC masks).

    Raises:
        InputError: missing or broken file, or neither palette nor gray.
    """
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L", "1"):
                what = "16 bits" if image.mode.startswith("I") else "colors"
                raise InputError(f"mask {path} has {what}, not a palette or 8-bit gray")
            return np.array(image)
    except FileNotFoundError as error:
        raise InputError(f"mask {path} does not exist; check the path") from error
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise InputError(f"mask {path} is broken: {error}") from error
