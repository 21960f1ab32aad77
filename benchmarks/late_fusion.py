"""Clicks that enter late: what a later click costs, and what it costs in accuracy.

    python benchmarks/late_fusion.py latency [--models xtiny base] [--rounds 5] [--settings …]
    python benchmarks/late_fusion.py accuracy [--steps 400] [--only SETTING:SEED …]
    python benchmarks/late_fusion.py photographs --root DATASETS --weights RUN [--steps 250] […]

latency   CPU seconds of a click by the predictor, mirror averaging on, fp32, one thread, at 448
          pixels; every setting answers in turn, in one process. The exact click is the same
          package's k = 0. `changed crop` is a click for which nothing was known.
accuracy  a toy network of eight blocks, trained from random weights on drawn scenes, equal steps:
          clicks enter after k blocks, or as tokens.
photographs  the weights of stage 5 (model card), trained on at 224 pixels with the same mixture and
          16 samples a step, after the clicks were moved; robot on the 80 held-out objects. The
          exact network goes through the same steps, from weights that were trained for it.

Every finished run is written at once to simpleclick_lite/measured/late_fusion.json, which notebook
14 draws; an interrupted call goes on where it stopped.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import statistics
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from simpleclick_lite.checkpoint import move_clicks
from simpleclick_lite.data.photos import photo
from simpleclick_lite.files import write_json
from simpleclick_lite.measured import FOLDER, measured
from simpleclick_lite.model import SimpleClick, build_model
from simpleclick_lite.predictor import Predictor
from simpleclick_lite.toy import TOY, toy_data, toy_model, toy_scores, toy_train
from simpleclick_lite.training import Trainer, preset

NAME = "late_fusion"
SIZE = 448  # pixels of the latency's input
EXACT = "exact"
LIGHT = 4  # a light head has so many times fewer channels
# share of the blocks that see the image alone, branches of the pyramid that do, by how much the
# head is lighter
SHARES: dict[str, tuple[float | None, int, int]] = {
    EXACT: (0.0, 0, 1),
    "1/2": (0.5, 0, 1),
    "3/4": (0.75, 0, 1),
    "all but one": (None, 0, 1),
    "all": (1.0, 0, 1),
    "3/4, light head": (0.75, 0, LIGHT),
    "3/4, two branches cached": (0.75, 2, 1),
    "3/4, two branches cached, light head": (0.75, 2, LIGHT),
    "3/4, three branches cached": (0.75, 3, 1),
}
TRAINED: dict[str, dict] = {
    EXACT: {},
    "1/2": {"fusion_block": 4},
    "3/4": {"fusion_block": 6},
    "all but one": {"fusion_block": 7},
    "3/4, two branches cached": {"fusion_block": 6, "image_branches": 2},
    "3/4, three branches cached": {"fusion_block": 6, "image_branches": 3},
    "3/4, light head": {"fusion_block": 6, "head_channels": TOY.head_channels // LIGHT},
    "sparse": {"clicks": "sparse"},
}
SEEDS = {EXACT: (0, 1, 2), "3/4": (0, 1, 2)}  # the others have one
SCENES, HELD_OUT, TOY_SIZE = 1000, 200, 48


def blocks_of(share: float | None, depth: int) -> int:
    """How many blocks a share is; None is all but one."""
    return depth - 1 if share is None else round(share * depth)


@contextmanager
def stopwatch(model: SimpleClick):
    """CPU milliseconds inside backbone (after the clicks), pyramid and head of a click."""
    spent = dict.fromkeys(("backbone", "pyramid", "head"), 0.0)
    started: dict[str, float] = {}
    hooks = []
    for name in spent:
        part = getattr(model, name)

        def before(*_, name=name):  # noqa: ANN002, ANN001, ANN202
            started[name] = time.process_time()

        def after(*_, name=name):  # noqa: ANN002, ANN001, ANN202
            spent[name] += 1000 * (time.process_time() - started[name])

        hooks += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
    yield spent
    for hook in hooks:
        hook.remove()


def clicks_on(side: int, count: int) -> list[tuple[float, float]]:
    """Places of clicks in a picture of this side."""
    return np.random.default_rng(0).uniform(0, side - 1, (count, 2)).tolist()


def latency(name: str, rounds: int, settings: list[str]) -> dict:
    """Medians of alternating clicks, and the ratio to the exact one in the same round."""
    image = cv2.resize(photo("coffee"), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    torch.manual_seed(0)
    exact = build_model(name, SIZE)
    predictors = {}
    for setting in dict.fromkeys([EXACT, "3/4", *settings]):
        share, branches, lighter = SHARES[setting]
        k = blocks_of(share, exact.config.depth)
        model = move_clicks(exact, fusion_block=k, image_branches=branches)
        if lighter > 1:
            channels = exact.config.head_channels // lighter
            model = SimpleClick(replace(model.config, head_channels=channels))
        predictors[setting] = Predictor(model, "cpu", crop=False)
    clicks = clicks_on(SIZE, rounds + 2)
    later: dict[str, list[float]] = {setting: [] for setting in predictors}
    parts: dict[str, list[dict[str, float]]] = {setting: [] for setting in predictors}
    changed = []
    for predictor in predictors.values():
        predictor.set_image(image)
        with stopwatch(predictor.model):
            predictor.predict(clicks[:1])  # warms up, and the crop is known from now on
    for count in range(2, rounds + 2):
        for setting, predictor in predictors.items():
            with stopwatch(predictor.model) as spent:
                start = time.process_time()
                answer = predictor.predict(clicks[:count])
                later[setting].append(1000 * (time.process_time() - start))
            assert answer.cached == (setting != EXACT)
            parts[setting].append(spent)
        predictor = predictors["3/4"]
        predictor._crops.forget()  # as if the crop had moved
        with stopwatch(predictor.model):
            start = time.process_time()
            predictor.continue_from(predictor._start, predictor.state.clicks)
            changed.append(1000 * (time.process_time() - start))
    rows = {}
    for setting, values in later.items():
        rows[setting] = _row(values, later[EXACT]) | {
            "fusion_block": predictors[setting].model.config.fusion_block,
            "image_branches": predictors[setting].model.config.image_branches,
            "parts_ms": {
                part: round(statistics.median(p[part] for p in parts[setting]), 1)
                for part in ("backbone", "pyramid", "head")
            },
        }
    return {"rounds": rounds, "later_click": rows, "changed_crop_3/4": _row(changed, later[EXACT])}


def _row(values: list[float], exact: list[float]) -> dict:
    ratios = [a / b for a, b in zip(values, exact, strict=True)]
    return {
        "ms": round(statistics.median(values), 1),
        "ms_range": [round(min(values), 1), round(max(values), 1)],
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
    }


def accuracy(setting: str, seed: int, steps: int) -> dict:
    """Train one toy network and let the robot click on held-out scenes."""
    data, held_out = toy_data(SCENES, TOY_SIZE), toy_data(HELD_OUT, TOY_SIZE, split="val")
    model = toy_model(seed, depth=8, image_size=TOY_SIZE, **TRAINED[setting])
    start = time.process_time()
    losses = toy_train(model, data, steps, seed=seed)
    return {
        "miou": [round(score, 4) for score in toy_scores(model, held_out, 5)],
        "last_loss": round(float(np.mean(losses[-50:])), 4),
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def photographs(
    setting: str, seed: int, steps: int, root: Path, runs: Path, weights: str
) -> dict[str, Any]:
    """Train the given weights on with clicks at another place; resumes from its checkpoint."""
    config = preset(
        "shipped_5",
        **TRAINED[setting],
        root=str(root),
        weights=weights,
        model_size=224,
        steps=steps,
        batch_size=16,
        lr=4e-4,
        warmup=20,
        ema=0.98,
        seed=seed,
        threads=1,
        checkpoint_every=50,
        keep=1,
        validate_every=steps,
        resume=True,
        out=str(runs / f"{setting}_{seed}_{steps}".replace("/", "_").replace(" ", "_")),
    )
    start = time.process_time()
    trainer = Trainer(config)
    scores = trainer.run().validation
    return {
        "miou": [round(score, 4) for score in next(iter(scores.values()))],
        "samples": steps * config.batch_size,
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def main() -> None:
    """Measure what is asked for and missing; write after every piece."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["latency", "accuracy", "photographs"])
    parser.add_argument("--models", nargs="+", default=["xtiny", "base"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--settings", nargs="+", choices=list(SHARES), default=list(SHARES))
    parser.add_argument("--steps", type=int, help="of each network; 400, on photographs 250")
    parser.add_argument("--only", nargs="+", help="setting:seed of accuracy or photographs")
    parser.add_argument("--root", type=Path, help="folder of the data sets, for photographs")
    parser.add_argument("--runs", type=Path, default=Path("runs/late_fusion"), help="checkpoints")
    parser.add_argument("--weights", help="start of photographs: the folder of stage 5's run")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    path = args.folder / f"{NAME}.json"

    def store(*keys: str, value: object) -> None:
        """Read again before writing: another part may have been measured meanwhile."""
        result = measured(NAME, args.folder) if path.is_file() else {}
        result["machine"] = f"2 CPU cores, 1 thread, {platform.machine()}"
        result["torch"] = torch.__version__
        place = result
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
        write_json(path, result)
        print(*keys, value, flush=True)

    if args.part == "latency":
        for name in args.models:
            found = latency(name, args.rounds, args.settings)
            command = ["python", "benchmarks/late_fusion.py", "latency", "--models", name]
            command += ["--rounds", str(args.rounds)]
            if args.settings != list(SHARES):
                command += ["--settings", *args.settings]
            found["command"] = shlex.join(command)
            store("latency", f"{name}-{SIZE}", value=found)
        return

    if args.part == "accuracy":
        steps, settings = args.steps or 400, TRAINED
        about = {
            "command": f"python benchmarks/late_fusion.py accuracy --steps {steps}",
            "data": f"{SCENES} drawn scenes of {TOY_SIZE} pixels, scored on {HELD_OUT} others",
            "network": "toy, 8 blocks of width 64, patches of 8, from random weights",
        }
    else:
        steps = args.steps or 250
        # the given weights have a head of the usual size
        settings = {name: t for name, t in TRAINED.items() if "head_channels" not in t}
        if args.root is None or args.weights is None:
            parser.error("photographs needs --root, the data sets' folder, and --weights, stage 5")
        about = {
            "command": "python benchmarks/late_fusion.py photographs --root DATA "
            f"--weights runs/shipped/shipped_5 --steps {steps}",
            "data": "the mixture of the shipped weights, scored on 80 held-out COCO_MVal objects",
            "network": "xtiny at 224 pixels, from the weights of stage 5 (model card)",
        }
    about |= {"steps": steps, "batch_size": 16}
    # setting after setting within a seed, so that an interrupted grid can still be compared
    runs = [(name, seed) for seed in range(3) for name in settings]
    runs = [(name, seed) for name, seed in runs if seed in SEEDS.get(name, (0,))]
    for name, seed in runs:
        if args.only and f"{name}:{seed}" not in args.only:
            continue
        known = (measured(NAME, args.folder) if path.is_file() else {}).get(args.part, {})
        if known.get("steps", steps) != steps:
            parser.error(f"{path} holds runs of {known['steps']} steps; delete them first")
        if str(seed) in known.get("results", {}).get(name, {}):
            continue
        if args.part == "accuracy":
            found = accuracy(name, seed, steps)
        else:
            found = photographs(name, seed, steps, args.root, args.runs, args.weights)
        for key, value in about.items():
            store(args.part, key, value=value)
        store(args.part, "results", name, str(seed), value=found)


if __name__ == "__main__":
    main()
