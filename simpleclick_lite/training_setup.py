"""What the settings of a training run stand for: network, samples, optimizer and schedule.

Explained in notebooks/09_training.ipynb.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace

import torch
from torch.optim import Optimizer

from .checkpoint import load_model, move_clicks
from .data.mixture import parse_mixture
from .data.sampling import SamplingConfig, TrainingSamples
from .distillation import FeatureDistillation
from .errors import InputError
from .model import PRESETS as MODEL_PRESETS
from .model import SimpleClick
from .optim import build_optimizer, parameter_groups, schedule_factor
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


def make_distillation(
    config: TrainConfig, model: SimpleClick, processes: int = 1
) -> FeatureDistillation | None:
    """The second loss, on the network's tokens; None where `distill` is 0.

    It is built on the CPU and still has to be moved to the device.

    Raises:
        InputError: several processes, or the teacher's packages are missing.
    """
    if not config.distill:
        return None
    if processes > 1:
        raise InputError("distill works in one process only; set it to 0")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        found = FeatureDistillation(model.config.width, model.config.patch_size)
    found.watch(model.backbone)
    return found


def make_optimizer(
    config: TrainConfig, model: SimpleClick, distillation: FeatureDistillation | None = None
) -> Optimizer:
    """The optimizer of the network's parameters and of what a second loss learns besides.

    Both are on their device already, which decides how the optimizer works.

    Raises:
        InputError: an unknown optimizer.
    """
    groups = parameter_groups(
        model, model.config.depth, config.lr, config.weight_decay, config.layer_decay
    )
    if distillation is not None:
        learned = dict(distillation.named_parameters())
        groups.append(
            {
                "params": list(learned.values()),
                "names": [f"distillation.{name}" for name in learned],
                "lr": config.lr,
                "weight_decay": 0.0,
                "lr_scale": 1.0,
            }
        )
    return build_optimizer(config.optimizer, groups, config.lr, (0.9, config.beta2))


def step_count(config: TrainConfig, samples: int) -> int:
    """Optimizer steps of the run; with `epochs`, an epoch is `epoch_length` or all `samples`."""
    length = config.epoch_length or samples
    return config.steps or math.ceil(config.epochs * length / config.batch_size)


def rate_factor(config: TrainConfig, steps: int) -> Callable[[int], float]:
    """What the learning rate is multiplied with at each of `steps` steps, from 0.

    Raises:
        InputError: an unknown schedule.
    """
    epoch = steps / config.epochs if config.epochs else 1
    milestones = [round(m * epoch) for m in config.milestones]
    return schedule_factor(
        config.schedule, steps, config.warmup, milestones, final=config.final_rate
    )
