"""Small experiments behind notebooks 01 to 04, on one CPU core: the toy network on drawn scenes.

    python benchmarks/toy_runs.py [encodings] [designs] [start] [--seeds 0 1 2] [--steps 400]

encodings   how clicks are drawn: disks of several radii, bells, distance maps      notebook 01
designs     the simple feature pyramid and the three it is compared with           notebook 04
start       backbone random or from a masked autoencoder, click embedding random
            or zero                                                            notebooks 02, 03

The first setting of each experiment is one and the same run, so it is measured once and copied.
Every finished run is written at once to simpleclick_lite/measured/toy_NAME.json, so an interrupted
call goes on where it stopped; delete a file to measure anew.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from simpleclick_lite.clicks import draw_disks
from simpleclick_lite.embedding import normalize
from simpleclick_lite.encodings import distance_maps, gaussian_maps
from simpleclick_lite.files import write_json
from simpleclick_lite.mae import MaskedAutoencoder, pretrain
from simpleclick_lite.measured import FOLDER, measured
from simpleclick_lite.model import SimpleClick
from simpleclick_lite.pyramid import DESIGNS
from simpleclick_lite.toy import toy_data, toy_model, toy_scores, toy_train

TRAIN, VAL, CLICKS = 2000, 300, 5
PRETRAIN_STEPS = 1200
WINDOW = 50  # steps that one point of a loss curve averages


class Encoded(nn.Module):
    """A SimpleClick whose clicks are drawn in another way."""

    def __init__(self, model: SimpleClick, draw: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model, self.draw = model, draw

    def forward(self, image: Tensor, points: Tensor, labels: Tensor, previous: Tensor) -> Tensor:
        """Logits (B, 1, H, W); arguments as SimpleClick's."""
        maps = torch.cat([previous, self.draw(points, labels, previous.shape[-2:])], dim=1)
        return self.model.segment(normalize(image), maps)


ENCODINGS: dict[str, Callable[..., Tensor]] = {
    "disk, radius 2": partial(draw_disks, radius=2),
    "disk, radius 0.5": partial(draw_disks, radius=0.5),
    "disk, radius 5": partial(draw_disks, radius=5),
    "disk, radius 10": partial(draw_disks, radius=10),
    "Gaussian, sigma 3": partial(gaussian_maps, sigma=3.0),
    "distance, limit 64": partial(distance_maps, limit=64.0),
}
STARTS = ("random backbone", "MAE, random clicks", "MAE, zero clicks")


def averages(losses: list[float]) -> list[float]:
    """A loss curve in steps of `WINDOW`."""
    parts = [losses[i : i + WINDOW] for i in range(0, len(losses), WINDOW)]
    return [round(sum(part) / len(part), 4) for part in parts]


def train_and_score(model: nn.Module, steps: int, seed: int) -> dict:
    """One run: its loss curve, its scores on held-out scenes, its seconds."""
    data = toy_data(TRAIN)
    started = time.process_time()
    losses = toy_train(model, data, steps, seed=seed)
    seconds = time.process_time() - started
    scores = toy_scores(model, toy_data(VAL, split="val"), CLICKS)
    return {
        "miou": [round(score, 4) for score in scores],
        "loss": averages(losses),
        "cpu_seconds": round(seconds, 1),
    }


_PRETRAINED: dict[int, tuple[dict, list[float]]] = {}


def pretrained(seed: int) -> tuple[dict, list[float]]:
    """Weights of image embedding and backbone after masked pretraining, and its loss curve."""
    if seed not in _PRETRAINED:
        model = toy_model(seed)
        mae = MaskedAutoencoder(model.embedding.image, model.backbone)
        losses = pretrain(mae, toy_data(TRAIN).images, PRETRAIN_STEPS, seed=seed)
        kept = ("embedding.image.", "backbone.")
        weights = {k: v for k, v in model.state_dict().items() if k.startswith(kept)}
        _PRETRAINED[seed] = weights, averages(losses)
    return _PRETRAINED[seed]


def run_start(setting: str, steps: int, seed: int) -> dict:
    """One start: random or pretrained backbone, random or zero click embedding."""
    model = toy_model(seed)
    extra = {}
    if setting.startswith("MAE"):
        weights, curve = pretrained(seed)
        model.load_state_dict(weights, strict=False)
        extra["pretraining_loss"] = curve
    if setting.endswith("zero clicks"):
        nn.init.zeros_(model.embedding.clicks.proj.weight)
    return train_and_score(model, steps, seed) | extra


def run(experiment: str, setting: str, steps: int, seed: int) -> dict:
    """Measure one setting of one experiment with one seed."""
    if experiment == "start":
        return run_start(setting, steps, seed)
    if experiment == "designs":
        return train_and_score(toy_model(seed, pyramid=setting), steps, seed)
    return train_and_score(Encoded(toy_model(seed), ENCODINGS[setting]), steps, seed)


SETTINGS = {"encodings": tuple(ENCODINGS), "designs": DESIGNS, "start": STARTS}


def same_run(setting: str, steps: int, seed: int, folder: Path) -> dict | None:
    """The run of the first settings, if another experiment has measured it already."""
    firsts = {names[0]: f"toy_{experiment}" for experiment, names in SETTINGS.items()}
    if setting not in firsts:
        return None
    for first, name in firsts.items():
        if (folder / f"{name}.json").is_file():
            result = measured(name, folder)
            runs = result["results"].get(first, {})
            if str(seed) in runs and result["steps"] == steps:
                return runs[str(seed)]
    return None


def main() -> None:
    """Run what is missing and write after every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiments", nargs="*", default=list(SETTINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for seed in args.seeds:
        for experiment in args.experiments:
            name = f"toy_{experiment}"
            path = args.folder / f"{name}.json"
            result = {"command": "", "results": {}}
            if path.is_file():
                result = measured(name, args.folder)
            result |= {
                "command": f"python benchmarks/toy_runs.py {experiment} --steps {args.steps}",
                "data": f"{TRAIN} drawn scenes of 64 pixels, scored on {VAL} others",
                "steps": args.steps,
                "batch_size": 16,
                "pretraining_steps": PRETRAIN_STEPS if experiment == "start" else 0,
                "loss_window": WINDOW,
                "machine": f"1 core, {platform.machine()}, torch {torch.__version__}",
            }
            result["seeds"] = args.seeds[: args.seeds.index(seed) + 1]
            for setting in SETTINGS[experiment]:
                runs = result["results"].setdefault(setting, {})
                if str(seed) in runs:
                    continue
                done = same_run(setting, args.steps, seed, args.folder)
                runs[str(seed)] = done or run(experiment, setting, args.steps, seed)
                write_json(path, result)
                print(
                    f"{experiment}, {setting}, seed {seed}: {runs[str(seed)]['miou']}", flush=True
                )
            write_json(path, result)


if __name__ == "__main__":
    main()
