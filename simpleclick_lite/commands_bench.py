"""What `simpleclick-lite bench` does: seconds per click here, or the paper's tables beside ours."""

from __future__ import annotations

import argparse
import statistics
import sys

import numpy as np


def bench(args: argparse.Namespace) -> int:
    """`bench`: milliseconds per click of each preset, also as a ratio to the first; or a table."""
    if args.table == "latency":
        return _bench_latency(args)
    if args.table is not None:
        from .tables import print_table

        print(print_table(args.table, args.results))
        return 0
    from .model import build_model
    from .predictor import Predictor

    rng = np.random.default_rng(0)
    size, models = args.image_size or 448, args.models or ["micro", "xtiny"]
    image = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
    points = rng.uniform(0, size - 1, (args.clicks, 2)).tolist()
    predictors = [Predictor(build_model(m, size), args.device) for m in models]
    times: list[list[float]] = [[] for _ in predictors]
    # in turn, so that whatever else the machine does falls on all of them; the first is warm-up
    for count in range(args.clicks + 1):
        for predictor, spent in zip(predictors, times, strict=True):
            if not count:
                predictor.set_image(image)
            answer = predictor.predict(points[: max(1, count)])
            spent.append(answer.milliseconds)
    device = predictors[0].device
    print(f"{size} pixels, mirror averaging, {device}, {args.clicks} clicks, median")
    print(f"{'model':10} {'parameters':>12} {'ms per click':>13} {'ratio':>7}")
    medians = [statistics.median(spent[1:]) for spent in times]
    for name, predictor, median in zip(models, predictors, medians, strict=True):
        count = sum(p.numel() for p in predictor.model.parameters())
        print(f"{name:10} {count:12,} {median:13.1f} {median / medians[0]:7.2f}")
    return 0


def _bench_latency(args: argparse.Namespace) -> int:
    """`bench --table latency`: beside the plain reference, with the share of the peak."""
    import shlex

    from .files import write_json
    from .latency import measure

    sizes = [args.image_size] if args.image_size else [224, 448]
    cases = [(name, size) for name in args.models or ["xtiny", "base"] for size in sizes]
    command = shlex.join(["simpleclick-lite", *sys.argv[1:]])

    def save(result: dict) -> None:
        if args.json is not None:
            write_json(args.json, {"command": command, **result})

    result = measure(cases, args.clicks, args.threads, args.options, save=save)
    print(f"{result['machine']}; {result['clock']}; peak {result['peak_gflops']} GFLOP/s in fp32")
    if args.json is not None:
        print(f"wrote {args.json}")
    return 0
