"""Training clicks for a whole batch at once, on the device where the masks are.

OpenCV finds one sample's next click in well under a millisecond, but on a GPU it must wait for the
prediction, copy it to the host and leave the GPU idle meanwhile. Here the same rule (section 3.3 of
the paper, notebook 07) is written in tensor operations: an exact Euclidean distance transform, the
larger error, a random pixel of its inner half.

On a CPU OpenCV is faster and stays in use (`simulation.training_clicks`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .simulation import MASK_THRESHOLD


def squared_distance(region: Tensor) -> Tensor:
    """Squared distance of every pixel of a region to the nearest pixel outside; a frame counts.

    Exact, and separable: first along each row the distance to the nearest outside pixel, then for
    each pixel the smallest row distance^2 + vertical offset^2 over its column.

    Args:
        region: (B, H, W) bool.

    Returns:
        (B, H, W) float32, whole numbers; 0 outside the region.
    """
    height, width = region.shape[-2:]
    column = torch.arange(width, device=region.device, dtype=torch.float32)
    # the nearest outside pixel to the left and to the right; the frame is at -1 and at W
    left = torch.where(region, -1.0, column).cummax(-1).values
    right = torch.where(region, float(width), column).flip(-1).cummin(-1).values.flip(-1)
    row = torch.minimum(column - left, right - column) ** 2
    best = row.clone()
    # an offset of d can only help where d^2 < best, so at most up to the largest distance there is:
    # half the shorter side, rounded up
    for d in range(1, min(height, (min(height, width) + 1) // 2) + 1):
        square = float(d * d)
        torch.minimum(best[:, d:], row[:, :-d] + square, out=best[:, d:])
        torch.minimum(best[:, :-d], row[:, d:] + square, out=best[:, :-d])
    # the frame above and below
    line = torch.arange(height, device=region.device, dtype=torch.float32)
    frame = torch.minimum(line + 1, height - line) ** 2
    return torch.minimum(best, frame[:, None])


def error_candidates(
    probability: Tensor, target: Tensor, threshold: float = MASK_THRESHOLD
) -> tuple[Tensor, Tensor]:
    """Where the next training click of every sample may fall.

    Args:
        probability: (B, 1, H, W) float.
        target: (B, 1, H, W); 1 object, everything else (ignored pixels too, as published)
            background.
        threshold: below it the object is missed, above it background is false.

    Returns:
        candidates (B, H, W) bool, pixels of the larger error deeper than half its largest depth,
        and the sign (B,): 1 positive, -1 negative, 0 when nothing is wrong.
    """
    truth, found = target[:, 0] == 1, probability[:, 0]
    errors = torch.cat([truth & (found < threshold), ~truth & (found > threshold)])
    missed, false = squared_distance(errors).chunk(2)
    depth_missed, depth_false = missed.flatten(1).amax(1), false.flatten(1).amax(1)
    positive = depth_missed > depth_false
    deepest = torch.maximum(depth_missed, depth_false)
    chosen = torch.where(positive[:, None, None], missed, false)
    candidates = chosen > deepest[:, None, None] / 4  # half the depth is a quarter of its square
    sign = torch.where(positive, 1, -1) * (deepest > 0)
    return candidates, sign


def draw_pixels(candidates: Tensor, uniform: Tensor) -> Tensor:
    """One pixel of every region: the one at a given share of the way through it in raster order.

    Args:
        candidates: (B, H, W) bool.
        uniform: (B,) float in [0, 1).

    Returns:
        (B, 2) float32 xy; (0, 0) for an empty region.
    """
    count = candidates.flatten(1).int().cumsum(1, dtype=torch.int32)
    total = count[:, -1:]
    wanted = (uniform[:, None] * total).int().clamp(max=(total - 1).clamp(min=0)) + 1
    index = torch.searchsorted(count, wanted)[:, 0].clamp(max=count.shape[1] - 1)
    index = index * (total[:, 0] > 0)
    width = candidates.shape[-1]
    return torch.stack([index % width, index // width], -1).float()


def training_clicks_torch(
    probability: Tensor, target: Tensor, uniform: Tensor
) -> tuple[Tensor, Tensor]:
    """One more click for every sample of a batch, without leaving its device.

    Args:
        probability: (B, 1, H, W) float.
        target: (B, 1, H, W), 1 object, else background.
        uniform: (B,) float in [0, 1), which candidate is taken.

    Returns:
        points (B, 1, 2) float32 xy and labels (B, 1) int64, -1 where nothing is wrong.
    """
    candidates, sign = error_candidates(probability.float(), target)
    points = draw_pixels(candidates, uniform)
    labels = torch.where(sign == 0, -1, (sign > 0).long())
    return points[:, None], labels[:, None]
