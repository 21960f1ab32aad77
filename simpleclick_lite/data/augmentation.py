"""Augmentation of training scenes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from .cache import CachedScene


@dataclass(frozen=True, eq=False)
class Augmented:
    """A scene cut and resized to the training size.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        layers: (S, S, L) uint8, see `CachedScene`.
        scene: what it was made from.
        ignored: (S, S) bool or None.
    """

    image: np.ndarray
    layers: np.ndarray
    scene: CachedScene
    ignored: np.ndarray | None

    @property
    def name(self) -> str:
        """The scene's name."""
        return self.scene.name

    def mask(self, index: int) -> np.ndarray:
        """(S, S) bool of one object."""
        return self.layers[..., self.scene.layer[index]] == self.scene.label[index]

    def areas(self) -> np.ndarray:
        """(K,) pixels of each object in the crop."""
        counts = [
            np.bincount(self.layers[..., i].ravel(), minlength=256)
            for i in range(self.layers.shape[-1])
        ]
        if not counts:
            return np.zeros(0, np.int64)
        return np.stack(counts)[self.scene.layer, self.scene.label]

    def others(self, target: np.ndarray) -> np.ndarray:
        """(S, S) bool: pixels of any object that are not in the target."""
        return self.layers.any(-1) & (target == 0)


def augment_scene(
    scene: CachedScene, config: Any, wanted: int | None, rng: np.random.Generator
) -> Augmented:
    """Cut a random crop of the scene, change its colors."""
    box = zoom_box(scene, wanted, rng)
    x0, y0, x1, y1 = box
    size = (config.image_size, config.image_size)
    flip = rng.random() < 0.5
    shrinks = min(x1 - x0, y1 - y0) > 1.5 * config.image_size
    image = cv2.resize(
        scene.image[y0:y1, x0:x1],
        size,
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    layers = scene.layers[y0:y1, x0:x1]
    if layers.shape[-1]:
        layers = np.ascontiguousarray(layers)
        layers = cv2.resize(layers, size, interpolation=cv2.INTER_NEAREST)
        layers = layers.reshape(*size, -1)
    else:
        layers = np.zeros((*size, 0), np.uint8)
    ignored = None
    if scene.ignored is not None:
        ignored = scene.ignored[y0:y1, x0:x1].astype(np.uint8)
        ignored = cv2.resize(ignored, size, interpolation=cv2.INTER_NEAREST) > 0
    if flip:
        image, layers = image[:, ::-1], layers[:, ::-1]
        ignored = None if ignored is None else ignored[:, ::-1]
    image = cv2.LUT(np.ascontiguousarray(image), color_table(rng))
    if rng.random() < 0.05:
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        image = cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)
    return Augmented(image, np.ascontiguousarray(layers), scene, ignored)


def zoom_box(
    scene: CachedScene, wanted: int | None, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A crop as the predictor would make it: the whole image, or a box around the object."""
    height, width = scene.image.shape[:2]
    if wanted is None or rng.random() < 0.4:
        # the whole image, or most of it
        share = rng.uniform(0.7, 1.0) if rng.random() < 0.5 else 1.0
        w, h = share * width, share * height
        x0, y0 = rng.uniform(0, width - w), rng.uniform(0, height - h)
    else:
        left, top, right, bottom = scene.boxes[wanted]
        factor = np.exp(rng.uniform(np.log(1.1), np.log(3.0)))
        w, h = (right - left) * factor, (bottom - top) * factor
        longest = max(w, h)
        least = max(32.0, longest * rng.uniform(0.4, 1.0))
        w, h = min(max(w, least), width), min(max(h, least), height)
        # the object's box stays inside, anywhere
        cx, cy = (left + right) / 2, (top + bottom) / 2
        slack_x, slack_y = (w - (right - left)) / 2, (h - (bottom - top)) / 2
        x0 = cx - w / 2 + rng.uniform(-1, 1) * abs(slack_x)
        y0 = cy - h / 2 + rng.uniform(-1, 1) * abs(slack_y)
    x0, y0 = min(max(x0, 0), width - w), min(max(y0, 0), height - h)
    x0, y0 = int(x0), int(y0)
    return x0, y0, min(width, max(x0 + 2, round(x0 + w))), min(height, max(y0 + 2, round(y0 + h)))


def color_table(rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast and a shift of each channel as one (256, 1, 3) uint8 table."""
    values = np.arange(256, dtype=np.float32)[:, None].repeat(3, 1)
    if rng.random() < 0.75:
        contrast, brightness = rng.uniform(-0.15, 0.4), rng.uniform(-0.25, 0.25)
        values = values * (1 + contrast) + 255 * brightness
        values = np.clip(values, 0, 255)
    if rng.random() < 0.75:
        values = values + rng.uniform(-10, 10, 3)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)[:, None]
