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
from collections.abc import Callable

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


def _zoom(side: int, colors: bool = True, **crops: float | bool) -> v2.Transform:
    moves = Geometry(ZoomCrop(side, **crops), HorizontalFlip())
    return v2.Compose([moves, _published_colors(), Gray()] if colors else [moves])


def _sbd(side: int) -> v2.Transform:
    moves = (UniformScale(0.75, 1.25), AnyFlip(), QuarterTurns(), ShiftRotate())
    return v2.Compose([Geometry(*moves, PadIfNeeded(side), RandomCrop(side)), _published_colors()])


def _cocolvis(side: int) -> v2.Transform:
    moves = (UniformScale(0.75, 1.40), HorizontalFlip())
    return v2.Compose([Geometry(*moves, PadIfNeeded(side), RandomCrop(side)), _published_colors()])


RECIPES: dict[str, Callable[[int], v2.Transform]] = {
    "zoom": _zoom,
    "zoom_fixed": functools.partial(_zoom, jitter=False),
    "zoom_plain": functools.partial(_zoom, colors=False),
    "whole": functools.partial(_zoom, whole=1.0),
    "sbd": _sbd,
    "cocolvis": _cocolvis,
    "none": SquareResize,
}


@functools.lru_cache(maxsize=32)
def pipeline(name: str, side: int) -> v2.Transform:
    """The augmentation of a recipe.

    Args:
        name: "zoom", crops as the predictor makes them; "zoom_fixed", these without scale jitter;
            "zoom_plain", these without changes of color; "whole", these without crops around
            objects; "sbd" and "cocolvis" as published; "none", the whole image resized.
        side: of the square result in pixels.

    Raises:
        InputError: another name.
    """
    if name not in RECIPES:
        raise InputError(f"augmentation {name!r} is not one of {', '.join(RECIPES)}")
    return RECIPES[name](side)
