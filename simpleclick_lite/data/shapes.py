"""Outlines for the synthetic scenes; every shape is a list of parts.

A part is (S, S) uint8 coverage of a square canvas, 0 to 255, with smooth borders. Shapes range from
disks to figures with limbs, from threads of two pixels to patches with holes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np

Parts = list[np.ndarray]
_SHIFT = 4  # fractional bits of the coordinates that OpenCV draws


def _fill(size: int, *polygons: np.ndarray) -> np.ndarray:
    """Coverage of polygons given as (N, 2) xy; a polygon inside another one is a hole."""
    canvas = np.zeros((size, size), np.uint8)
    points = [np.round(p * 2**_SHIFT).astype(np.int32) for p in polygons]
    cv2.fillPoly(canvas, points, 255, cv2.LINE_AA, _SHIFT)
    return canvas


def _thread(size: int, points: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Coverage of a line through (N, 2) xy whose width changes from point to point."""
    canvas = np.zeros((size, size), np.uint8)
    fixed = np.round(points * 2**_SHIFT).astype(np.int32)
    for a, b, width in zip(fixed[:-1], fixed[1:], widths, strict=False):
        line = max(1, round(float(width)))
        cv2.line(canvas, a.tolist(), b.tolist(), 255, line, cv2.LINE_AA, _SHIFT)
    return canvas


def _curve(control: np.ndarray, count: int = 24) -> np.ndarray:
    """(count, 2) points of the Bezier curve of degree 3 with 4 control points."""
    t = np.linspace(0, 1, count)[:, None]
    a, b, c, d = control
    return a * (1 - t) ** 3 + 3 * b * t * (1 - t) ** 2 + 3 * c * t**2 * (1 - t) + d * t**3


