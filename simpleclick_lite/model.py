"""SimpleClick: the parts put together, and the presets micro, xtiny, base, large, huge.

Explained in notebooks/08_simpleclick.ipynb; figure 2 of the paper. Image and click map become
tokens, a plain ViT mixes them, a simple pyramid makes four scales, an MLP head gives logits. Where
the clicks enter can be changed: notebooks/14_fast_clicks.ipynb.
"""

# no `from __future__ import annotations` here: PyTorchModelHubMixin reads the type of `config` to
# know how to decode config.json, and a string would tell it nothing
from dataclasses import dataclass, field, replace

import torch.nn.functional as F  # noqa: N812
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from .backbone import PlainViT
from .clicks import click_map
from .embedding import PointEmbedding, PointTokens, SymmetricEmbedding, normalize
from .errors import InputError
from .head import MLPHead
from .model_config import (
    PRESETS,
    ModelConfig,
    check_config,
    config_from_dict,
    config_to_dict,
)
from .pyramid import DESIGNS, IMAGE, Pyramid

__all__ = [
    "FORMAT",
    "PRESETS",
    "ImageState",
    "ModelConfig",
    "SimpleClick",
    "build_model",
    "config_from_dict",
    "config_to_dict",
]

FORMAT = 1  # version of our saved folders; raised when old ones need translating


@dataclass(frozen=True)
class ImageState:
    """What the network knows of an image before any click; clicks in it can start from here.

    Attributes:
        tokens: (B, N, C) after the blocks that see the image alone; without such blocks the image
            patches, still without positions.
        grid: (h, w) of the tokens.
        size: (H, W) of the image.
        maps: block index, or `IMAGE` -> (B, C, h, w) maps that the pyramid reads and that no click
            changes.
        fused: (B, head channels, H_0, W_0) what the head made of the branches that read only them,
            or None.
    """

    tokens: Tensor
    grid: tuple[int, int]
    size: tuple[int, int]
    maps: dict[int, Tensor] = field(default_factory=dict)
    fused: Tensor | None = None


