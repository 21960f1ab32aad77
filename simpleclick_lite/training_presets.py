"""The named recipes of training runs.

A recipe is data: a `TrainConfig` with other values. `PRESETS[name]` is one, and
`dataclasses.replace(PRESETS["quick"], steps=100)` or `--preset quick --steps 100` changes it.
"""

from __future__ import annotations

from dataclasses import fields, replace

from .errors import InputError
from .training_config import TrainConfig
from .training_recipe import CPU_STAGES, GPU_STAGES


def preset(name: str, **changes: object) -> TrainConfig:
    """A recipe with some values changed.

    Raises:
        InputError: no recipe of this name, or no setting of that name.
    """
    if name in STAGES:
        raise InputError(
            f"{name} is several runs, {', '.join(STAGES[name])}; take one of them, or train all "
            f"with training_stages.train_stages or `simpleclick-lite train --preset {name}`"
        )
    if name not in PRESETS:
        choice = ", ".join([*PRESETS, *STAGES])
        raise InputError(f"there is no preset {name!r}; choose one of {choice}")
    known = {f.name for f in fields(TrainConfig)}
    unknown = sorted(set(changes) - known)
    if unknown:
        raise InputError(f"there is no setting {unknown[0]!r}; settings are {', '.join(known)}")
    return replace(PRESETS[name], **changes)


def changes(config: TrainConfig) -> str:
    """What differs from the recipe that the settings started from, for people."""
    start = PRESETS.get(config.preset, TrainConfig())
    different = [
        f"{f.name} {getattr(config, f.name)}"
        for f in fields(config)
        if getattr(config, f.name) != getattr(start, f.name)
    ]
    return "changed: " + ", ".join(different) if different else "unchanged"


# From random weights, on whatever machine there is: crops as the predictor makes them, AdamW,
# warm-up, a rate that falls along a cosine, averaged weights.
_SCRATCH = TrainConfig(
    preset="scratch",
    augmentation="zoom",
    image_size=224,
    batch_size=32,
    steps=20_000,
    lr=1e-3,
    weight_decay=0.05,
    beta2=0.98,
    warmup=500,
    clip=1.0,
    ema=0.999,
    carry=True,
    validate_every=1000,
)

# What the published code does; facts and sources in docs/differences.md.
_PUBLISHED = TrainConfig(
    image_size=448,
    min_area_side=448,
    cache_mb=0,
    cache_scale=0,
    workers=8,
    optimizer="adam",
    lr=5e-5,
    weight_decay=0.0,
    schedule="multistep",
    epochs=55,
    milestones=(50, 55),  # the second never fires
    stable_loss=False,
    validation_data="photos",
    validate_every=2000,
)
_SBD = replace(
    _PUBLISHED,
    data="sbd",
    augmentation="sbd",
    min_area=80,
    least_fill=0.08,
    background=0.01,
    stuff=0.0,
)
_COCOLVIS = replace(_PUBLISHED, data="coco_lvis", augmentation="cocolvis", epoch_length=30_000)

# total batch of the paper; the published command lines use 32 for all
_SIZES = {
    "base": {"model": "base", "weights": "vit_base_patch16_224.mae", "batch_size": 140},
    "large": {
        "model": "large",
        "weights": "vit_large_patch16_224.mae",
        "batch_size": 72,
        "checkpointing": True,
    },
    "huge": {
        "model": "huge",
        "weights": "vit_huge_patch14_224.mae",
        "batch_size": 32,
        "checkpointing": True,
    },
}
_EQUAL = {"pyramid_channels": (256, 256, 256, 256), "lr": 5e-4}
_LONG = {"epochs": 230, "milestones": (190, 220)}
_OTHER_CROPS = {
    "base224": (224, {**_EQUAL, "milestones": (49, 55)}),
    "base896": (896, {**_EQUAL, **_LONG}),
    "base1024": (1024, {**_EQUAL, **_LONG}),
    "large224": (224, {"lr": 5e-4, "milestones": (49, 55)}),
}


def _published() -> dict[str, TrainConfig]:
    found = {
        "sbd_xtiny": replace(
            _SBD, model="xtiny", lr=1e-5, epochs=1001, milestones=(800, 900), batch_size=32
        ),
        "cocolvis_xtiny": replace(
            _COCOLVIS, model="xtiny", epochs=230, milestones=(200, 230), batch_size=32
        ),
    }
    for size, values in _SIZES.items():
        found[f"sbd_{size}"] = replace(_SBD, **values)
        found[f"cocolvis_{size}"] = replace(_COCOLVIS, **values)
    for name, (side, values) in _OTHER_CROPS.items():
        size = name.rstrip("0123456789")
        found[f"cocolvis_{name}"] = replace(
            _COCOLVIS,
            **_SIZES[size],
            image_size=side,
            min_area_side=side,
            model_size=side,
            **values,
        )
    return {name: replace(config, preset=name) for name, config in found.items()}


# Recipes of several runs, each of which starts from the weights of the one before.
STAGES: dict[str, tuple[str, ...]] = {
    "shipped": tuple(CPU_STAGES),
    "shipped_gpu": tuple(GPU_STAGES),
}

PRESETS: dict[str, TrainConfig] = {
    "quick": replace(
        _SCRATCH,
        preset="quick",
        model="micro",
        image_size=112,
        batch_size=16,
        steps=1500,
        lr=2e-3,
        warmup=100,
        ema=0.99,
        carry=False,  # no worse at equal steps: benchmarks/quick_seeds.py
        validate_every=0,
        validation_objects=100,
    ),
    "scratch": _SCRATCH,
    "folder": replace(
        _SCRATCH,
        preset="folder",
        weights="shipped",
        data="folder",
        image_size=448,  # what the shipped weights see
        batch_size=8,
        steps=300,
        lr=2e-4,
        layer_decay=0.75,
        min_area=100,
        warmup=30,
        ema=0.98,
        validate_every=0,
        validation_objects=0,
    ),
    **_published(),
    **{k: replace(_SCRATCH, preset=k, **v) for k, v in {**CPU_STAGES, **GPU_STAGES}.items()},
}
