"""The network's shape as data: ModelConfig, and the presets micro, xtiny, base, large, huge."""

# no `from __future__ import annotations`: the hub mixin of model.py reads the types of the fields
from dataclasses import asdict, dataclass

from .clicks import DISK_RADIUS
from .errors import InputError
from .pyramid import DESIGNS

CLICK_KINDS = ("dense", "sparse")
LATER_FIELDS = ("fusion_block", "image_branches", "clicks")  # came after the first saved models


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
    # where clicks enter; notebook 14
    fusion_block: int = 0  # blocks that see the image alone; 0 is SimpleClick, depth the other end
    image_branches: int = 0  # finest branches of the pyramid that read the image-only map
    clicks: str = "dense"  # dense: disks in a map | sparse: tokens beside the patches, as in SAM

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


def config_from_dict(data: dict) -> ModelConfig:
    """Read a ModelConfig from a saved dictionary.

    Raises:
        InputError: a field this version does not know.
    """
    try:
        return ModelConfig(**data)
    except TypeError as error:
        raise InputError(f"the model's configuration does not fit this version: {error}") from error


def config_to_dict(config: ModelConfig) -> dict:
    """What config.json holds; `LATER_FIELDS` only where they are used.

    So a version from before them reads every model that it can run.
    """
    data = asdict(config)
    for name in LATER_FIELDS:
        if data[name] == getattr(ModelConfig, name):
            del data[name]
    return data


def check_config(config: ModelConfig) -> None:
    """Say in one sentence what is wrong, before a layer fails in its own words.

    Raises:
        InputError: values that make no network.
    """
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
    _check_click_entry(config)


def _check_click_entry(config: ModelConfig) -> None:
    for name, limit in (("fusion_block", config.depth), ("image_branches", 3)):
        value = getattr(config, name)
        if type(value) is not int or not 0 <= value <= limit:
            raise InputError(f"{name} must be a whole number from 0 to {limit}, not {value!r}")
    if config.image_branches and (not config.fusion_block or config.pyramid != "simple"):
        raise InputError("image_branches needs a fusion_block above 0 and the simple pyramid")
    if config.clicks not in CLICK_KINDS:
        raise InputError(f"clicks {config.clicks!r} is not one of {', '.join(CLICK_KINDS)}")
    if config.clicks == "sparse" and config.width % 2:
        raise InputError(f"sparse clicks need an even width, not {config.width}")
    if config.clicks == "sparse" and config.fusion_block == config.depth:
        raise InputError("sparse clicks need a block to enter: fusion_block must be below depth")
