"""Ablations: change one thing, train again, measure again, with several seeds.

Explained in notebooks/11_ablations.ipynb; the ablation table of the paper. benchmarks/ablations.py
runs the whole grid.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .checkpoint import load_model
from .data import dataset_info, open_dataset
from .data.mixture import parse_mixture
from .data.synthetic import SyntheticScenes
from .errors import InputError
from .evaluation import evaluate
from .mae import MaskedAutoencoder, pretrain, save_encoder
from .model import PRESETS, SimpleClick
from .predictor import Predictor
from .pyramid import DESIGNS
from .training import train
from .training_config import TrainConfig
from .training_presets import preset
from .training_state import list_checkpoints

Changes = dict[str, Any]  # fields of TrainConfig and their values


@dataclass(frozen=True)
class Plan:
    """What stays the same in all runs of an ablation, and which values are tried.

    Attributes:
        base: the settings that every run changes in one or two places.
        benchmarks: mixture as in `TrainConfig.data`, read as benchmarks (weights ignored).
        objects: objects of each benchmark; 0 takes all.
        clicks: of the robot, on each object.
        flip: average with the mirrored image, as in the published numbers.
        sizes: sides of the input in pixels, beside the base's.
        rounds: highest numbers of click rounds in training, beside the base's.
        radii: radii of the click disks in pixels of the input, beside the base's.
    """

    base: TrainConfig
    benchmarks: str = "synthetic"
    objects: int = 0
    clicks: int = 20
    flip: bool = True
    sizes: tuple[int, ...] = ()
    rounds: tuple[int, ...] = (0, 1)
    radii: tuple[float, ...] = (2.0, 10.0)


def quick_plan(weights: str | None, **changes: Any) -> Plan:
    """A grid for one CPU core: the micro network on drawn scenes, half a minute a run.

    Args:
        weights: an encoder that `pretrain_encoder` wrote; None starts from random weights.
        changes: fields of TrainConfig that replace this plan's.
    """
    settings = {
        "weights": weights,
        "model_size": 112,
        "steps": 150,
        "log_every": 50,
        "warmup": 15,
        "ema": 0.95,
        "validation_objects": 0,
        "threads": 1,
        "checkpoint_every": 10_000,
    }
    base = preset("quick", **(settings | changes))
    return Plan(base, objects=20, flip=False, sizes=(80, 144))


def full_plan(sbd: str, pascal_voc: str | None = None, **changes: Any) -> Plan:
    """The paper's grid: ViT-B from MAE, trained on SBD, measured on SBD and Pascal VOC.

    Args:
        sbd: folder of SBD.
        pascal_voc: folder of Pascal VOC; None measures on SBD alone.
        changes: fields of TrainConfig that replace those of the preset `sbd_base`.
    """
    base = preset("sbd_base", data=f"sbd={sbd}", validation_objects=0, **changes)
    benchmarks = f"sbd={sbd}" + (f",pascal_voc={pascal_voc}" if pascal_voc else "")
    return Plan(base, benchmarks, sizes=(224,))


def axes(plan: Plan) -> dict[str, dict[str, Changes]]:
    """The grid: axis -> label -> what it changes. The base itself is `simple` of the designs.

    "design" and "frozen design" are the paper's table; each of the others changes one thing.
    """
    base = plan.base
    return {
        "design": {d: {"pyramid": d} for d in DESIGNS},
        "frozen design": {f"{d}, frozen": {"pyramid": d, "freeze_backbone": True} for d in DESIGNS},
        "input size": {
            f"{s} pixels": {"image_size": s, "model_size": s}
            for s in plan.sizes
            if s != base.image_size
        },
        "previous mask": {"without previous mask": {"previous_mask": False}},
        "click rounds": {
            f"{_plural(n, 'click round')}": {"rounds": n} for n in plan.rounds if n != base.rounds
        },
        "disk radius": {
            f"disks of radius {r:g}": {"disk_radius": r}
            for r in plan.radii
            if r != base.disk_radius
        },
    }


def base_label(plan: Plan, axis: str) -> str:
    """What the base is called on one axis: it stands in every comparison."""
    base = plan.base
    return {
        "design": "simple",
        "frozen design": "simple",
        "input size": f"{base.image_size} pixels",
        "previous mask": "with previous mask",
        "click rounds": _plural(base.rounds, "click round"),
        "disk radius": f"disks of radius {base.disk_radius:g}",
    }[axis]


def settings(plan: Plan) -> dict[str, Changes]:
    """All settings of the grid, label -> changes."""
    return {label: found for part in axes(plan).values() for label, found in part.items()}


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def run(
    plan: Plan, changes: Mapping[str, Any], seed: int, out: Path, progress: bool = False
) -> dict[str, Any]:
    """Train and measure one setting with one seed; interrupted, it goes on from `out`.

    Args:
        plan: what stays the same.
        changes: what this setting changes, fields of TrainConfig.
        seed: of weights, samples and clicks. The benchmark's objects do not depend on it.
        out: the run's folder.
        progress: show progress bars.

    Returns:
        `results` (benchmark -> noc80, noc85, noc90, failures90, miou after 1, 2, … clicks, objects)
        and `cpu_seconds` of the training.

    Raises:
        InputError: settings or data that cannot work.
    """
    config = replace(plan.base, **changes, seed=seed, out=str(out))
    config = replace(config, resume=bool(list_checkpoints(out)))
    before = time.process_time()
    folder = train(config, progress=progress).folder
    seconds = time.process_time() - before
    return {"results": measure(plan, folder, config, progress), "cpu_seconds": round(seconds, 1)}


def measure(plan: Plan, folder: Path, config: TrainConfig, progress: bool = False) -> dict:
    """Let the robot click on the plan's benchmarks with trained weights; see `run`."""
    predictor = Predictor(
        load_model(folder), config.device, flip=plan.flip, crop_size=config.image_size
    )
    found = {}
    for source in parse_mixture(plan.benchmarks, config.root):
        info = dataset_info(source.name)
        options = {"length": plan.objects} if plan.objects and "length" in info.options else {}
        samples = open_dataset(source.name, source.root, **options)
        if plan.objects:
            samples = samples.limit(plan.objects)
        result = evaluate(predictor, samples, plan.clicks, progress=progress)
        found[source.name] = {
            **{f"noc{round(100 * t)}": round(result.noc(t), 3) for t in (0.80, 0.85, 0.90)},
            "failures90": result.failures(0.90),
            "miou": [round(result.miou(k), 4) for k in range(1, plan.clicks + 1)],
            "objects": len(result.objects),
        }
    return found


def pretrain_encoder(
    path: Path, steps: int, model: str = "micro", image_size: int = 112, count: int = 600
) -> list[float]:
    """Pretrain a backbone as a masked autoencoder on drawn scenes (notebook 03), in MAE's format.

    Args:
        path: the .pth file that `load_model` and `TrainConfig.weights` read.
        steps: optimizer steps of 16 scenes.
        model: preset of the network.
        image_size: side of the scenes in pixels, a multiple of the patch size.
        count: how many scenes are drawn.

    Returns:
        the loss of every step.

    Raises:
        InputError: the file cannot be written.
    """
    scenes = SyntheticScenes(image_size, seed=1)
    images = np.stack([scenes[i].image for i in range(count)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SimpleClick(replace(PRESETS[model], image_size=image_size))
        mae = MaskedAutoencoder(network.embedding.image, network.backbone)
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    losses = pretrain(mae, tensors, steps, batch_size=16)
    save_encoder(mae, path)
    return losses


def spread(values: Iterable[float]) -> tuple[float, float, float]:
    """Mean, lowest and highest.

    Raises:
        InputError: no values.
    """
    values = list(values)
    if not values:
        raise InputError("there are no runs to summarize")
    return float(np.mean(values)), min(values), max(values)
