"""How long the robot takes over many objects: one at a time, in batches, in threads.

    python benchmarks/many_objects.py [--objects 16] [--clicks 5] [--rounds 3] [--device cuda]

All ways click on the same objects of `photos` with the shipped weights, in turn, and must click on
the same pixels. On a CPU `--jobs` gives every core an object of its own; on a GPU a batch fills the
card. Seconds of the clock; medians over the rounds, and the range.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import statistics
import sys
import time
from pathlib import Path

import torch

from simpleclick_lite.checkpoint import load_model
from simpleclick_lite.data import open_dataset
from simpleclick_lite.evaluation import Result, evaluate
from simpleclick_lite.files import write_json
from simpleclick_lite.predictor import Predictor

RESULT = Path(__file__).parent / "results" / "many_objects.json"


def main() -> None:
    """Measure, compare the clicks, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=16)
    parser.add_argument("--clicks", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    ways: dict[str, dict[str, int]] = {"one at a time": {}}
    ways |= {f"batch {b}": {"batch_size": b} for b in (4, 8)}
    if args.device == "cpu":
        ways[f"{cores} jobs"] = {"jobs": cores}
    else:
        ways["batch 32"] = {"batch_size": 32}
    dataset = open_dataset("photos")
    predictor = Predictor(load_model(), args.device)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    clicks: dict[str, list] = {}

    def run(way: str) -> Result:
        chosen = range(args.objects)
        return evaluate(
            predictor, dataset, args.clicks, indices=chosen, progress=False, **ways[way]
        )

    run("one at a time")  # warm-up
    for _ in range(args.rounds):
        for way in ways:
            start = time.perf_counter()
            result = run(way)
            seconds[way].append(time.perf_counter() - start)
            clicks[way] = [item.clicks for item in result.objects]
    plain = statistics.median(seconds["one at a time"])
    rows = {}
    for way, values in seconds.items():
        same = sum(a == b for a, b in zip(clicks[way], clicks["one at a time"], strict=True))
        rows[way] = {
            "seconds": round(statistics.median(values), 2),
            "range": [round(min(values), 2), round(max(values), 2)],
            "times_faster": round(plain / statistics.median(values), 2),
            "objects_with_the_same_clicks": f"{same} of {len(clicks[way])}",
        }
        print(way, rows[way])
    name = "cpu" if args.device == "cpu" else torch.cuda.get_device_name()
    write_json(
        RESULT if args.device == "cpu" else RESULT.with_stem(f"many_objects_{args.device}"),
        {
            "command": shlex.join(["python", "benchmarks/many_objects.py", *sys.argv[1:]]),
            "data": f"{args.objects} objects of photos, {args.clicks} clicks each",
            "weights": "shipped",
            "machine": f"{cores} CPU cores, {platform.machine()}, torch {torch.__version__}"
            + ("" if args.device == "cpu" else f", {name}"),
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
