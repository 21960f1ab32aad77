"""What the settings of a training run stand for: its network and its stream of samples.

Explained in notebooks/09_training.ipynb.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch

from .checkpoint import load_model, move_clicks
from .data.mixture import parse_mixture
from .data.sampling import SamplingConfig, TrainingSamples
from .errors import InputError
from .model import PRESETS as MODEL_PRESETS
from .model import SimpleClick
from .training_config import TrainConfig


def make_model(config: TrainConfig) -> SimpleClick:
    """The network to train: given weights, or random ones that depend on the seed alone.

    A file that gives a backbone only (MAE) leaves the rest to the settings and the seed; a whole
    network keeps its own pyramid, channels, disks and previous mask.

    Raises:
        InputError: unknown names, sizes that do not fit, weights that cannot be read.
    """
    names = ("fusion_block", "image_branches", "clicks")
    entry = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    loaded = None
    if config.weights:
        path = None if config.weights == "shipped" else config.weights
        with warnings.catch_warnings():  # fresh parts are what a start from MAE is about
            warnings.filterwarnings("ignore", message=".*click embedding, pyramid and head are fr")
            loaded = load_model(path, image_size=config.model_size)
            if loaded.backbone_only and not config.model_size:  # else it would be at 448
                loaded = load_model(path, image_size=config.image_size)
        if not loaded.backbone_only:
            return move_clicks(loaded, config.seed, **entry) if entry else loaded
        shape = loaded.config
    elif config.model not in MODEL_PRESETS:
        raise InputError(f"model {config.model!r} is not one of {', '.join(MODEL_PRESETS)}")
    else:
        size = config.model_size or config.image_size
        shape = replace(MODEL_PRESETS[config.model], image_size=size)
    shape = replace(
        shape,
        pyramid=config.pyramid,
        pyramid_channels=config.pyramid_channels or shape.pyramid_channels,
        dropout=config.dropout,
        disk_radius=config.disk_radius,
        previous_mask=config.previous_mask,
        **entry,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = SimpleClick(shape)
    if loaded is not None:
        model.embedding.image.load_state_dict(loaded.embedding.image.state_dict())
        model.backbone.load_state_dict(loaded.backbone.state_dict())
    return model


def make_samples(config: TrainConfig) -> TrainingSamples:
    """The stream of training samples.

    Raises:
        InputError: data that cannot be opened.
    """
    side = config.image_size
    sampling = SamplingConfig(
        augmentation=config.augmentation,
        image_size=side,
        min_area=config.min_area * (side / config.min_area_side) ** 2,
        least_fill=config.least_fill,
        merge=config.merge,
        background=config.background,
        stuff=config.stuff,
        parts=config.parts,
        blur=config.blur,
        jpeg=config.jpeg,
        paste=config.paste,
        max_clicks=config.max_start_clicks,
        gamma=config.start_gamma,
    )
    short = round(config.cache_scale * side) if config.cache_scale else None
    sources = parse_mixture(config.data, config.root)
    cache = config.cache_mb * 2**20 // max(1, config.workers)
    return TrainingSamples(sources, sampling, config.seed, short, cache)
