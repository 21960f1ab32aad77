"""Every setting of a training run, and what cannot work; training_presets.py has complete ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from .errors import InputError


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a training run; saved with it as training.json."""

    preset: str = "quick"  # name of the recipe these values started from

    # --- network
    model: str = "xtiny"  # micro | xtiny | base | large | huge
    pyramid: str = "simple"  # simple | single_scale | parallel | partial
    pyramid_channels: tuple[int, ...] = ()  # of the four maps; empty: the model's own
    weights: str | None = None  # start from: a folder, a .pth, a timm MAE name, or "shipped"
    model_size: int | None = None  # side of the positions; None: the weights' or image_size
    dropout: float = 0.1  # in the head
    fusion_block: int | None = None  # blocks that see the image alone; None: as the weights, or 0
    image_branches: int | None = None  # branches of the pyramid without clicks; None: likewise
    clicks: str | None = None  # dense (disks) | sparse (tokens); None: likewise
    disk_radius: float = 5.0  # of a click, in pixels of the crop
    previous_mask: bool = True  # False: the network never sees its last answer
    freeze_backbone: bool = False  # train click embedding, pyramid and head alone

    # --- data
    data: str = "synthetic"  # mixture "name[=folder][:weight],…"
    root: str | None = None  # folder of the sets that name none, and that named folders are in
    image_size: int = 224  # side of the square training crops in pixels
    # zoom: crops as the predictor makes them; zoom_fixed, zoom_plain, whole: these without scale
    # jitter, colors, crops around objects; sbd, cocolvis: as published; none: the image resized
    augmentation: str = "zoom"  # zoom | zoom_fixed | zoom_plain | whole | sbd | cocolvis | none
    min_area: float = 1000  # smallest target in pixels of a crop of …
    min_area_side: int = 448  # … this side; it is scaled to the side that is trained at
    least_fill: float = 0.0  # leave out objects that fill less of their box than this
    merge: float = 0.15  # probability that two objects together are the target
    background: float = 0.05  # probability that a crop without any object is kept
    stuff: float = 0.30  # probability that regions are candidates too
    parts: float = 0.0  # probability that parts of objects are candidates too
    blur: float = 0.0  # probability of a blurred sample
    jpeg: float = 0.0  # probability of one with the traces of JPEG
    paste: float = 0.0  # probability that the target is put onto another photograph
    cache_mb: int = 2000  # memory for decoded photographs; 0 decodes each time
    cache_scale: float = 1.5  # cached photographs: shorter side / image_size; 0 keeps their size
    workers: int = 0  # loader processes (started with spawn); 0 loads in the main process

    # --- simulated clicks
    max_start_clicks: int = 24  # of each sign
    start_gamma: float = 0.8  # how fast longer sets of start clicks get rarer
    rounds: int = 3  # up to this many rounds of "predict, click in the largest error"
    carry: bool = False  # learn from the rounds too: a sample stays for rounds + 1 steps

    # --- optimization
    steps: int = 0  # optimizer steps; 0: epochs * epoch_length / batch_size
    epochs: int = 0  # passes over the data, where steps is 0
    epoch_length: int = 0  # samples; 0: number of training images
    batch_size: int = 32  # samples of one optimizer step, over all processes
    accumulate: int = 1  # parts a process cuts its share of the batch into, to save memory
    optimizer: str = "adamw"  # adamw | adam
    lr: float = 5e-4  # learning rate
    beta2: float = 0.999  # of the optimizer
    weight_decay: float = 0.02  # of weights; norms, biases and positions have none
    layer_decay: float | None = None  # rate of each layer over that of the next, e.g. 0.75
    schedule: str = "cosine"  # cosine | multistep | constant
    warmup: int = 0  # steps of linear warm-up
    milestones: tuple[int, ...] = ()  # epochs at which multistep divides the rate by ten
    final_rate: float = 0.01  # what the cosine ends at, as a share of lr
    clip: float = 0.0  # largest norm of the gradient; 0 does not clip
    ema: float = 0.0  # decay of averaged weights, e.g. 0.999; 0 keeps none
    start_share: float = 0.0  # share of the weights it started from in the result, e.g. 0.35
    distill: float = 0.0  # weight of the loss on an ImageNet network's features; 0: without it
    stable_loss: bool = True  # logarithms from logits; False: the published order of operations

    # --- machine
    precision: str = "no"  # no | bf16 | fp16
    compile: bool = False  # torch.compile the network
    checkpointing: bool = False  # recompute blocks in backward: less memory, a third more time
    fsdp: bool = False  # shard weights and optimizer over the processes of accelerate launch
    threads: int = 0  # CPU threads of PyTorch; 0 leaves it alone
    device: str | None = None  # None: cuda, else mps, else cpu

    # --- the run
    seed: int = 0  # fixes everything random
    out: str = "runs/train"  # the run's folder
    resume: bool = False  # go on from the last checkpoint in `out`
    checkpoint_every: int = 1000  # steps; one is always written at the end
    keep: int = 2  # checkpoints that are kept
    log_every: int = 20  # steps between lines of metrics.jsonl
    validate_every: int = 0  # steps between validations by the robot user; 0: only at the end
    validation_data: str = "synthetic"  # mixture as in `data`, read as benchmarks (weights ignored)
    validation_objects: int = 50  # objects per set
    validation_clicks: int = 5  # of the robot, on each object
    picture_every: int = 0  # steps between pictures of validation objects; 0: none


