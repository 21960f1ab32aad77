"""Is `quick` as good as the loop it replaces? Equal steps, several seeds, mIoU on `photos`.

    python benchmarks/quick_seeds.py [--steps 600] [--seeds 0 1 2] [--runs runs/quick_seeds]

| way | what it is |
| --- | --- |
| plain | the loop replaced: attention, disks and head of reference.py |
| quick | the preset: the same samples, click rounds and loss, by this package's network |
| carried | the preset with `carry=True`: a sample stays for rounds + 1 steps |
| carried_longer | as carried, half as many steps more, about as long as `quick` takes |

Seconds are of the processor, one thread, of the training alone; the ways take turns. A finished run
is written at once to benchmarks/results/quick_seeds.json, an interrupted one goes on from its
checkpoint, so the same call continues; delete the file and the folder of runs to measure anew.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from simpleclick_lite.checkpoint import load_model
from simpleclick_lite.data import open_dataset
from simpleclick_lite.evaluation import evaluate
from simpleclick_lite.files import write_json
from simpleclick_lite.predictor import Predictor
from simpleclick_lite.reference import PlainNetwork
from simpleclick_lite.training import Trainer, preset

RESULT = Path(__file__).parent / "results" / "quick_seeds.json"
WAYS = {  # whether samples are carried, and steps as a share of --steps
    "quick": (False, 1.0),
    "plain": (False, 1.0),
    "carried": (True, 1.0),
    "carried_longer": (True, 1.5),
}
CLICKS = 5


class _Plain(PlainNetwork):
    """The plain network around the trainer's own weights and dropout."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__(trainer.model)
        for name, module in trainer.model.named_modules():
            self.model.get_submodule(name)._parameters.update(module._parameters)
        self.model.head.dropout = trainer.dropout

    def forward(self, image, points, labels, previous):
        if previous is None:
            previous = image.new_zeros((len(image), 1, *image.shape[-2:]), dtype=torch.float32)
        return super().forward(image, points, labels, previous)


def run(way: str, seed: int, steps: int, folder: Path) -> dict:
    """Train once and let the robot click on every object of photos."""
    carry, share = WAYS[way]
    steps = round(share * steps)
    config = preset(
        "quick",
        carry=carry,
        seed=seed,
        steps=steps,
        device="cpu",
        threads=1,
        checkpoint_every=100,
        keep=1,
        validation_objects=0,
        out=str(folder / f"{way}_{seed}_{steps}"),
    )
    if list(Path(config.out).glob("checkpoints/step_*.pt")):
        config = preset("quick", **{**vars(config), "resume": True})
    started = time.process_time()
    trainer = Trainer(config, progress=False)
    if way == "plain":
        trainer.network = _Plain(trainer)
    trainer.run()
    seconds = time.process_time() - started
    done = steps - trainer.start
    predictor = Predictor(load_model(config.out), "cpu")
    result = evaluate(predictor, open_dataset("photos"), CLICKS, progress=False)
    return {
        "miou": [round(result.miou(k), 4) for k in range(1, CLICKS + 1)],
        "cpu_seconds_per_step": round(seconds / done, 4) if done else None,
    }


def summary(results: dict[str, dict[str, dict]]) -> dict:
    """Mean, standard deviation and range of mIoU@5 over seeds; seconds a step against `plain`."""
    found = {}
    for way, runs in results.items():
        last = [run["miou"][CLICKS - 1] for run in runs.values()]
        if not last:
            continue
        seconds = [run["cpu_seconds_per_step"] for run in runs.values()]
        found[way] = {
            f"miou@{CLICKS}_mean": round(float(np.mean(last)), 4),
            f"miou@{CLICKS}_std": round(float(np.std(last, ddof=1)), 4) if last[1:] else None,
            f"miou@{CLICKS}_range": [min(last), max(last)],
            "cpu_seconds_per_step": round(float(np.median([s for s in seconds if s])), 4),
        }
    if "plain" in found:
        for row in found.values():
            ratio = found["plain"]["cpu_seconds_per_step"] / row["cpu_seconds_per_step"]
            row["times_faster_than_plain"] = round(ratio, 2)
    return found


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/quick_seeds"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    results: dict[str, dict[str, dict]] = {way: {} for way in WAYS}
    if RESULT.is_file():
        before = json.loads(RESULT.read_text(encoding="utf-8"))
        if before["steps"] != args.steps:
            parser.error(f"{RESULT} is of {before['steps']} steps; remove it first")
        results |= before["results"]
    for seed in args.seeds:
        for way in WAYS:
            if str(seed) in results[way]:
                continue
            results[way][str(seed)] = run(way, seed, args.steps, args.runs)
            print(way, seed, results[way][str(seed)], flush=True)
            write_json(
                RESULT,
                {
                    "command": f"python benchmarks/quick_seeds.py --steps {args.steps}",
                    "data": "trained on drawn scenes (synthetic), measured on photos: 42 objects, "
                    "mean over 12 photographs, crop and mirror image as by default",
                    "preset": "quick",
                    "steps": args.steps,
                    "steps_of_the_preset": preset("quick").steps,
                    "machine": f"1 thread of a machine with 2 CPU cores, {platform.machine()}, "
                    f"torch {torch.__version__}",
                    "summary": summary(results),
                    "results": results,
                },
            )


if __name__ == "__main__":
    main()
