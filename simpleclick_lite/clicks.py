"""Clicks as the network sees them: two maps of small disks beside the previous mask.

Explained in notebooks/01_click_encoding.ipynb; section 3.1 of the paper. A vision transformer reads
images, so clicks are drawn as an image: one channel of disks for positive clicks, one for negative
ones, after one channel with the mask of the click before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .errors import InputError

DISK_RADIUS = 5  # pixels of the network's input; the published value


@dataclass(frozen=True)
class Click:
    """One click: column `x` and row `y` in pixels (0, 0 = center of the top-left pixel)."""

    x: float
    y: float
    positive: bool = True


def pad_clicks(
    clicks: Sequence[Sequence[Click]],
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Stack lists of clicks of different lengths into padded tensors.

    Args:
        clicks: B lists of clicks.
        device: where the tensors go.
        dtype: of the points.

    Returns:
        points (B, N, 2) float xy and labels (B, N) int64: 1 positive, 0 negative, -1 padding;
        N is the longest list, at least 1.
    """
    length = max([len(row) for row in clicks] + [1])
    points = np.zeros((len(clicks), length, 2), np.float64)
    labels = np.full((len(clicks), length), -1, np.int64)
    for b, row in enumerate(clicks):
        for n, click in enumerate(row):
            points[b, n] = click.x, click.y
            labels[b, n] = int(click.positive)
    return torch.from_numpy(points).to(dtype).to(device), torch.from_numpy(labels).to(device)


def draw_disks(
    points: Tensor, labels: Tensor, size: tuple[int, int], radius: float = DISK_RADIUS
) -> Tensor:
    """Draw every click as a filled disk: 1 where the squared distance is at most radius^2.

    Only the small square around each click is computed, so the cost does not grow with the image.
    A click outside the image still paints the part of its disk that falls inside.

    Args:
        points: (B, N, 2) float xy in pixels of the map. Given as float64, distances to the clicks
            are rounded once, as the published evaluation does; where a pixel lies on the circle
            this decides. All else, the result too, is float32.
        labels: (B, N) int, 1 positive, 0 negative, -1 padding (never drawn).
        size: (H, W) of the map.
        radius: disk radius in pixels; the paper uses 5.

    Returns:
        (B, 2, H, W) float32 of zeros and ones: positive disks, negative disks.
    """
    height, width = size
    batch, count = labels.shape
    if points.dtype != torch.float64:
        points = points.float()
    reach = math.ceil(radius)
    offset = torch.arange(-reach, reach + 1, device=points.device)  # (K,)
    center = points.round()
    xs = center[..., 0, None] + offset  # (B, N, K) columns of the square around each click
    ys = center[..., 1, None] + offset  # (B, N, K) rows
    dx2 = (xs - points[..., 0, None]).float() ** 2
    dy2 = (ys - points[..., 1, None]).float() ** 2
    inside = dy2[..., :, None] + dx2[..., None, :] <= radius**2  # (B, N, K, K)
    inside &= ((xs >= 0) & (xs < width))[..., None, :] & ((ys >= 0) & (ys < height))[..., :, None]
    inside &= (labels >= 0)[..., None, None]

    # all pixels of all disks in one scatter: flat index into (B, 2, H, W), plus one spare cell
    b = torch.arange(batch, device=points.device)[:, None, None, None]
    channel = (labels == 0).long()[..., None, None]
    index = ((b * 2 + channel) * height + ys.long()[..., :, None]) * width
    index = torch.where(inside, index + xs.long()[..., None, :], batch * 2 * height * width)
    flat = torch.zeros(batch * 2 * height * width + 1, device=points.device)
    flat.index_fill_(0, index.reshape(-1), 1.0)
    return flat[:-1].view(batch, 2, height, width)


def click_map(
    points: Tensor,
    labels: Tensor,
    previous_mask: Tensor,
    radius: float = DISK_RADIUS,
) -> Tensor:
    """Turn clicks and the previous mask into the three-channel click map.

    Args:
        points: (B, N, 2) float xy in pixels of the network's input.
        labels: (B, N) int, 1 positive, 0 negative, -1 padding.
        previous_mask: (B, 1, H, W) probability after the last click, zeros at first.
        radius: disk radius in pixels.

    Returns:
        (B, 3, H, W) float: previous mask, positive disks, negative disks.
    """
    size = (previous_mask.shape[-2], previous_mask.shape[-1])
    disks = draw_disks(points, labels, size, radius)
    return torch.cat([previous_mask, disks.to(previous_mask.dtype)], dim=1)


def _is_label(label: object) -> bool:
    """Whether it is 0 or 1; an array of several values is neither."""
    try:
        return not isinstance(label, str) and label in (0, 1)
    except (RuntimeError, ValueError):
        return False


def check_clicks(
    points: Iterable[Sequence[float]],
    labels: Iterable[int] | None,
    size: tuple[int, int],
) -> list[Click]:
    """Turn what a user gave into clicks, or say in one sentence what is wrong with it.

    Args:
        points: (x, y) pairs in pixels of the image.
        labels: one per point, 1 positive or 0 negative; None means all positive.
        size: (H, W) of the image.

    Raises:
        InputError: no click, lengths that differ, a label other than 0/1, a coordinate that is not
            a number, or a click outside the image.
    """
    try:
        points = list(points)
        labels = [1] * len(points) if labels is None else list(labels)
    except TypeError as error:
        raise InputError("points and labels must be lists, one entry per click") from error
    if not points:
        raise InputError("no click was given; give at least one point (x, y)")
    if len(points) != len(labels):
        raise InputError(f"{len(points)} points but {len(labels)} labels; give one label per point")
    height, width = size
    clicks = []
    for point, label in zip(points, labels, strict=True):
        try:
            if isinstance(point, str):
                raise TypeError
            x, y = (float(value) for value in point)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"a point is two numbers (x, y), not {point!r}") from error
        if not _is_label(label):
            raise InputError(f"label {label!r} is neither 1 (positive) nor 0 (negative)")
        if not (math.isfinite(x) and math.isfinite(y)):
            raise InputError(f"click ({x}, {y}) is not a finite number")
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            raise InputError(
                f"click ({x:g}, {y:g}) lies outside the image of width {width} and height {height}"
            )
        clicks.append(Click(x, y, bool(label)))
    return clicks