# settings of speed, of place and of what is shown: another value learns the same
NOT_LEARNED = (
    *("preset", "root", "out", "resume", "checkpoint_every", "keep", "log_every", "picture_every"),
    "cache_mb",
    *("validate_every", "validation_data", "validation_objects", "validation_clicks"),
    *("accumulate", "compile", "checkpointing", "fsdp", "threads", "device", "workers"),
)


def part_of(config: TrainConfig, share: float) -> TrainConfig:
    """The same run with a share of its steps or epochs, of its warm-up and of its milestones.

    Args:
        config: the whole run.
        share: above 0 and at most 1.
    """
    if share == 1:
        return config
    return replace(
        config,
        steps=math.ceil(config.steps * share),
        epochs=math.ceil(config.epochs * share),
        warmup=math.ceil(config.warmup * share),
        milestones=tuple(math.ceil(step * share) for step in config.milestones),
    )


def check_config(config: TrainConfig) -> None:
    """Say in one sentence what cannot work.

    Raises:
        InputError: a value outside its range, or two that do not fit together.
    """
    choices = {
        "augmentation": (
            "zoom",
            "zoom_fixed",
            "zoom_plain",
            "whole",
            "sbd",
            "cocolvis",
            "none",
        ),
        "optimizer": ("adam", "adamw"),
        "schedule": ("cosine", "multistep", "constant"),
        "precision": ("no", "bf16", "fp16"),
    }
    for name, able in choices.items():
        value = getattr(config, name)
        if value not in able:
            raise InputError(f"{name} {value!r} is not one of {', '.join(able)}")
    for name in ("image_size", "batch_size", "accumulate", "checkpoint_every", "keep", "log_every"):
        if getattr(config, name) < 1:
            raise InputError(f"{name} must be at least 1, not {getattr(config, name)}")
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{field.name} must be a finite number, not {value}")
    shares = ("merge", "background", "stuff", "parts", "blur", "jpeg", "paste")
    for name in (*shares, "dropout", "ema", "start_share"):
        if not 0 <= getattr(config, name) <= 1:
            raise InputError(f"{name} must lie between 0 and 1, not {getattr(config, name)}")
    for name in ("steps", "epochs", "epoch_length", "rounds", "workers", "warmup", "cache_mb"):
        if getattr(config, name) < 0:
            raise InputError(f"{name} must not be negative, not {getattr(config, name)}")
    for name in ("distill", "weight_decay", "clip", "final_rate"):
        if getattr(config, name) < 0:
            raise InputError(f"{name} must not be negative, not {getattr(config, name)}")
    if not 0 <= config.beta2 < 1:
        raise InputError(f"beta2 must lie in [0, 1), not {config.beta2}")
    if config.lr <= 0:
        raise InputError(f"lr must be above 0, not {config.lr}")
    if not config.steps and not config.epochs:
        raise InputError("the run has no length; give steps or epochs")