def _outline(
    rng: np.random.Generator, center: np.ndarray, radius: float, wobble: float, count: int = 64
) -> np.ndarray:
    """(count, 2) xy of a closed curve: an ellipse whose radius wobbles."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    k = np.arange(2, 8)[:, None]
    waves = np.cos(k * angle + rng.uniform(0, 6.3, (6, 1)))
    r = 1 + (wobble / k * rng.standard_normal((6, 1)) * waves).sum(axis=0)
    aspect = np.exp(rng.uniform(-0.6, 0.6))
    x = np.abs(r) * np.cos(angle) * np.sqrt(aspect)
    y = np.abs(r) * np.sin(angle) / np.sqrt(aspect)
    turn = rng.uniform(0, np.pi)
    points = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], 1)
    return center + radius * points


def blob(rng: np.random.Generator, size: int, center: np.ndarray, radius: float) -> Parts:
    """A disk, an ellipse or an amoeba."""
    return [_fill(size, _outline(rng, center, radius, rng.choice((0, 0.3, 0.9))))]


def polygon(rng: np.random.Generator, size: int, center: np.ndarray, radius: float) -> Parts:
    """A polygon of 3 to 9 corners, convex or jagged."""
    count = int(rng.integers(3, 10))
    angle = np.sort(rng.uniform(0, 2 * np.pi, count))
    if rng.random() < 0.6:
        angle = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(0, 6.3)
    r = radius * rng.uniform(rng.uniform(0.3, 1), 1.15, count)
    stretch = np.exp(rng.uniform(-0.5, 0.5))
    points = np.stack([r * np.cos(angle) * stretch, r * np.sin(angle) / stretch], 1)
    return [_fill(size, center + points)]


def box(rng: np.random.Generator, size: int, center: np.ndarray, radius: float) -> Parts:
    """A box seen at a slant: front, top and side are parts."""
    w, h = radius * rng.uniform(0.45, 1.0, 2)
    depth = (
        np.array([rng.choice((-1, 1)) * rng.uniform(0.2, 0.7), -rng.uniform(0.15, 0.6)]) * radius
    )
    turn = rng.normal(0, 0.25)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    lt, rt, rb, lb = np.array([[-w, -h], [w, -h], [w, h], [-w, h]])
    side = [rt, rb, rb + depth, rt + depth] if depth[0] > 0 else [lt, lb, lb + depth, lt + depth]
    faces = [[lt, rt, rb, lb], [lt, rt, rt + depth, lt + depth], side]
    return [_fill(size, center + np.array(face) @ matrix) for face in faces]


def figure(rng: np.random.Generator, size: int, center: np.ndarray, radius: float) -> Parts:
    """A body with a head and limbs: the outline of an animal, a person or a toy."""
    body = _outline(rng, center, radius * 0.55, 0.25)
    limbs = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.integers(2, 6))):
        start = body[rng.integers(0, len(body))]
        out = start - center
        out = out / (np.linalg.norm(out) + 1e-6) * radius * rng.uniform(0.4, 0.9)
        bend = np.array([-out[1], out[0]]) * rng.normal(0, 0.5)
        control = np.stack([start - out * 0.3, start, start + out / 2 + bend, start + out])
        width = radius * rng.uniform(0.06, 0.3)
        limbs = np.maximum(
            limbs, _thread(size, _curve(control, 10), np.linspace(width, width * 0.5, 9))
        )
    neck = body[rng.integers(0, len(body))]
    head = _outline(rng, neck + (neck - center) * 0.25, radius * rng.uniform(0.18, 0.35), 0.2)
    return [_fill(size, body), limbs, _fill(size, head)]


def thread(rng: np.random.Generator, size: int, center: np.ndarray, radius: float) -> Parts:
    """A rod, a cable or a snake."""
    control = center + radius * rng.uniform(-1.3, 1.3, (4, 2))
    if rng.random() < 0.3:
        control[1:3] = control[[0, 0]] + (control[3] - control[0]) * [[0.33], [0.66]]
    width = np.exp(rng.uniform(np.log(0.012), np.log(0.09))) * size
    widths = width * np.linspace(1, rng.uniform(0.3, 1), 24)
    return [_thread(size, _curve(control), np.maximum(widths, 2))]


def tree(rng: np.random.Generator, size: int, center: np.ndarray, radius: float) -> Parts:
    """A stem with branches, and a crown in some cases."""
    stem = np.array([center + [0, radius], center + rng.normal(0, 0.15, 2) * radius])
    parts = [_thread(size, stem, np.array([radius * rng.uniform(0.08, 0.25)]))]
    if rng.random() < 0.5:
        return [_fill(size, _outline(rng, stem[1], radius * 0.7, 1.0)), *parts]
    for _ in range(int(rng.integers(3, 8))):
        start = stem[0] + (stem[1] - stem[0]) * rng.uniform(0.3, 1)
        tip = start + radius * np.array([rng.uniform(-1, 1), -rng.uniform(0.1, 0.9)])
        branch = _thread(size, np.array([start, tip]), np.array([radius * rng.uniform(0.05, 0.12)]))
        parts[0] = np.maximum(parts[0], branch)
    return parts


def ring(rng: np.random.Generator, size: int, center: np.ndarray, radius: float) -> Parts:
    """A ring or a frame: an outline with a hole of its own form, or several holes."""
    outer = _outline(rng, center, radius, rng.choice((0, 0.2)))
    if rng.random() < 0.5:
        return [_fill(size, outer, center + (outer - center) * rng.uniform(0.4, 0.85))]
    holes = []
    for angle in np.linspace(0, 6.28, int(rng.integers(2, 5)), endpoint=False):
        middle = center + radius * 0.45 * np.array([np.cos(angle), np.sin(angle)])
        holes.append(_outline(rng, middle, radius * rng.uniform(0.1, 0.26), 0.1, 24))
    return [_fill(size, outer, *holes)]


def patch(rng: np.random.Generator, size: int, center: np.ndarray, radius: float) -> Parts:
    """The highest region of a random landscape: natural borders, often with holes."""
    cells = rng.standard_normal((int(rng.integers(4, 9)),) * 2, dtype=np.float32)
    height = cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC)
    y, x = np.ogrid[:size, :size]
    away = np.hypot(x - center[0], y - center[1]).astype(np.float32) / radius
    height = 1.6 - 1.6 * away**2 + 0.7 * height
    return [np.clip(height * 255 + 127, 0, 255).astype(np.uint8)]


def vase(rng: np.random.Generator, size: int, center: np.ndarray, radius: float) -> Parts:
    """A body that a wheel could turn, with a handle (and so a hole) in some cases."""
    t = np.linspace(-1, 1, 32)
    profile = np.interp(t, np.linspace(-1, 1, 6), rng.uniform(0.15, 0.7, 6)) * radius
    profile = np.convolve(np.pad(profile, 2, mode="edge"), np.ones(5) / 5, "valid")
    left, right = np.stack([-profile, t * radius], 1), np.stack([profile, t * radius], 1)[::-1]
    turn = rng.normal(0, 0.2)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    parts = [_fill(size, center + np.concatenate([left, right]) @ matrix)]
    if rng.random() < 0.5:
        middle = center + np.array([profile[16], 0]) @ matrix
        loop = _outline(rng, middle, radius * rng.uniform(0.3, 0.5), 0)
        parts.append(_fill(size, loop, middle + (loop - middle) * rng.uniform(0.5, 0.8)))
    return parts


def letter(rng: np.random.Generator, size: int, center: np.ndarray, radius: float) -> Parts:
    """A capital or a digit of a plain font."""
    text = "ABDEFGHKMNPQRSWXZ023456789&@"[rng.integers(0, 28)]
    font = int(rng.choice((cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX)))
    scale, width = radius / 11, max(2, int(radius * rng.uniform(0.12, 0.5)))
    canvas = np.zeros((size, size), np.uint8)
    corner = (int(center[0] - radius * 0.85), int(center[1] + radius))
    cv2.putText(canvas, text, corner, font, scale, 255, width, cv2.LINE_AA)
    matrix = cv2.getRotationMatrix2D(center.tolist(), float(rng.normal(0, 25)), 1)
    return [cv2.warpAffine(canvas, matrix, (size, size))]


@functools.lru_cache(maxsize=1)
def _horse() -> np.ndarray:
    from skimage import data

    return np.uint8(~data.horse()) * 255


def horse(rng: np.random.Generator, size: int, center: np.ndarray, radius: float) -> Parts:
    """The silhouette of a horse that scikit-image ships, stretched, turned and mirrored."""
    picture = _horse()
    height, width = picture.shape
    scale = 2.2 * radius / width
    turn = rng.normal(0, 0.3)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = scale * matrix * [rng.choice((-1, 1)) * rng.uniform(0.7, 1.2), rng.uniform(0.7, 1.2)]
    offset = center - matrix @ [width / 2, height / 2]
    return [cv2.warpAffine(picture, np.column_stack([matrix, offset]), (size, size))]


def cluster(rng: np.random.Generator, size: int, center: np.ndarray, radius: float) -> Parts:
    """Several blobs that touch: a bunch."""
    canvas = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.integers(3, 8))):
        middle = center + radius * rng.normal(0, 0.4, 2)
        outline = _outline(rng, middle, radius * rng.uniform(0.25, 0.5), 0.2, 32)
        canvas = np.maximum(canvas, _fill(size, outline))
    return [canvas]


SHAPES: dict[Callable[..., Parts], float] = {
    blob: 5,
    polygon: 3,
    box: 2,
    figure: 5,
    thread: 2,
    tree: 1.2,
    ring: 1.5,
    patch: 2.5,
    vase: 2,
    letter: 0.8,
    horse: 0.7,
    cluster: 1,
}  # shape -> how often, relative to the others


def random_shape(
    rng: np.random.Generator,
    size: int,
    center: np.ndarray,
    radius: float,
    shape: Callable[..., Parts] | None = None,
) -> Parts:
    """Draw one shape.

    Args:
        size: side S of the canvas in pixels.
        center: (2,) xy; radius: about half the extent, both in pixels.
        shape: one of `SHAPES`; by default chosen at random.

    Returns:
        1 to 3 parts, each (S, S) uint8 coverage.
    """
    if shape is None:
        weights = np.array(list(SHAPES.values()))
        shape = list(SHAPES)[rng.choice(len(SHAPES), p=weights / weights.sum())]
    return shape(rng, size, np.asarray(center, float), float(radius))
