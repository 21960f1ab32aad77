"""Surfaces for the synthetic scenes: a bank of gray tiles, and styles that color and place them.

Half of the bank are pictures inside scikit-image's wheel (never one that `photos` evaluates on),
the other half is drawn: clouds, dead leaves, fur, wood, cells, weave.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import cv2
import numpy as np

TILE = 512  # pixels, side of every tile of the bank

# skimage.data functions whose files ship inside the wheel. Not here, because `photos` uses them:
# astronaut, camera, chelsea, coffee, coins, rocket, stereo_motorcycle, retina, cell,
# immunohistochemistry.
WHEEL = (
    "brick",
    "grass",
    "gravel",
    "moon",
    "text",
    "page",
    "clock",
    "hubble_deep_field",
    "microaneurysms",
)


def _tile(gray: np.ndarray) -> np.ndarray:
    """Any gray picture as a (TILE, TILE) uint8 tile that uses the whole range of values."""
    gray = np.asarray(gray, np.float32)
    side = min(gray.shape)
    gray = cv2.resize(gray[:side, :side], (TILE, TILE), interpolation=cv2.INTER_CUBIC)
    low, high = np.percentile(gray, (1, 99))
    return np.clip((gray - low) * (255 / max(high - low, 1e-3)), 0, 255).astype(np.uint8)


def _clouds(rng: np.random.Generator, roughness: float) -> np.ndarray:
    """Noise whose octaves fade by the factor `roughness`."""
    total = np.zeros((TILE, TILE), np.float32)
    for octave in range(2, 9):
        cells = rng.standard_normal((2**octave, 2**octave), dtype=np.float32)
        total += roughness**octave * cv2.resize(cells, (TILE, TILE), interpolation=cv2.INTER_CUBIC)
    return total


def _dead_leaves(rng: np.random.Generator, count: int) -> np.ndarray:
    """Overlapping disks of all sizes, whose statistics are close to those of photographs."""
    canvas = np.full((TILE, TILE), 128, np.uint8)
    for radius in np.sort(4 / rng.uniform(0.04, 1, count))[::-1]:
        center = rng.integers(0, TILE, 2).tolist()
        axes = (int(radius), max(2, int(radius * rng.uniform(0.3, 1))))
        angle = float(rng.uniform(0, 180))
        shade = int(rng.integers(0, 256))
        cv2.ellipse(canvas, center, axes, angle, 0, 360, shade, -1, cv2.LINE_AA)
    return canvas


def _fur(rng: np.random.Generator) -> np.ndarray:
    """Noise smeared along one direction."""
    noise = rng.standard_normal((TILE, TILE), dtype=np.float32)
    return cv2.blur(cv2.GaussianBlur(noise, (0, 0), 0.8), (25, 1))


def _waves(rng: np.random.Generator, period: float, bend: float) -> np.ndarray:
    """Stripes `period` pixels apart, bent by noise: cloth when straight, wood when bent."""
    x = np.arange(TILE, dtype=np.float32)[None, :]
    return np.sin((x + bend * _clouds(rng, 0.5)) * (2 * np.pi / period))


def _cells(rng: np.random.Generator, count: int) -> np.ndarray:
    """Distance to the nearest of some random points: scales, pebbles."""
    seeds = np.full((TILE, TILE), 255, np.uint8)
    seeds[tuple(rng.integers(0, TILE, (2, count)))] = 0
    return cv2.distanceTransform(seeds, cv2.DIST_L2, 5)


@functools.lru_cache(maxsize=1)
def bank() -> tuple[tuple[np.ndarray, ...], ...]:
    """All tiles, each as a pyramid of (TILE, TILE) uint8 and its halves; the same on every call."""
    from skimage import data

    tiles = []
    for name in WHEEL:
        picture = getattr(data, name)()
        tiles.append(_tile(picture if picture.ndim == 2 else picture.mean(axis=2)))
    tiles.append(np.ascontiguousarray(_tile(data.gravel()[256:, 256:])))
    rng = np.random.default_rng(20230924)
    tiles += [_tile(_clouds(rng, roughness)) for roughness in (0.45, 0.6, 0.75, 0.9)]
    tiles += [_tile(_dead_leaves(rng, count)) for count in (800, 4000)]
    tiles += [_tile(_cells(rng, count)) for count in (60, 700)]
    tiles += [_tile(_fur(rng)), _tile(_fur(rng) + 0.02 * _clouds(rng, 0.8))]
    tiles += [_tile(_waves(rng, period, bend)) for period, bend in ((24, 0), (40, 60), (90, 200))]
    tiles.append(_tile(_waves(rng, 32, 2) * _waves(rng, 32, 2).T))
    pyramids = []
    for tile in tiles:
        levels = [tile]
        while levels[-1].shape[0] > TILE // 4:
            levels.append(cv2.pyrDown(levels[-1]))
        pyramids.append(tuple(levels))
    return tuple(pyramids)


@dataclass(frozen=True)
class Style:
    """How one surface looks. Colors are RGB in 0..255.

    Attributes:
        tile: index into the bank; the light pattern.
        place: (scale, angle in radians, x, y) of the tile under the canvas.
        color: (3,) mean color.
        light: (3,) color added where the tile is white and taken away where it is black.
        stain: index of a second tile, enlarged, that varies the hue.
        hue: (3,) color added by the stain.
    """

    tile: int
    place: tuple[float, float, float, float]
    color: np.ndarray
    light: np.ndarray
    stain: int
    hue: np.ndarray


def random_color(rng: np.random.Generator) -> np.ndarray:
    """(3,) float32 RGB; more often muted than vivid, as in photographs."""
    gray = rng.beta(1.4, 1.6) * 250
    tint = rng.standard_normal(3)
    tint -= tint.mean()
    return np.clip(gray + tint * rng.gamma(1.2, 18), 4, 245).astype(np.float32)


def _place(rng: np.random.Generator) -> tuple[float, float, float, float]:
    x, y = rng.uniform(0, TILE, 2)
    return float(np.exp(rng.uniform(-1.3, 1.0))), float(rng.uniform(0, 2 * np.pi)), x, y


def random_style(rng: np.random.Generator) -> Style:
    """A surface drawn at random: from nearly plain to strongly patterned."""
    amplitude = np.exp(rng.uniform(np.log(3), np.log(85)))
    light = amplitude * (1 + 0.25 * rng.standard_normal(3))
    hue = rng.standard_normal(3) * rng.gamma(1.0, 8)
    first, second = rng.integers(0, len(bank()), 2).tolist()
    return Style(first, _place(rng), random_color(rng), light, second, hue)


def similar_style(rng: np.random.Generator, style: Style, distance: float) -> Style:
    """A surface that differs little from another: the object that hardly stands out.

    Args:
        distance: how far the mean color moves, in gray levels; the pattern is turned, moved or
            swapped as well.
    """
    step = rng.standard_normal(3) + rng.choice((-1.5, 1.5))
    color = np.clip(style.color + distance * step / np.linalg.norm(step) * 1.7, 0, 255)
    other = replace(
        style, color=color.astype(np.float32), light=style.light * rng.uniform(0.6, 1.5)
    )
    scale, angle, x, y = _place(rng)
    choice = rng.integers(0, 3)
    if choice == 0:  # the same stuff, turned
        return replace(other, place=(style.place[0] * rng.uniform(0.8, 1.25), angle, x, y))
    if choice == 1:  # the same stuff, coarser or finer
        return replace(other, place=(scale, style.place[1], x, y))
    return replace(other, tile=int(rng.integers(0, len(bank()))), place=(scale, angle, x, y))


def _lay(
    tile: int, place: tuple[float, float, float, float], height: int, width: int
) -> np.ndarray:
    """Part of a tile as (height, width) uint8, turned and scaled, mirrored beyond its border."""
    scale, angle, x, y = place
    levels = bank()[tile]
    level = int(np.clip(np.floor(np.log2(1 / scale)), 0, len(levels) - 1)) if scale < 1 else 0
    step = 1 / scale / 2**level  # pixels of the level per pixel of the canvas
    cos, sin = step * np.cos(angle), step * np.sin(angle)
    matrix = np.float32([[cos, -sin, x / 2**level], [sin, cos, y / 2**level]])
    return cv2.warpAffine(
        levels[level],
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )


def paint(style: Style, height: int, width: int) -> np.ndarray:
    """Cover a canvas with a surface.

    Returns:
        (height, width, 3) float32 RGB; values may lie a little outside 0..255.
    """
    light = _lay(style.tile, style.place, height, width)
    canvas = _color(light, style.light, style.color)
    if np.abs(style.hue).max() > 4:
        factor, angle, x, y = style.place
        place = (0.25 + 0.5 * factor, angle, y, x)
        small = _lay(style.stain, place, height // 4 + 1, width // 4 + 1)
        stain = _color(small, style.hue, np.zeros(3))
        cv2.add(canvas, cv2.resize(stain, (width, height)), dst=canvas)
    return canvas


def _color(gray: np.ndarray, gain: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Turn (H, W) uint8 into (H, W, 3) float32: base, plus or minus gain at white and black."""
    table = base + (np.arange(256)[:, None] - 128) / 128 * gain
    return cv2.LUT(cv2.merge((gray, gray, gray)), table.astype(np.float32)[None])


def blend(under: np.ndarray, over: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Lay one surface over another: both (H, W, 3) float32, weight (H, W) float32 in [0, 1]."""
    return cv2.blendLinear(over, under, weight, 1 - weight)


def scale(canvas: np.ndarray, factor: np.ndarray) -> None:
    """Multiply a (H, W, 3) float32 canvas in place by a (H, W) factor."""
    factor = factor.astype(np.float32, copy=False)
    canvas *= cv2.merge((factor, factor, factor))