class SimpleClick(
    nn.Module,
    PyTorchModelHubMixin,
    coders={ModelConfig: (config_to_dict, config_from_dict)},
):
    """Click-based interactive segmentation with a plain ViT.

    Args:
        config: the shape of the network.

    Raises:
        InputError: a configuration that is no network, such as an image size that is no multiple
            of the patch size.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        check_config(config)
        self.config = config
        self.embedding = SymmetricEmbedding(config.patch_size, config.width)
        self.backbone = PlainViT(
            config.image_size, config.patch_size, config.width, config.depth, config.heads
        )
        self.points = PointEmbedding(config.width) if config.clicks == "sparse" else None
        self.pyramid = Pyramid(
            config.width,
            config.pyramid_channels,
            config.pyramid,
            config.depth,
            config.image_branches,
        )
        self.head = MLPHead(config.pyramid_channels, config.head_channels, config.dropout)
        self.backbone_frozen = False
        self.backbone_only = False  # set by load_model where the rest is still fresh

    def forward(
        self,
        image: Tensor,
        points: Tensor,
        labels: Tensor,
        previous_mask: Tensor | None = None,
    ) -> Tensor:
        """Segment the clicked object.

        Images of any size are padded at the right and bottom to multiples of the patch size, at
        least two patches (the coarsest map of the pyramid halves the grid), and the logits are
        cropped back.

        Args:
            image: (B, 3, H, W) float RGB in [0, 1].
            points: (B, N, 2) float xy in pixels of this image.
            labels: (B, N) int, 1 positive, 0 negative, -1 padding.
            previous_mask: (B, 1, H, W) probability after the last click; None is zeros.

        Returns:
            (B, 1, H, W) logits, before the sigmoid.

        Raises:
            ValueError: shapes that do not belong together.
        """
        _check_shapes(image, points, labels, previous_mask)
        return self.decode(self.encode_image(image), points, labels, previous_mask)

    def encode_image(self, image: Tensor) -> ImageState:
        """The part of `forward` that no click changes.

        Args:
            image: (B, 3, H, W) float RGB in [0, 1].

        Returns:
            what `decode` needs, as often as there are clicks on this image.
        """
        # float64 or half never meets float32
        return self._encode(normalize(image.to(self.backbone.pos_embed.dtype)))

    def decode(
        self,
        state: ImageState,
        points: Tensor,
        labels: Tensor,
        previous_mask: Tensor | None = None,
    ) -> Tensor:
        """The part of `forward` that clicks change.

        Args:
            state: of `encode_image`.
            points, labels, previous_mask: as in `forward`.

        Returns:
            (B, 1, H, W) logits.
        """
        height, width = state.size
        if previous_mask is None or not self.config.previous_mask:
            previous_mask = state.tokens.new_zeros(len(points), 1, height, width)
        previous_mask = previous_mask.to(state.tokens.dtype)
        if self.points is None:
            clicks = click_map(points, labels, previous_mask, self.config.disk_radius)
            return self._decode(state, clicks)
        # the previous mask stays an image, as in SAM; its click map has no disks
        clicks = F.pad(previous_mask, (0, 0, 0, 0, 0, 2))
        tokens, used = self.points(points, labels, state.size)
        # SAM adds its code of places to the patches, too; here they share the ViT's own positions
        tokens = tokens + self.backbone.positions_at(points, state.grid)
        return self._decode(state, clicks, PointTokens(tokens, used))

    def segment(self, image: Tensor, clicks: Tensor) -> Tensor:
        """From normalized image and click map, both (B, 3, H, W), to logits (B, 1, H, W)."""
        return self._decode(self._encode(image), clicks)

    def features(self, image: Tensor, clicks: Tensor) -> dict[int, Tensor]:
        """The maps that the pyramid reads: block index, or `IMAGE` -> (B, C, h, w)."""
        state = self._encode(image)
        return state.maps | self._features(state, clicks)

    def _encode(self, image: Tensor) -> ImageState:
        """From a normalized image to what no click changes."""
        config, patch = self.config, self.config.patch_size
        size = (image.shape[-2], image.shape[-1])
        image = self._pad(image)
        grid = (image.shape[-2] // patch, image.shape[-1] // patch)
        tokens = self.embedding.image(image)
        if not config.fusion_block:
            return ImageState(tokens, grid, size)
        stages: list[Tensor] = []
        tokens = self.backbone.run_blocks(
            tokens + self.backbone.positions(grid),
            grid,
            0,
            config.fusion_block,
            stages if self.pyramid.multi_stage else None,
        )
        known = dict(enumerate(stages)) | {IMAGE: tokens}
        known.pop(config.depth - 1, None)  # clicks are added to the last map at the latest
        maps = {i: _to_map(known[i], grid) for i in {*self.pyramid.sources} & known.keys()}
        ready = self._ready(maps)
        fused = self.head.fuse_maps(self.pyramid(maps, 0, ready)) if ready else None
        return ImageState(tokens, grid, size, maps, fused)

    def _ready(self, maps: dict[int, Tensor]) -> int:
        """How many branches of the pyramid, finest first, read nothing but `maps`."""
        reads = [source in maps for source in self.pyramid.sources]
        return reads.index(False)  # the last branch reads the last map, which clicks change

    def _features(
        self, state: ImageState, clicks: Tensor, points: PointTokens | None = None
    ) -> dict[int, Tensor]:
        """The maps that clicks change: block index -> (B, C, h, w)."""
        start, last = self.config.fusion_block, self.config.depth - 1
        stages: list[Tensor] | None = [] if self.pyramid.multi_stage else None
        tokens = state.tokens + self.embedding.clicks(self._pad(clicks))
        tokens = self.backbone(tokens, state.grid, stages, start, points)
        found = dict(enumerate(stages or (), start)) | {last: tokens}
        return {i: _to_map(found[i], state.grid) for i in {*self.pyramid.sources} & found.keys()}

    def _decode(
        self, state: ImageState, clicks: Tensor, points: PointTokens | None = None
    ) -> Tensor:
        """From the image's state and a click map (B, 3, H, W) to logits (B, 1, H, W)."""
        maps = state.maps | self._features(state, clicks, points)
        logits = self.head(self.pyramid(maps, self._ready(state.maps)), state.fused)
        patch, (height, width) = self.config.patch_size, state.size
        size = (state.grid[0] * patch, state.grid[1] * patch)
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=True)
        return logits[..., :height, :width]

    def _pad(self, x: Tensor) -> Tensor:
        """Zeros at the right and bottom, to whole patches and at least two of them."""
        patch = self.config.patch_size
        pad = [max(2 * patch - side, -side % patch) for side in (x.shape[-1], x.shape[-2])]
        return F.pad(x, (0, pad[0], 0, pad[1])) if any(pad) else x

    def freeze_backbone(self, frozen: bool = True) -> "SimpleClick":
        """Stop (or restart) training of image patch embedding, positions and blocks.

        The click patch embedding, pyramid and head go on training: the paper's frozen ablation.
        """
        for part in (self.embedding.image, self.backbone):
            part.requires_grad_(not frozen)
        self.backbone_frozen = frozen
        return self


def build_model(name: str, image_size: int = 448, pyramid: str = "simple") -> SimpleClick:
    """A network with random weights.

    Args:
        name: micro, xtiny, base, large or huge.
        image_size: side of the input in pixels, a multiple of the patch size.
        pyramid: simple, single_scale, parallel or partial.

    Raises:
        InputError: an unknown name or design, or a size that does not fit.
    """
    if name not in PRESETS:
        raise InputError(f"model {name!r} is not one of {', '.join(PRESETS)}")
    if pyramid not in DESIGNS:
        raise InputError(f"pyramid {pyramid!r} is not one of {', '.join(DESIGNS)}")
    return SimpleClick(replace(PRESETS[name], image_size=image_size, pyramid=pyramid))


def _to_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, N, C) -> (B, C, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, grid)


def _check_shapes(
    image: Tensor, points: Tensor, labels: Tensor, previous_mask: Tensor | None
) -> None:
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(f"image must have shape (B, 3, H, W), not {tuple(image.shape)}")
    if 0 in image.shape[2:]:
        raise ValueError(f"image must have at least one pixel, not shape {tuple(image.shape)}")
    if not image.is_floating_point():
        raise ValueError(f"image must be float in [0, 1], not {image.dtype}; divide by 255")
    batch = image.shape[0]
    if points.ndim != 3 or points.shape[0] != batch or points.shape[2] != 2:
        raise ValueError(f"points must have shape ({batch}, N, 2), not {tuple(points.shape)}")
    if labels.shape != points.shape[:2]:
        raise ValueError(
            f"labels must have shape {tuple(points.shape[:2])}, not {tuple(labels.shape)}"
        )
    if previous_mask is not None and previous_mask.shape != image[:, :1].shape:
        raise ValueError(
            f"previous_mask must have shape {tuple(image[:, :1].shape)}, "
            f"not {tuple(previous_mask.shape)}"
        )
