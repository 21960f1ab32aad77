"""Shadows, light and camera of the synthetic scenes: what hides a border, or fakes one."""

from __future__ import annotations

import cv2
import numpy as np

from .shapes import random_shape
from .textures import scale


def cast_shadow(
    rng: np.random.Generator, canvas: np.ndarray, cover: np.ndarray, box: tuple[int, int, int, int]
) -> None:
    """Darken a (S, S, 3) float32 canvas where an object, (S, S) coverage, keeps the light away."""
    radius = max(box[2], box[3])
    dx, dy = rng.uniform(-0.25, 0.25, 2) * radius
    matrix = np.float32([[1, 0, dx], [0, 1, abs(dy)]])
    shadow = cv2.warpAffine(cover, matrix, cover.shape[::-1])
    side = int(radius * rng.uniform(0.02, 0.15)) * 2 + 1
    shadow = cv2.blur(cv2.blur(shadow, (side, side)), (side, side))
    scale(canvas, 1 - np.float32(rng.uniform(0.2, 0.65) / 255) * shadow)


def lighten(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Uneven light over a (S, S, 3) float32 canvas, and shadows that belong to nobody."""
    size = canvas.shape[0]
    if rng.random() < 0.5:
        corners = (1 + rng.normal(0, 0.18, (2, 2))).astype(np.float32)
        scale(canvas, cv2.resize(corners, (size, size)))
    if rng.random() < 0.2:
        shadow = random_shape(rng, size, rng.uniform(0, size, 2), size * rng.uniform(0.2, 0.6))[0]
        side = int(size * rng.uniform(0.004, 0.05)) * 2 + 1
        shadow = cv2.blur(shadow, (side, side))
        scale(canvas, 1 - np.float32(rng.uniform(0.15, 0.5) / 255) * shadow)
    return canvas


def photograph(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Exposure, blur, noise and compression. Returns (S, S, 3) uint8."""
    size = canvas.shape[0]
    gain = np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.04, 3))
    canvas *= np.tile(gain.astype(np.float32), size)[None].reshape(1, size, 3)
    canvas += np.float32(rng.normal(0, 8))
    if rng.random() < 0.1:
        canvas = cv2.transform(canvas, np.full((3, 3), 1 / 3, np.float32))
    blur = rng.random()
    if blur < 0.5:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.4, 1.2) * size / 224 + 0.05)
    elif blur < 0.6:  # moved
        kernel = np.zeros((7, 7), np.float32)
        dx, dy = rng.integers(-3, 4, 2).tolist()
        cv2.line(kernel, (3 - dx, 3 - dy), (3 + dx, 3 + dy), 1)
        canvas = cv2.filter2D(canvas, -1, kernel / kernel.sum())
    if rng.random() < 0.6:
        strength = min(rng.gamma(1.5, 3), 24)
        noise = rng.integers(-128, 128, canvas.shape, dtype=np.int8)
        canvas = canvas + noise * np.float32(strength / 74)
    image = cv2.convertScaleAbs(np.maximum(canvas, 0, out=canvas))
    if rng.random() < 0.35:
        quality = int(rng.integers(30, 95))
        coded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
        image = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return image
