"""What is known of one photograph: its last crop, resized, and what a network made of recent ones.

A predictor has one of these for each image, so that what is still being computed for an image that
was left can never be taken for the next one's.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from .as_written import touched
from .crop import Box
from .model import ImageState, SimpleClick

# the whole image for the next object, the present crop, some for undo, and as many more as objects
# of one image are answered together
KEPT_CROPS = 12
# with mirror averaging at 448 a crop takes 1 MB of xtiny and 5 of base, 14 and 34 with two branches
# of the pyramid cached
KEPT_BYTES = 160 * 2**20


class KeptCrops:
    """One image and what was computed from it.

    Args:
        image: (1, 3, H, W) uint8.
    """

    def __init__(self, image: Tensor) -> None:
        self.image = image
        self._last: tuple[tuple[Box, int], Tensor] | None = None
        # what the network knows of the last crops, newest last
        self._states: dict[Hashable, ImageState] = {}

    def resized(self, box: Box, side: int) -> Tensor:
        """The image inside `box`, (1, 3, side, side) in [0, 1]; resized once while it stays."""
        last = self._last
        if last is None or last[0] != (box, side):
            part = self.image[..., box.top : box.bottom + 1, box.left : box.right + 1]
            last = self._last = (box, side), resize(part.float() / 255, side)
        return last[1]

    def encoded(
        self, model: SimpleClick, box: Box, image: Tensor, weights: Hashable
    ) -> tuple[ImageState, bool]:
        """The part of the network that no click changes, computed once per crop.

        Where clicks enter before the backbone it is the image's patch embedding alone.

        Args:
            model: the network.
            box: the crop.
            image: (B, 3, h, w) in [0, 1], the crop and, with mirror averaging, its mirror image.
            weights: `fingerprint` of the network as it is now.

        Returns:
            the network's state, and whether it was known.
        """
        key = (box, tuple(image.shape), weights)
        known = self._states.pop(key, None)
        state = model.encode_image(image) if known is None else known
        self._states[key] = state
        self._drop()
        return state, known is not None

    def _drop(self) -> None:
        """Forget the oldest states while there are too many, but not the newest."""
        kept = [*self._states.items()]
        used = sum(_bytes(state) for _, state in kept)
        for count, (key, state) in zip(range(len(kept), 1, -1), kept, strict=False):
            if count <= KEPT_CROPS and used <= KEPT_BYTES:
                return
            used -= _bytes(state)
            self._states.pop(key, None)

    def forget(self) -> None:
        """Keep the image alone."""
        self._last = None
        self._states.clear()


def _bytes(state: ImageState) -> int:
    parts = [state.tokens, *state.maps.values()]
    return sum(part.nbytes for part in parts + ([] if state.fused is None else [state.fused]))


def resize(x: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Bilinear, corners on corners, as published: (B, C, H, W) to (B, C, *size)."""
    size = (size, size) if isinstance(size, int) else size
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def runs_in_two_parts(model: nn.Module) -> bool:
    """Whether a network may be run as `encode_image` and `decode`.

    One that is compiled, exported or wrapped is run whole, and so is one whose call somebody
    watches with hooks or has replaced.
    """
    return (
        isinstance(model, SimpleClick)
        and type(model).forward is SimpleClick.forward
        and model._compiled_call_impl is None
        and not touched(model)
        and not torch_module._global_forward_hooks
        and not torch_module._global_forward_pre_hooks
    )


def fingerprint(model: SimpleClick) -> Hashable:
    """Changes when the network, weights that `encode_image` uses or those who watch it do.

    Weights that are written to past PyTorch's counting (`weight.data`) are told by their first
    number.
    """
    found: list[Any] = [id(model)]
    used = model if model.config.fusion_block else model.embedding.image
    first = []
    for weight in used.parameters():
        version = 0 if weight.is_inference() else weight._version
        found += [weight.data_ptr(), version, weight.dtype, weight.device]
        first.append(weight.detach().reshape(-1)[:1].float())
    found += torch.cat(first).tolist() if first else []
    found += [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in used.modules()]
    return tuple(found)


def join(states: Sequence[ImageState], mirrored: bool) -> ImageState:
    """States of several images as one, in the order of a batch.

    Args:
        states: all of one grid.
        mirrored: each holds its mirror image as second; all of those follow all images.
    """
    if len(states) == 1:
        return states[0]

    def together(parts: Sequence[Tensor]) -> Tensor:
        if mirrored:
            parts = [part[:1] for part in parts] + [part[1:] for part in parts]
        return torch.cat([*parts])

    one = states[0]
    return ImageState(
        together([s.tokens for s in states]),
        one.grid,
        one.size,
        {index: together([s.maps[index] for s in states]) for index in one.maps},
        None if one.fused is None else together([s.fused for s in states]),
    )
