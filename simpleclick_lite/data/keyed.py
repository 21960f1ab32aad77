"""Transforms whose randomness travels with the sample: the base class of all augmentation."""

from __future__ import annotations

from typing import Any

import numpy as np
from torchvision.transforms import v2


class Keyed(v2.Transform):
    """A transform whose randomness is the sample's own: the numpy Generator under "rng"."""

    def draw(self, rng: np.random.Generator, size: tuple[int, int], box: np.ndarray | None) -> dict:
        """Choose the parameters for one sample.

        Args:
            rng: the sample's source of randomness.
            size: (H, W) of the sample before this transform.
            box: x0, y0, x1, y1 of the wanted object, or None.
        """
        raise NotImplementedError

    def forward(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Draw once, then transform every entry of the sample."""
        size = (sample["image"].shape[-2], sample["image"].shape[-1])
        box = sample["box"].numpy().reshape(4) if "box" in sample else None
        params = self.draw(sample["rng"], size, box)
        return {key: self.transform(value, params) for key, value in sample.items()}

    def probably(self, rng: np.random.Generator, p: float) -> bool:
        """True with probability p; always draws, so that the stream does not depend on p."""
        return bool(rng.random() < p)
