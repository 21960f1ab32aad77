"""How long the robot takes over many objects: one at a time, in batches, in threads.

    python benchmarks/many_objects.py [--objects 16] [--clicks 5] [--rounds 3] [--device cuda]

All ways click on the same objects of `photos` with the shipped weights, in turn, and must click on
the same pixels. On a CPU `--jobs` gives every core an object of its own; on a GPU a batch fills the
card. The click tool's session answers the objects of one photograph, whose clicks were made before
(the robot's), one object after the other and together; pixels on which the masks differ are
counted. Seconds of the clock; medians over the rounds, and the range.
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
from shipped import weights_hash

from simpleclick_lite.checkpoint import load_model
from simpleclick_lite.data import open_dataset, open_scenes
from simpleclick_lite.evaluation import Result, evaluate
from simpleclick_lite.files import write_json
from simpleclick_lite.predictor import Predictor
from simpleclick_lite.session import ClickSession

RESULT = Path(__file__).parent / "results" / "many_objects.json"


def compared(seconds: dict[str, list[float]]) -> dict[str, dict]:
    """Medians, ranges, and how many times faster than the first way."""
    plain = statistics.median(next(iter(seconds.values())))
    return {
        way: {
            "seconds": round(statistics.median(values), 2),
            "range": [round(min(values), 2), round(max(values), 2)],
            "times_faster": round(plain / statistics.median(values), 2),
        }
        for way, values in seconds.items()
    }


def in_the_tool(predictor: Predictor, clicks: int, rounds: int) -> dict:
    """A session's masks of all objects of a photograph, one by one and together."""
    scene = max(open_scenes("photos"), key=len)
    given = ClickSession(scene, predictor)
    for _ in range(len(scene)):
        for _ in range(clicks):
            if given.robot_click() is None:
                break
        given.finish()
    state = given.state()

    def fresh() -> ClickSession:
        session = ClickSession(scene, predictor)
        session.load_state(state)
        session.prepare()
        return session

    ways = {
        "one after the other": lambda s: {o.id: s.mask(o.id) for o in s.objects},
        "together": lambda s: s.masks(),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    masks = {way: run(fresh()) for way, run in ways.items()}  # warm-up
    for _ in range(rounds):
        for way, run in ways.items():
            session = fresh()
            start = time.perf_counter()
            run(session)
            seconds[way].append(time.perf_counter() - start)
    one, other = masks.values()
    return {
        "photograph": scene.name,
        "objects": len(one),
        "clicks": sum(len(o.clicks) for o in given.objects),
        "pixels_that_differ": int(sum((one[n] != other[n]).sum() for n in one)),
        "rows": compared(seconds),
    }


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
    rows = {}
    for way, row in compared(seconds).items():
        same = sum(a == b for a, b in zip(clicks[way], clicks["one at a time"], strict=True))
        rows[way] = row | {"objects_with_the_same_clicks": f"{same} of {len(clicks[way])}"}
        print(way, rows[way])
    tool = in_the_tool(predictor, args.clicks, args.rounds)
    print("tool", tool)
    name = "cpu" if args.device == "cpu" else torch.cuda.get_device_name()
    write_json(
        RESULT if args.device == "cpu" else RESULT.with_stem(f"many_objects_{args.device}"),
        {
            "command": shlex.join(["python", "benchmarks/many_objects.py", *sys.argv[1:]]),
            "data": f"{args.objects} objects of photos, {args.clicks} clicks each",
            "weights": "shipped",
            "weights_sha256": weights_hash(),
            "machine": f"{cores} CPU cores, {platform.machine()}, torch {torch.__version__}"
            + ("" if args.device == "cpu" else f", {name}"),
            "rows": rows,
            "tool": tool,
        },
    )


if __name__ == "__main__":
    main()
