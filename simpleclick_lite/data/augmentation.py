"""Augmentation of training scenes: torchvision v2 transforms on tv_tensors.

Explained in notebooks/09_training.ipynb. Two habits differ from torchvision's own transforms, so
all of these are subclasses of ours:

- Randomness comes from a `numpy.random.Generator` that travels with the sample, under the key
  "rng". The same sample is then the same everywhere, whatever ran before it in the process.
- What moves pixels is a matrix; a chain of them resamples once (geometry.py). So do colors
  (colors.py).

A sample is a dict: {"image": Image (3, H, W) uint8, "layers": Mask (L, H, W) uint8, "rng": …}, and
may hold a "box": BoundingBoxes (1, 4) of the object that the crop should show.
"""

from __future__ import annotations

import functools

from torchvision.transforms import v2

from ..errors import InputError
from .colors import BrightnessContrast, Colors, Gray, RGBShift
from .geometry import (
    AnyFlip,
    Geometry,
    HorizontalFlip,
    PadIfNeeded,
    QuarterTurns,
    RandomCrop,
    ShiftRotate,
    SquareResize,
    UniformScale,
    ZoomCrop,
)


def _published_colors() -> Colors:
    return Colors(BrightnessContrast(), RGBShift())


@functools.lru_cache(maxsize=32)
def pipeline(name: str, side: int) -> v2.Transform:
    """The augmentation of a recipe.

    Args:
        name: "sbd" and "cocolvis" as published; "zoom", crops as the predictor makes them; "none",
            the whole image resized.
        side: of the square result in pixels.

    Raises:
        InputError: another name.
    """
    crop = (PadIfNeeded(side), RandomCrop(side))
    if name == "sbd":
        moves = (UniformScale(0.75, 1.25), AnyFlip(), QuarterTurns(), ShiftRotate(), *crop)
        return v2.Compose([Geometry(*moves), _published_colors()])
    if name == "cocolvis":
        moves = (UniformScale(0.75, 1.40), HorizontalFlip(), *crop)
        return v2.Compose([Geometry(*moves), _published_colors()])
    if name == "zoom":
        return v2.Compose([Geometry(ZoomCrop(side), HorizontalFlip()), _published_colors(), Gray()])
    if name == "none":
        return SquareResize(side)
    raise InputError(f"augmentation {name!r} is not one of sbd, cocolvis, zoom, none")
