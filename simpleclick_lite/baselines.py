"""What a model must beat: a disk around each positive click, and OpenCV's grabCut.

Used by `simpleclick-lite evaluate --method disk|grabcut` and in notebook 10. Both see the same
robot's clicks as the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .clicks import Click, check_clicks
from .errors import InputError


@dataclass(frozen=True)
class Answer:
    """mask (H, W) bool: what `evaluate` reads."""

    mask: np.ndarray


def paint_disks(size: tuple[int, int], clicks: Sequence[Click], radius: float) -> np.ndarray:
    """(H, W) bool, true within `radius` pixels of any of the clicks."""
    rows = np.arange(size[0])[:, None]
    columns = np.arange(size[1])[None]
    mask = np.zeros(size, bool)
    for click in clicks:
        mask |= (rows - click.y) ** 2 + (columns - click.x) ** 2 <= radius**2
    return mask


def _checked(radius: float | None) -> float | None:
    if radius is not None and not 0 < radius < math.inf:
        raise InputError(f"radius must be a positive number of pixels, not {radius:g}")
    return radius


class DiskPredictor:
    """Answers every positive click with a disk of fixed radius, minus smaller negative ones.

    Args:
        radius: in pixels, or None for a sixth of the image's longer side.

    Raises:
        InputError: a radius that is no positive number.
    """

    method = "disk"

    def __init__(self, radius: float | None = None) -> None:
        self.radius = _checked(radius)
        self._size = (0, 0)

    def set_image(self, image: np.ndarray) -> None:
        """Take a new (H, W, 3) image; only its size matters."""
        self._size = image.shape[:2]

    def predict(self, points: Sequence[Sequence[float]], labels: Sequence[int]) -> Answer:
        """Disks around positive clicks; a negative click cuts out a quarter of that radius."""
        clicks = check_clicks(points, labels, self._size)
        radius = max(self._size) / 6 if self.radius is None else self.radius
        mask = paint_disks(self._size, [c for c in clicks if c.positive], radius)
        mask &= ~paint_disks(self._size, [c for c in clicks if not c.positive], radius / 4)
        return Answer(mask)


class GrabCutPredictor:
    """OpenCV's grabCut, seeded with the clicks.

    A disk of radius 8 around each click is sure, a larger disk around each positive click probable
    foreground, the rest probable background; three iterations.

    Args:
        sure_radius: of the disks that are certain, in pixels.
        iterations: of grabCut.
        radius: of the larger disks in pixels, or None for a sixth of the image's longer side.

    Raises:
        InputError: a radius that is no positive number.
    """

    method = "grabcut"

    def __init__(
        self, sure_radius: float = 8, iterations: int = 3, radius: float | None = None
    ) -> None:
        self.radius = _checked(radius)
        self.sure_radius, self.iterations = sure_radius, iterations
        self._image: np.ndarray | None = None

    def set_image(self, image: np.ndarray) -> None:
        """Take a new (H, W, 3) uint8 RGB image."""
        self._image = np.ascontiguousarray(image[..., ::-1])

    def predict(self, points: Sequence[Sequence[float]], labels: Sequence[int]) -> Answer:
        """Run grabCut from scratch with all clicks.

        Raises:
            InputError: no image set, or clicks that cannot be used.
        """
        if self._image is None:
            raise InputError("no image is set; call set_image(image) first")
        size = self._image.shape[:2]
        clicks = check_clicks(points, labels, size)
        seeds = np.full(size, cv2.GC_PR_BGD, np.uint8)
        positive = [c for c in clicks if c.positive]
        negative = [c for c in clicks if not c.positive]
        radius = max(size) / 6 if self.radius is None else self.radius
        seeds[paint_disks(size, positive, radius)] = cv2.GC_PR_FGD
        seeds[paint_disks(size, positive, self.sure_radius)] = cv2.GC_FGD
        seeds[paint_disks(size, negative, self.sure_radius)] = cv2.GC_BGD
        background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(0)
        try:
            cv2.grabCut(
                self._image,
                seeds,
                None,
                background,
                foreground,
                self.iterations,
                cv2.GC_INIT_WITH_MASK,
            )
        except cv2.error:  # one of the two classes is empty: nothing to separate
            return Answer(paint_disks(size, positive, self.sure_radius))
        return Answer((seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD))
