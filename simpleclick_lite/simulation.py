"""Simulated users: random start clicks, iterative training clicks, and the robot of the benchmark.

Explained in notebooks/07_click_simulation.ipynb; section 3.3 of the paper (the strategy is from
Sofiiuk et al., 2022). Training wants variety, so its clicks are drawn at random inside the error;
the benchmark wants repeatable numbers, so its robot always clicks the point of the error that is
farthest from the error's border.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from .clicks import Click

MASK_THRESHOLD = 0.49  # a mask is probability > 0.49, as published
MAX_START_CLICKS = 24


def _inner_distance(region: np.ndarray, mask_size: int) -> np.ndarray:
    """Distance of each pixel of a (H, W) bool region to the nearest outside; a frame counts."""
    padded = np.pad(region.astype(np.uint8), 1)
    return cv2.distanceTransform(padded, cv2.DIST_L2, mask_size)[1:-1, 1:-1]


def _deepest(distance: np.ndarray) -> tuple[int, int]:
    """Squared distance, a whole number, of the deepest pixel and its first index in raster order.

    OpenCV's roots of one number can differ in their last bit, with the place of the array in
    memory; compared as they are, they would break ties differently from run to run.
    """
    squared = round(float(distance.max()) ** 2)
    return squared, int(np.argmax(distance > math.sqrt(max(squared - 0.5, 0))))


def robot_click(prediction: np.ndarray, truth: np.ndarray, clicks: Iterable[Click]) -> Click:
    """The benchmark's next click: the center of the largest error.

    The exact distance transform is taken of the missed and of the false region, ignored pixels
    excluded; the larger maximum wins (ties: negative), the first in raster order. Pixels that were
    clicked before are passed over. The same masks always give the same click.

    Args:
        prediction: (H, W) bool mask; anything else is a probability, cut at 0.49.
        truth: (H, W) int8, 1 object, 0 background, -1 ignored.
        clicks: all earlier clicks on this object.

    Returns:
        the next click, at whole pixels. Without any error left it is (0, 0), negative, as
        published.
    """
    if prediction.dtype != bool:
        prediction = prediction > MASK_THRESHOLD
    valid = truth != -1
    missed = _inner_distance((truth == 1) & ~prediction & valid, cv2.DIST_MASK_PRECISE)
    false = _inner_distance((truth != 1) & prediction & valid, cv2.DIST_MASK_PRECISE)
    for click in clicks:
        y, x = int(round(click.y)), int(round(click.x))
        missed[y, x] = false[y, x] = 0
    (miss, miss_at), (excess, excess_at) = _deepest(missed), _deepest(false)
    positive = miss > excess
    y, x = divmod(miss_at if positive else excess_at, truth.shape[1])
    return Click(float(x), float(y), positive)


def training_candidates(
    probability: np.ndarray, truth: np.ndarray, threshold: float = MASK_THRESHOLD
) -> tuple[np.ndarray, int]:
    """Where the next training click may fall.

    Args:
        probability: (H, W) float, the network's answer.
        truth: (H, W), 1 object, everything else (ignored pixels too, as published) background.
        threshold: below it the object is missed, above it background is false.

    Returns:
        candidates (H, W) bool, pixels of the larger error deeper than half its largest depth, and
        the sign: 1 positive, -1 negative, 0 when nothing is wrong.
    """
    target = truth == 1
    missed = _inner_distance(target & (probability < threshold), 5)
    false = _inner_distance(~target & (probability > threshold), 5)
    deepest = max(missed.max(), false.max())
    if deepest <= 0:
        return np.zeros(truth.shape, bool), 0
    positive = missed.max() > false.max()
    return (missed if positive else false) > deepest / 2, 1 if positive else -1


def training_click(
    probability: np.ndarray, truth: np.ndarray, rng: np.random.Generator
) -> Click | None:
    """A random click deep inside the larger error; None when nothing is wrong.

    Args:
        probability: (H, W) float.
        truth: (H, W), 1 object, else background.
        rng: source of randomness.
    """
    candidates, sign = training_candidates(probability, truth)
    if sign == 0:
        return None
    return Click(*_draw(np.flatnonzero(candidates), truth.shape[1], rng), sign > 0)


def training_clicks(
    probability: np.ndarray, truth: np.ndarray, rngs: Sequence[np.random.Generator]
) -> tuple[np.ndarray, np.ndarray]:
    """One more click for every sample of a batch.

    Args:
        probability: (B, 1, H, W) float.
        truth: (B, 1, H, W), 1 object, else background.
        rngs: one generator per sample, so that a sample's clicks do not depend on its batch.

    Returns:
        points (B, 1, 2) float32 xy and labels (B, 1) int64, -1 where nothing is wrong.
    """
    batch = len(probability)
    points, labels = np.zeros((batch, 1, 2), np.float32), np.full((batch, 1), -1, np.int64)
    for b in range(batch):
        click = training_click(probability[b, 0], truth[b, 0], rngs[b])
        if click is not None:
            points[b, 0] = click.x, click.y
            labels[b, 0] = int(click.positive)
    return points, labels


def start_clicks(
    target: np.ndarray,
    others: np.ndarray | None,
    rng: np.random.Generator,
    max_clicks: int = MAX_START_CLICKS,
    gamma: float = 0.8,
) -> list[Click]:
    """The random set of clicks that a training sample starts from.

    1 + k positive clicks inside the (usually eroded) object, k negative ones, P(k) ~ gamma^k. A
    negative click falls on a ring around the object with probability 0.5, on other objects with
    0.4, anywhere on the background with 0.1.

    Args:
        target: (H, W), 1 object, 0 background, -1 ignored. An empty target gets only negatives.
        others: (H, W) bool, other annotated objects; None when there are none.
        rng: source of randomness.
        max_clicks: largest number of each sign.
        gamma: how fast longer sets get rarer.
    """
    positive = target == 1
    clicks: list[Click] = []
    if positive.any():
        inside = np.flatnonzero(_eroded(positive, rng))
        for _ in range(1 + _geometric(max_clicks - 1, gamma, rng)):
            clicks.append(Click(*_draw(inside, target.shape[1], rng), True))
    background = target == 0
    count = _geometric(max_clicks, gamma, rng)
    if count == 0 or not background.any():
        return clicks
    border = ring(positive) & background if positive.any() else background
    elsewhere = others & background if others is not None and others.any() else background
    choices = [border if border.any() else background, elsewhere, background]
    choices[1] = choices[1] if choices[1].any() else background
    pixels: dict[int, np.ndarray] = {}  # listing the pixels of a region is the costly part
    for kind in rng.choice(3, size=count, p=[0.5, 0.4, 0.1]).tolist():
        if kind not in pixels:
            pixels[kind] = np.flatnonzero(choices[kind])
        clicks.append(Click(*_draw(pixels[kind], target.shape[1], rng), False))
    return clicks


def ring(region: np.ndarray, expand_ratio: float = 0.1) -> np.ndarray:
    """The strip around a (H, W) bool region, ceil(ratio * sqrt(area)) pixels wide, as bool."""
    steps = math.ceil(expand_ratio * math.sqrt(float(region.sum())))
    grown = cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=steps)
    return (grown > 0) & ~region


def _eroded(region: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With probability 0.9 the region three pixels smaller, if more than 10 pixels are left."""
    if rng.random() < 0.9:
        kernel = np.ones((3, 3), np.uint8)
        small = cv2.erode(region.astype(np.uint8), kernel, iterations=3) > 0
        if small.sum() > 10:
            return small
    return region


def _geometric(largest: int, gamma: float, rng: np.random.Generator) -> int:
    """k in 0 … largest with P(k) proportional to gamma^k."""
    weights = gamma ** np.arange(largest + 1)
    return int(rng.choice(largest + 1, p=weights / weights.sum()))


def _draw(pixels: np.ndarray, width: int, rng: np.random.Generator) -> tuple[float, float]:
    """A uniformly random (x, y) of a region, given the numbers of its pixels in raster order."""
    y, x = divmod(int(pixels[rng.integers(len(pixels))]), width)
    return float(x), float(y)
