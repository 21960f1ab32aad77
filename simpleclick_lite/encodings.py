"""Other ways to draw clicks, to compare the disks with; the model itself does not use them.

Explained in notebooks/01_click_encoding.ipynb. Both have the signature and the result of
`clicks.draw_disks`: one channel for positive clicks, one for negative ones.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _squared_distance(points: Tensor, labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Squared distance of every pixel to the nearest click of each sign, inf without a click.

    Returns:
        (B, 2, H, W) float32: to positive clicks, to negative clicks.
    """
    height, width = size
    ys = torch.arange(height, device=points.device)[:, None]
    xs = torch.arange(width, device=points.device)
    x, y = points.float()[..., 0, None, None], points.float()[..., 1, None, None]
    squared = (xs - x) ** 2 + (ys - y) ** 2  # (B, N, H, W)
    signs = [squared.masked_fill((labels != sign)[..., None, None], torch.inf) for sign in (1, 0)]
    return torch.stack([one.amin(1) for one in signs], dim=1)


def distance_maps(
    points: Tensor, labels: Tensor, size: tuple[int, int], limit: float = 255.0
) -> Tensor:
    """Distance to the nearest click, cut off: how the first deep networks saw clicks.

    Args:
        points: (B, N, 2) float xy in pixels of the map.
        labels: (B, N) int, 1 positive, 0 negative, -1 padding.
        size: (H, W) of the map.
        limit: distances above this many pixels are all the same; 255 in Xu et al., 2016.

    Returns:
        (B, 2, H, W) float32 in [0, 1]: 0 at a click, 1 at the limit and without any click.
    """
    return _squared_distance(points, labels, size).sqrt().clamp(max=limit) / limit


def gaussian_maps(
    points: Tensor, labels: Tensor, size: tuple[int, int], sigma: float = 10.0
) -> Tensor:
    """A bell around every click, as in DEXTR; where bells overlap the higher one counts.

    Args:
        points: (B, N, 2) float xy in pixels of the map.
        labels: (B, N) int, 1 positive, 0 negative, -1 padding.
        size: (H, W) of the map.
        sigma: standard deviation in pixels; 10 in Maninis et al., 2018.

    Returns:
        (B, 2, H, W) float32 in [0, 1]: 1 at a click, 0 without any click.
    """
    return torch.exp(-_squared_distance(points, labels, size) / (2 * sigma**2))
