"""Augmentation by what cameras and files do to a photograph: blur and JPEG."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torchvision import tv_tensors

from .keyed import Keyed


class Blur(Keyed):
    """With probability `p` a Gaussian blur of up to `most` pixels, as out of focus.

    Images are (3, H, W) uint8; masks and boxes stay.

    Args:
        p: the probability.
        most: largest standard deviation in pixels of the sample.
    """

    def __init__(self, p: float = 0.2, most: float = 2.0):
        super().__init__()
        self.p, self.most = p, most

    def draw(self, rng: np.random.Generator, size: tuple[int, int], box: np.ndarray | None) -> dict:
        """The standard deviation, 0 for none."""
        applies = self.probably(rng, self.p)
        return {"sigma": rng.uniform(0.15, 1.0) * self.most * applies}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Masks stay sharp."""
        if not (params["sigma"] and isinstance(inpt, tv_tensors.Image)):
            return inpt
        array = np.ascontiguousarray(inpt.permute(1, 2, 0).numpy())
        made = cv2.GaussianBlur(array, (0, 0), params["sigma"])
        return tv_tensors.Image(torch.from_numpy(made).permute(2, 0, 1))


class Jpeg(Keyed):
    """With probability `p` saved as JPEG and read again.

    Images are (3, H, W) uint8 RGB; masks and boxes stay.

    Args:
        p: the probability.
        quality: lowest and highest quality, of 100.
    """

    def __init__(self, p: float = 0.3, quality: tuple[int, int] = (25, 90)):
        super().__init__()
        self.p, self.quality = p, quality

    def draw(self, rng: np.random.Generator, size: tuple[int, int], box: np.ndarray | None) -> dict:
        """The quality, 0 for none."""
        applies = self.probably(rng, self.p)
        return {"quality": int(rng.integers(self.quality[0], self.quality[1] + 1)) * applies}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Masks stay as they are."""
        if not (params["quality"] and isinstance(inpt, tv_tensors.Image)):
            return inpt
        # OpenCV takes BGR, and JPEG weighs red and blue differently
        array = np.ascontiguousarray(inpt.permute(1, 2, 0).numpy()[..., ::-1])
        _, data = cv2.imencode(".jpg", array, [cv2.IMWRITE_JPEG_QUALITY, params["quality"]])
        made = np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
        return tv_tensors.Image(torch.from_numpy(made).permute(2, 0, 1))


def worn(image: np.ndarray, blur: float, jpeg: float, rng: np.random.Generator) -> np.ndarray:
    """The image as a worse camera or a smaller file would show it.

    Args:
        image: (H, W, 3) uint8 RGB.
        blur, jpeg: probability of a blur, and of JPEG's traces after it.
        rng: source of randomness; nothing is drawn for a probability of 0.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    sample = {"image": tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1)), "rng": rng}
    for step in [Blur(blur)] * bool(blur) + [Jpeg(jpeg)] * bool(jpeg):
        sample = step(sample)
    return np.ascontiguousarray(sample["image"].permute(1, 2, 0).numpy())
