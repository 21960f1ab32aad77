"""Where to look: the crop around the object that is renewed when the object outgrows it.

Explained in notebooks/10_evaluation.ipynb; the 'zoom-in' of Sofiiuk et al. (2020), which the
published evaluation uses from the first click on. The network always sees a square of fixed size,
so a small object fills it only when the photograph is cropped first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .clicks import Click

CROP_THRESHOLD = 0.5  # the crop follows probability > 0.5, not the mask's 0.49: as published
EXPANSION = 1.4  # the crop is that much longer than the object, on both axes
SMALLEST_CROP = 200  # pixels
RENEW_BELOW = 0.5  # overlap of wanted and present crop under which the crop is renewed


class Box(NamedTuple):
    """A rectangle of pixels, both ends inclusive."""

    top: int
    bottom: int
    left: int
    right: int


def object_box(
    mask: np.ndarray,
    clicks: Sequence[Click],
    expansion: float = EXPANSION,
    smallest: int = SMALLEST_CROP,
) -> Box:
    """The crop wanted for a mask and its positive clicks.

    Args:
        mask: (H, W) bool, not empty (or at least one positive click).
        clicks: positive ones are part of the object.
        expansion: crop side over object side.
        smallest: smallest crop side in pixels.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    ys = [*rows[[0, -1]]] if len(rows) else []
    xs = [*columns[[0, -1]]] if len(columns) else []
    for click in clicks:
        if click.positive:
            ys.append(_pixel(click.y, mask.shape[0]))
            xs.append(_pixel(click.x, mask.shape[1]))
    top, bottom = _expand(min(ys), max(ys), mask.shape[0], expansion, smallest)
    left, right = _expand(min(xs), max(xs), mask.shape[1], expansion, smallest)
    return Box(top, bottom, left, right)


def _pixel(value: float, size: int) -> int:
    return min(max(round(value), 0), size - 1)


def _expand(first: int, last: int, size: int, expansion: float, smallest: int) -> tuple[int, int]:
    center = 0.5 * (first + last)
    length = max(expansion * (last - first + 1), smallest)
    return (
        max(round(center - 0.5 * length), 0),
        min(round(center + 0.5 * length), size - 1),
    )


def overlap(a: Box, b: Box) -> float:
    """Product of the two axes' intersection over union."""
    return _axis_overlap(a[:2], b[:2]) * _axis_overlap(a[2:], b[2:])


def _axis_overlap(a: tuple[int, int], b: tuple[int, int]) -> float:
    shared = max(min(a[1], b[1]) - max(a[0], b[0]) + 1, 0)
    return shared / max(max(a[1], b[1]) - min(a[0], b[0]) + 1, 1e-6)


def holds_clicks(box: Box, clicks: Sequence[Click]) -> bool:
    """Whether all positive clicks lie inside; as published, last row and column do not count."""
    return all(
        box.top <= c.y < box.bottom and box.left <= c.x < box.right for c in clicks if c.positive
    )


def next_box(
    present: Box | None,
    probability: np.ndarray | None,
    clicks: Sequence[Click],
    size: tuple[int, int],
) -> Box:
    """The crop to use for the next click.

    Args:
        present: the crop used last, None at the first click.
        probability: (H, W) float after the last click, None at the first.
        clicks: all clicks including the new one.
        size: (H, W) of the image.
    """
    wanted = Box(0, size[0] - 1, 0, size[1] - 1)
    if probability is not None:
        mask = probability > CROP_THRESHOLD
        if mask.any():
            wanted = object_box(mask, clicks)
    if present is None or not holds_clicks(present, clicks):
        return wanted
    return wanted if overlap(wanted, present) < RENEW_BELOW else present


def to_crop(clicks: Sequence[Click], box: Box, side: int) -> list[Click]:
    """Clicks on the image -> on the crop resized to side x side, by the published formula."""
    height, width = box.bottom - box.top + 1, box.right - box.left + 1
    return [
        Click(side * (c.x - box.left) / width, side * (c.y - box.top) / height, c.positive)
        for c in clicks
    ]
