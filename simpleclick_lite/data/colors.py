"""Augmentation that changes colors; a chain of linear changes is computed at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import torch
from torchvision import tv_tensors

from .keyed import Keyed


class Color(Keyed):
    """A transform that makes x * factor + offset of each channel, limited to 0 … 255.

    Images are (3, H, W) uint8 RGB; masks and boxes stay.
    """

    def line(self, rng: np.random.Generator) -> tuple[float, np.ndarray | float]:
        """Choose the factor, above 0, and the offset, one for all channels or (3,)."""
        raise NotImplementedError

    def draw(self, rng: np.random.Generator, size: tuple[int, int], box: np.ndarray | None) -> dict:
        """Factor and offset, and the limits of what comes out, each (3,)."""
        return _limited_line([self.line(rng)])

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Every pixel, rounded once."""
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        matrix = np.column_stack([np.diag(params["factor"]), params["offset"]])
        made = cv2.transform(inpt.permute(1, 2, 0).numpy(), matrix)
        low, high = (np.rint(limit) for limit in params["limits"])
        made = cv2.max(made, (*low, 0)) if low.any() else made
        made = cv2.min(made, (*high, 255)) if (high < 255).any() else made
        return tv_tensors.Image(torch.from_numpy(made).permute(2, 0, 1))


class Colors(Color):
    """A chain of color transforms, computed at once: two limited lines make a limited line."""

    def __init__(self, *steps: Color):
        super().__init__()
        self.steps = torch.nn.ModuleList(steps)

    def draw(self, rng: np.random.Generator, size: tuple[int, int], box: np.ndarray | None) -> dict:
        """One after the other; each limits what the next one gets."""
        return _limited_line(step.line(rng) for step in self.steps)


def _limited_line(lines: Iterable[tuple[float, np.ndarray | float]]) -> dict[str, np.ndarray]:
    """What lines, each limited to 0 … 255, are one after the other."""
    factor, offset = np.ones(3), np.zeros(3)
    limits = np.array([[0.0] * 3, [255.0] * 3])
    for by, more in lines:
        factor, offset = factor * by, offset * by + more
        limits = np.clip(limits * by + more, 0, 255)
    return {"factor": factor, "offset": offset, "limits": limits}


class BrightnessContrast(Color):
    """With probability `p`: times 1 + contrast, plus brightness as a share of 255.

    torchvision's ColorJitter multiplies brightness and takes contrast around the mean; the
    published recipe adds brightness and takes contrast around zero.
    """

    def __init__(
        self,
        brightness: tuple[float, float] = (-0.25, 0.25),
        contrast: tuple[float, float] = (-0.15, 0.4),
        p: float = 0.75,
    ):
        super().__init__()
        self.brightness, self.contrast, self.p = brightness, contrast, p

    def line(self, rng):
        """Both limits are uniform."""
        applies = self.probably(rng, self.p)
        factor, more = 1 + rng.uniform(*self.contrast), 255 * rng.uniform(*self.brightness)
        return (factor, more) if applies else (1.0, 0.0)


class RGBShift(Color):
    """With probability `p` a uniform shift of each channel by up to `limit` of 255."""

    def __init__(self, limit: float = 10, p: float = 0.75):
        super().__init__()
        self.limit, self.p = limit, p

    def line(self, rng):
        """One real number per channel."""
        applies = self.probably(rng, self.p)
        more = rng.uniform(-self.limit, self.limit, 3)
        return 1.0, more if applies else 0.0


class Gray(Keyed):
    """With probability `p` a photograph (3, H, W) without color."""

    def __init__(self, p: float = 0.05):
        super().__init__()
        self.p = p

    def draw(self, rng: np.random.Generator, size: tuple[int, int], box: np.ndarray | None) -> dict:
        """Whether."""
        return {"gray": self.probably(rng, self.p)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Three equal channels."""
        if not (params["gray"] and isinstance(inpt, tv_tensors.Image)):
            return inpt
        array = np.ascontiguousarray(inpt.permute(1, 2, 0).numpy())
        gray = cv2.cvtColor(cv2.cvtColor(array, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return tv_tensors.Image(torch.from_numpy(gray).permute(2, 0, 1))
