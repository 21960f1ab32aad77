"""Is `quick` as good as the loop it replaces? Equal steps, several seeds, mIoU on `photos`.

    python benchmarks/quick_seeds.py [--steps 600] [--seeds 0 1 2] [--runs runs/quick_seeds]

`carried` is the preset `quick`: a sample stays for rounds + 1 steps and every answer is learned
from. `fresh` is the same preset with `carry=False`, the published order: new samples every step,
0 to 3 rounds of clicks without gradients, then one answer that is learned from. Nothing else
differs; `fresh` even keeps the package's faster attention, disks and head, so that the ratio of
seconds is that of the two ways alone (benchmarks/training_step.py measures the rest).

Seconds are of the processor, one thread, of the training alone; the two ways take turns. A finished
run is written at once to benchmarks/results/quick_seeds.json, an interrupted one goes on from its
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
from simpleclick_lite.training import Trainer, preset

RESULT = Path(__file__).parent / "results" / "quick_seeds.json"
WAYS = {"carried": True, "fresh": False}
CLICKS = 5


def run(way: str, seed: int, steps: int, folder: Path) -> dict:
    """Train once and let the robot click on every object of photos."""
    config = preset(
        "quick",
        carry=WAYS[way],
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
    """Mean, standard deviation and range of mIoU@5 over seeds, and how much faster carried is."""
    found = {}
    seeds = [seed for seed in results["fresh"] if seed in results["carried"]]
    for way, runs in results.items():
        last = [runs[seed]["miou"][CLICKS - 1] for seed in seeds]
        found[way] = {
            f"miou@{CLICKS}_mean": round(float(np.mean(last)), 4),
            f"miou@{CLICKS}_std": round(float(np.std(last, ddof=1)), 4) if last[1:] else None,
            f"miou@{CLICKS}_range": [min(last), max(last)],
        }
    pairs = [[results[w][s]["cpu_seconds_per_step"] for w in ("fresh", "carried")] for s in seeds]
    ratios = [fresh / carried for fresh, carried in pairs if fresh and carried]
    found["carried_times_faster"] = round(float(np.median(ratios)), 2) if ratios else None
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
        results = before["results"]
    for seed in args.seeds:
        for way in WAYS:
            if str(seed) in results[way]:
                continue
            results[way][str(seed)] = run(way, seed, args.steps, args.runs)
            print(way, seed, results[way][str(seed)], flush=True)
            both = results["fresh"].keys() & results["carried"].keys()
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
                    "summary": summary(results) if both else {},
                    "results": results,
                },
            )


if __name__ == "__main__":
    main()
