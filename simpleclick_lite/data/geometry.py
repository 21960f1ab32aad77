"""Augmentation that moves pixels: a chain of matrices, and one resampling for all of them.

A geometric transform says which matrix it is. `Geometry` multiplies the matrices of a chain and
resamples once: one interpolation instead of three, and no pixel is computed that the crop throws
away.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch
from torchvision import tv_tensors

from .keyed import Keyed
from .warp import move_box, shift, stretch, warp


class Geometric(Keyed):
    """A transform that is a matrix: pixel (x, y, 1) of the sample -> pixel of the result."""

    def place(
        self, rng: np.random.Generator, size: tuple[int, int], box: np.ndarray | None
    ) -> tuple[np.ndarray, tuple[int, int]]:
        """Choose the matrix (3, 3) and the (H, W) of the result; arguments as in `draw`."""
        raise NotImplementedError

    def draw(self, rng: np.random.Generator, size: tuple[int, int], box: np.ndarray | None) -> dict:
        """The matrix and the new size."""
        matrix, new_size = self.place(rng, size, box)
        return {"matrix": matrix, "inverse": np.linalg.inv(matrix), "size": new_size}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resample images bilinearly and masks to the nearest pixel, zeros outside; move boxes."""
        inverse, size = params["inverse"], params["size"]
        if isinstance(inpt, tv_tensors.Image):
            return tv_tensors.Image(warp(inpt, inverse, size, cv2.INTER_LINEAR))
        if isinstance(inpt, tv_tensors.Mask):
            return tv_tensors.Mask(warp(inpt, inverse, size, cv2.INTER_NEAREST))
        if isinstance(inpt, tv_tensors.BoundingBoxes):
            moved = move_box(inpt.numpy().reshape(4), params["matrix"])
            return tv_tensors.BoundingBoxes(moved[None], format="XYXY", canvas_size=size)
        return inpt


class Geometry(Geometric):
    """A chain of geometric transforms, resampled once.

    Args:
        steps: applied in this order.
    """

    def __init__(self, *steps: Geometric):
        super().__init__()
        self.steps = torch.nn.ModuleList(steps)

    def place(self, rng, size, box):
        """The product of all matrices."""
        total = np.eye(3)
        for step in self.steps:
            moved = None if box is None else move_box(box, total)
            matrix, size = step.place(rng, size, moved)
            total = matrix @ total
        return total, size


class UniformScale(Geometric):
    """One random scale for both axes, uniform between `low` and `high`."""

    def __init__(self, low: float, high: float):
        super().__init__()
        self.low, self.high = low, high

    def place(self, rng, size, box):
        """Height and width are rounded to whole pixels."""
        scale = rng.uniform(self.low, self.high)
        new = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        return stretch(new[1] / size[1], new[0] / size[0]), new


class HorizontalFlip(Geometric):
    """Left and right swapped with probability `p`."""

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def place(self, rng, size, box):
        """x becomes W - 1 - x."""
        matrix = np.eye(3)
        if self.probably(rng, self.p):
            matrix = np.array([[-1, 0, size[1] - 1], [0, 1, 0], [0, 0, 1.0]])
        return matrix, size


class AnyFlip(Geometric):
    """With probability `p` one of: upside down, left and right swapped, both; equally likely."""

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def place(self, rng, size, box):
        """A diagonal of signs."""
        flips = self.probably(rng, self.p)
        kind = int(rng.integers(3))
        x, y = ((1, -1), (-1, 1), (-1, -1))[kind] if flips else (1, 1)
        across, down = (size[1] - 1 if x < 0 else 0), (size[0] - 1 if y < 0 else 0)
        return np.array([[x, 0, across], [0, y, down], [0, 0, 1.0]]), size


class QuarterTurns(Geometric):
    """With probability `p` 0 to 3 quarter turns, equally likely."""

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def place(self, rng, size, box):
        """Counterclockwise, as numpy.rot90."""
        turns = int(rng.integers(4)) * self.probably(rng, self.p)
        matrix = np.eye(3)
        for _ in range(turns):
            turn = np.array([[0, 1, 0], [-1, 0, size[1] - 1], [0, 0, 1.0]])
            matrix, size = turn @ matrix, size[::-1]
        return matrix, size


