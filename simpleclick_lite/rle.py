"""Masks as run lengths: short text that JSON can hold, in COCO's compressed form.

Used by the saved state of the click tool and by the COCO export (notebooks/13_click_tool.ipynb).
The mask is read column by column; the counts are the lengths of its runs, the first one of zeros.
From the third on a count is stored as the difference to the count two before. Each number is cut
into groups of five bits, lowest first, with bit 32 for "more follow", and 48 added to be printable.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from .errors import InputError


def run_lengths(mask: np.ndarray) -> list[int]:
    """Lengths of the runs of a (H, W) bool mask, column by column, the first run being of zeros."""
    flat = np.asarray(mask, bool).ravel(order="F")
    change = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], change, [flat.size]])
    counts = np.diff(edges)
    if flat.size and flat[0]:
        counts = np.concatenate([[0], counts])
    return counts.tolist()


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """A mask as COCO's compressed run-length code.

    Args:
        mask: (H, W) bool.

    Returns:
        {"size": [H, W], "counts": text}, as pycocotools reads it.
    """
    counts = run_lengths(mask)
    text = bytearray()
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            group, value = value & 31, value >> 5
            # finished when what is left is only the sign of the highest bit written
            more = not (value == 0 and not group & 16 or value == -1 and group & 16)
            text.append(48 + group + 32 * more)
            if not more:
                break
    height, width = np.shape(mask)
    return {"size": [int(height), int(width)], "counts": text.decode("ascii")}


def decode_rle(code: dict[str, Any]) -> np.ndarray:
    """The (H, W) bool mask of a run-length code; counts may also be a plain list of lengths.

    Raises:
        InputError: the code is damaged (its runs do not fill the size it states).
    """
    try:
        height, width = (int(v) for v in code["size"])
        counts = code["counts"]
        if isinstance(counts, str | bytes):
            counts = _decode_counts(counts.encode("ascii") if isinstance(counts, str) else counts)
        counts = np.asarray(counts, np.int64)
        if min(height, width) < 0 or (counts < 0).any() or counts.sum() != height * width:
            raise ValueError("the runs do not fill the mask")
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise InputError(
            f"a run-length code is damaged ({error}); export the mask again"
        ) from error
    columns = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height)
    # OpenCV turns columns into rows several times as fast as NumPy
    return cv2.transpose(columns.view(np.uint8)).view(bool) if columns.size else columns.T


def _decode_counts(text: bytes) -> np.ndarray:
    groups = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if not ((groups >= 0) & (groups < 64)).all():
        raise ValueError("a character that no run-length code has")
    last = np.flatnonzero(groups < 32)  # the group that ends each number
    if not len(last) or last[-1] != len(groups) - 1:
        raise ValueError("the last number breaks off")
    length = np.diff(last, prepend=-1)
    if length.max() > 12:  # more than 60 bits
        raise ValueError("a number that is too long")
    first = last - length + 1
    place = np.arange(len(groups)) - np.repeat(first, length)
    values = np.add.reduceat((groups & 31) << 5 * place, first)
    values -= ((groups[last] & 16) > 0) << 5 * length
    for start in (1, 2):  # each count is stored as the difference to the one two before
        values[start::2] = np.cumsum(values[start::2])
    return values
