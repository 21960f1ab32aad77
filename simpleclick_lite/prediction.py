"""What goes with a click: the state it continues from, what the network is shown, the answer."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from .clicks import DISK_RADIUS, Click, click_map
from .crop import Box
from .kept_crops import KeptCrops


@dataclass(frozen=True)
class State:
    """What the next click continues from: clicks so far, their answer, and the crop."""

    clicks: tuple[Click, ...] = ()
    probability: np.ndarray | None = None  # (H, W) float32
    box: Box | None = None


@dataclass(frozen=True)
class Prediction:
    """The answer to one click, and what the network was shown for it."""

    mask: np.ndarray  # (H, W) bool
    probability: np.ndarray  # (H, W) float32
    crop: tuple[int, int, int, int]  # x0, y0, x1, y1 in image pixels, x1 and y1 not included
    milliseconds: float
    state: State  # pass it back to continue from here, or keep it to undo
    net_image: Tensor = field(repr=False)  # (1, 3, h, w) in [0, 1]: crop as the network saw it
    net_points: Tensor = field(repr=False)  # (1, N, 2) xy in the crop
    net_labels: Tensor = field(repr=False)  # (1, N)
    net_previous_mask: Tensor = field(repr=False)  # (1, 1, h, w)
    disk_radius: float = DISK_RADIUS  # pixels of the crop
    cached: bool = False  # late fusion: the image part of this crop was known already

    def click_map(self) -> np.ndarray:
        """The (3, h, w) click map the network saw: previous mask, positive, negative disks."""
        shown = click_map(
            self.net_points, self.net_labels, self.net_previous_mask, self.disk_radius
        )
        return shown[0].cpu().numpy()


@dataclass(frozen=True)
class View:
    """What the network is shown for one object, and what its answer continues from."""

    state: State
    clicks: tuple[Click, ...]
    crops: KeptCrops
    box: Box
    image: Tensor  # (1, 3, h, w) in [0, 1]
    points: Tensor  # (1, N, 2) xy in the crop
    labels: Tensor  # (1, N)
    previous: Tensor  # (1, 1, h, w)
    start: float  # seconds, when the click came