class ShiftRotate(Geometric):
    """With probability `p` a small shift and rotation around the center; zeros come in."""

    def __init__(self, shift_limit: float = 0.03, rotate_limit: float = 3.0, p: float = 0.75):
        super().__init__()
        self.shift_limit, self.rotate_limit, self.p = shift_limit, rotate_limit, p

    def place(self, rng, size, box):
        """Shift as a share of the sides, angle in degrees."""
        applies = self.probably(rng, self.p)
        angle = math.radians(rng.uniform(-self.rotate_limit, self.rotate_limit))
        across, down = rng.uniform(-self.shift_limit, self.shift_limit, 2)
        if not applies:
            return np.eye(3), size
        height, width = size
        c, s = math.cos(angle), math.sin(angle)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
        x, y = (width - 1) / 2, (height - 1) / 2
        return shift(x + across * width, y + down * height) @ turn @ shift(-x, -y), size


class PadIfNeeded(Geometric):
    """Zeros around a sample that is smaller than `side`, which stays in the middle."""

    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def place(self, rng, size, box):
        """An odd pixel goes to the right and the bottom."""
        more = [max(0, self.side - s) for s in size]
        return shift(more[1] // 2, more[0] // 2), (size[0] + more[0], size[1] + more[1])


class RandomCrop(Geometric):
    """A square of `side` pixels, anywhere inside."""

    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def place(self, rng, size, box):
        """Needs a sample at least as large as the square."""
        top = int(rng.integers(max(0, size[0] - self.side) + 1))
        left = int(rng.integers(max(0, size[1] - self.side) + 1))
        return shift(-left, -top), (self.side, self.side)


class ZoomCrop(Geometric):
    """A crop like those that the predictor shows the network, resized to a square.

    At the first click the predictor shows the whole image, later a box around the object, both
    without keeping the aspect. So does this: the whole image or most of it, or a box that holds the
    wanted object and up to three times its size.

    Args:
        side: of the square in pixels.
        whole: probability of the whole image or most of it.
        jitter: of the scale; without it images are whole and boxes 1.8 times the object.
    """

    def __init__(self, side: int, whole: float = 0.4, jitter: bool = True):
        super().__init__()
        self.side, self.whole, self.jitter = side, whole, jitter

    def place(self, rng, size, box):
        """The box begins and ends at pixel borders."""
        height, width = size
        if self.probably(rng, self.whole) or box is None:
            share = rng.uniform(0.7, 1.0) if self.jitter and self.probably(rng, 0.5) else 1.0
            w, h = share * width, share * height
            x0, y0 = rng.uniform(0, width - w), rng.uniform(0, height - h)
        else:
            left, top, right, bottom = box
            low, middle, high = math.log(1.1), math.log(1.8), math.log(3.0)
            factor = math.exp(rng.uniform(low, high) if self.jitter else middle)
            w, h = (right - left) * factor, (bottom - top) * factor
            least = max(self.side / 2, max(w, h) * (rng.uniform(0.4, 1.0) if self.jitter else 0.7))
            w, h = min(max(w, least), width), min(max(h, least), height)
            # the object stays inside, anywhere
            x0 = (left + right - w) / 2 + rng.uniform(-0.5, 0.5) * abs(w - (right - left))
            y0 = (top + bottom - h) / 2 + rng.uniform(-0.5, 0.5) * abs(h - (bottom - top))
            x0, y0 = min(max(x0, 0), width - w), min(max(y0, 0), height - h)
        x0, y0 = int(x0), int(y0)
        x1 = min(width, max(x0 + 2, round(x0 + w)))
        y1 = min(height, max(y0 + 2, round(y0 + h)))
        scale = stretch(self.side / (x1 - x0), self.side / (y1 - y0))
        return scale @ shift(-x0, -y0), (self.side, self.side)


class SquareResize(Geometric):
    """The whole image as a square of `side` pixels, nothing random."""

    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def place(self, rng, size, box):
        """The aspect is not kept."""
        return stretch(self.side / size[1], self.side / size[0]), (self.side, self.side)
