"""A predictor without a network: fast, exact, sensitive to what a session might get wrong."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FakeAnswer:
    """What `Prediction` has, as far as the click tool reads it."""

    mask: np.ndarray
    probability: np.ndarray
    crop: tuple[int, int, int, int]
    milliseconds: float


class FakePredictor:
    """Disks around the clicks, blended with the previous mask, so that the order of clicks matters.

    Args:
        radius: of the disks, in pixels.
        seconds: how long one answer takes.

    Attributes:
        asked: how many clicks each answer was asked for.
        fail: the error that the next answer raises instead, once.
    """

    def __init__(self, radius: float = 8, seconds: float = 0) -> None:
        self.radius, self.seconds = radius, seconds
        self.asked: list[int] = []
        self.images = 0
        self.fail: Exception | None = None

    def set_image(self, image: np.ndarray) -> None:
        self.size = image.shape[:2]
        self.images += 1

    def predict(self, points, labels, previous_mask=None) -> FakeAnswer:
        start = time.perf_counter()
        time.sleep(self.seconds)
        self.asked.append(len(points))
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error
        probability = np.zeros(self.size, np.float32)
        reach = int(self.radius) + 1
        for (x, y), label in zip(points, labels, strict=True):
            left, top = max(int(x) - reach, 0), max(int(y) - reach, 0)
            part = probability[top : int(y) + reach + 1, left : int(x) + reach + 1]
            rows, columns = np.mgrid[: part.shape[0], : part.shape[1]]
            disk = (rows + top - y) ** 2 + (columns + left - x) ** 2 <= self.radius**2
            part[disk] = 1.0 if label else 0.0
        if previous_mask is not None:
            # a soft trace of the last answer: another previous mask is another probability
            probability = 0.75 * probability + 0.25 * previous_mask.astype(np.float32)
        height, width = self.size
        milliseconds = (time.perf_counter() - start) * 1000
        return FakeAnswer(probability > 0.49, probability, (0, 0, width, height), milliseconds)
