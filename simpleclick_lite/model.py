"""SimpleClick: the parts put together, and the presets micro, xtiny, base, large, huge.

Explained in notebooks/08_simpleclick.ipynb; figure 2 of the paper. Image and click map become
tokens, a plain ViT mixes them, a simple pyramid makes four scales, an MLP head gives logits.
"""

# no `from __future__ import annotations` here: PyTorchModelHubMixin reads the type of `config` to
# know how to decode config.json, and a string would tell it nothing
from dataclasses import asdict, dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from .backbone import PlainViT
from .clicks import DISK_RADIUS, click_map
from .embedding import SymmetricEmbedding, normalize
from .errors import InputError
from .head import MLPHead
from .pyramid import DESIGNS, Pyramid

FORMAT = 1  # version of our saved folders; raised when old ones need translating


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes the network's shape."""

    image_size: int = 448  # pixels, side of the square input the positions are stored for
    patch_size: int = 16  # pixels
    width: int = 160  # channels of a token
    depth: int = 8  # transformer blocks
    heads: int = 4  # attention heads
    pyramid_channels: tuple[int, int, int, int] = (96, 192, 288, 384)  # finest map first
    head_channels: int = 128
    pyramid: str = "simple"  # simple | single_scale | parallel | partial
    disk_radius: float = DISK_RADIUS  # pixels of the input
    dropout: float = 0.1  # in the head, training only
    previous_mask: bool = True  # False: the network never sees its last answer (an ablation)

    def __post_init__(self) -> None:
        """JSON knows only lists; equal networks should have equal configurations."""
        if isinstance(self.pyramid_channels, list):
            object.__setattr__(self, "pyramid_channels", tuple(self.pyramid_channels))


PRESETS: dict[str, ModelConfig] = {
    "micro": ModelConfig(
        width=64, depth=8, heads=2, pyramid_channels=(16, 32, 48, 64), head_channels=16
    ),
    "xtiny": ModelConfig(),
    "base": ModelConfig(
        width=768,
        depth=12,
        heads=12,
        pyramid_channels=(128, 256, 512, 1024),
        head_channels=256,
    ),
    "large": ModelConfig(
        width=1024,
        depth=24,
        heads=16,
        pyramid_channels=(192, 384, 768, 1536),
        head_channels=256,
    ),
    "huge": ModelConfig(
        patch_size=14,
        width=1280,
        depth=32,
        heads=16,
        pyramid_channels=(240, 480, 960, 1920),
        head_channels=256,
    ),
}


class SimpleClick(
    nn.Module,
    PyTorchModelHubMixin,
    coders={ModelConfig: (asdict, lambda data: config_from_dict(data))},
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
        _check_config(config)
        self.config = config
        self.embedding = SymmetricEmbedding(config.patch_size, config.width)
        self.backbone = PlainViT(
            config.image_size, config.patch_size, config.width, config.depth, config.heads
        )
        self.pyramid = Pyramid(config.width, config.pyramid_channels, config.pyramid, config.depth)
        self.head = MLPHead(config.pyramid_channels, config.head_channels, config.dropout)
        self.backbone_frozen = False

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
        image = image.to(self.backbone.pos_embed.dtype)  # float64 or half never meets float32
        if previous_mask is None or not self.config.previous_mask:
            previous_mask = torch.zeros_like(image[:, :1])
        clicks = click_map(points, labels, previous_mask.to(image.dtype), self.config.disk_radius)
        return self.segment(normalize(image), clicks)

    def segment(self, image: Tensor, clicks: Tensor) -> Tensor:
        """From normalized image and click map, both (B, 3, H, W), to logits (B, 1, H, W)."""
        height, width = image.shape[-2:]
        patch = self.config.patch_size
        pad = [max(2 * patch - side, -side % patch) for side in (width, height)]
        if any(pad):
            image = F.pad(image, (0, pad[0], 0, pad[1]))
            clicks = F.pad(clicks, (0, pad[0], 0, pad[1]))
        size = image.shape[-2:]
        logits = self.head(self.pyramid(self.features(image, clicks)))
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=True)
        return logits[..., :height, :width]

    def features(self, image: Tensor, clicks: Tensor) -> dict[int, Tensor]:
        """The backbone's maps that the pyramid reads: block index -> (B, C, h, w)."""
        patch = self.config.patch_size
        grid = (image.shape[-2] // patch, image.shape[-1] // patch)
        stages: list[Tensor] | None = [] if self.pyramid.multi_stage else None
        last = self.backbone(self.embedding(image, clicks), grid, stages)
        found = {self.config.depth - 1: last}
        for source in self.pyramid.sources if stages is not None else ():
            found[source] = stages[source]
        # tokens (B, N, C) -> map (B, C, h, w)
        return {k: x.transpose(1, 2).unflatten(2, grid) for k, x in found.items()}

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


def config_from_dict(data: dict) -> ModelConfig:
    """Read a ModelConfig from a saved dictionary.

    Raises:
        InputError: a field this version does not know.
    """
    try:
        return ModelConfig(**data)
    except TypeError as error:
        raise InputError(f"the model's configuration does not fit this version: {error}") from error


def _check_config(config: ModelConfig) -> None:
    """Say in one sentence what is wrong, before a layer fails in its own words."""
    numbers = {
        name: getattr(config, name)
        for name in ("image_size", "patch_size", "width", "depth", "heads", "head_channels")
    }
    channels = config.pyramid_channels
    if not isinstance(channels, tuple | list) or len(channels) != 4:
        raise InputError(f"pyramid_channels must be four numbers, not {channels!r}")
    numbers |= {f"pyramid_channels[{i}]": value for i, value in enumerate(channels)}
    for name, value in numbers.items():
        if type(value) is not int or not 0 < value <= 2**16:
            raise InputError(f"{name} must be a whole number from 1 to {2**16}, not {value!r}")
    for name, limit in (("disk_radius", config.image_size), ("dropout", 0.99)):
        value = getattr(config, name)
        if type(value) not in (int, float) or not 0 <= value <= limit:
            raise InputError(f"{name} must be a number from 0 to {limit}, not {value!r}")
    if config.image_size % config.patch_size:
        raise InputError(
            f"image_size {config.image_size} is not a multiple of the patch size, "
            f"{config.patch_size}"
        )
    if config.width % config.heads:
        raise InputError(f"width {config.width} is not a multiple of heads, {config.heads}")
    if config.pyramid not in DESIGNS:
        raise InputError(f"pyramid {config.pyramid!r} is not one of {', '.join(DESIGNS)}")


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
