"""Seconds of a training step with two click rounds: ours against a plain one, measured alternately.

    python benchmarks/training_step.py [--rounds 5] [--threads 1] [--device cuda]

The plain step does what the published code does: attention without a fused kernel, every click
drawn as a distance over the whole image, the head in its textbook order, clicks found sample by
sample through OpenCV, fp32, no compilation. Ours is measured in two ways, each in fp32 and in bf16
(`--precision bf16`, autocast): `fresh` does the same work (two click rounds, then the step);
`carried`, the default of our own recipes, learns from each prediction, one forward pass a step.

On a CPU seconds of the processor are measured and the smallest of all rounds counts; on a GPU
seconds of the clock around work that was waited for.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from simpleclick_lite.data.sampling import Batch, collate
from simpleclick_lite.files import write_json
from simpleclick_lite.loss import normalized_focal_loss
from simpleclick_lite.model import SimpleClick
from simpleclick_lite.reference import PlainNetwork
from simpleclick_lite.simulation import training_clicks
from simpleclick_lite.training import make_model, make_samples, preset
from simpleclick_lite.training_batches import to_device
from simpleclick_lite.training_rounds import click_rounds, next_clicks

CASES = ((224, 8), (448, 4))  # side in pixels, samples
ROUNDS = 2  # click rounds before the step
WAYS = [(way, precision) for precision in ("fp32", "bf16") for way in ("fresh", "carried")]
RESULT = Path(__file__).parent / "results" / "training_step.json"


class Plain:
    """The step to compare with."""

    def __init__(self, model: SimpleClick, lr: float):
        self.model = PlainNetwork(model)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr, foreach=False)

    def step(self, batch: Batch) -> None:
        points, labels, previous = batch.points, batch.labels, batch.previous
        truth = batch.target.cpu().numpy()
        self.model.eval()
        with torch.no_grad():
            for done in range(ROUNDS):
                previous = torch.sigmoid(self.model(batch.image, points, labels, previous))
                rngs = [np.random.default_rng((done, i)) for i in batch.index]
                more, signs = training_clicks(previous.cpu().numpy(), truth, rngs)
                points = torch.cat([points, torch.from_numpy(more).to(points.device)], 1)
                labels = torch.cat([labels, torch.from_numpy(signs).to(labels.device)], 1)
        self.model.train()
        logits = self.model(batch.image, points, labels, previous)
        normalized_focal_loss(logits, batch.target.float()).mean().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class Ours:
    """A step of this package, with fresh or carried rounds."""

    def __init__(
        self, model: SimpleClick, lr: float, carried: bool, precision: str, compiled: bool
    ):
        self.model = model
        self.carried, self.precision = carried, precision
        if compiled:
            model.compile()
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=lr, fused=True)

    def step(self, batch: Batch) -> None:
        config = preset("scratch")
        device = batch.image.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.precision == "bf16"):
            if not self.carried:
                batch = click_rounds(self.model, batch, ROUNDS, config)
            logits = self.model(batch.image, batch.points, batch.labels, batch.previous)
        loss = normalized_focal_loss(logits.float(), batch.target.float(), stable=True).mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.carried:
            probability = torch.sigmoid(logits.detach().float())
            ages = [0] * len(batch.index)
            next_clicks(probability, batch.target, batch.index, ages, config)


def measure(step: Callable[[Batch], None], batch: Batch, device: torch.device) -> float:
    """Seconds of one step."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        start = time.perf_counter()
        step(batch)
        torch.cuda.synchronize()
        return time.perf_counter() - start
    start = time.process_time()
    step(batch)
    return time.process_time() - start


def main() -> None:
    """Measure both cases and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="xtiny")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    device = torch.device(args.device)
    file = "training_step.json" if args.device == "cpu" else f"training_step_{args.device}.json"
    rows = []
    for side, count in CASES:
        config = preset("scratch", model=args.model, image_size=side)
        samples = make_samples(replace(config, data="synthetic"))
        batch = to_device(collate([samples[i] for i in range(count)]), device)
        plain = Plain(make_model(config).to(device).train(), config.lr)
        ours = {
            f"{way}_{precision}": Ours(
                make_model(config).to(device).train(),
                config.lr,
                way == "carried",
                precision,
                args.compile,
            )
            for way, precision in WAYS
        }
        steps = {"plain": plain.step, **{name: o.step for name, o in ours.items()}}
        best = dict.fromkeys(steps, float("inf"))
        for k in range(args.rounds + 1):
            for name, step in steps.items():
                seconds = measure(step, batch, device)
                if k:  # the first round warms up
                    best[name] = min(best[name], seconds)
        row = {
            "side": side,
            "batch": count,
            **{f"{name}_seconds": round(v, 4) for name, v in best.items()},
            **{f"{n}_times_faster": round(best["plain"] / best[n], 2) for n in ours},
            "samples_per_second": {n: round(count / best[n], 1) for n in ours},
        }
        rows.append(row)
        print(row, flush=True)
        result = {
            "command": shlex.join(["python", "benchmarks/training_step.py", *sys.argv[1:]]),
            "data": "synthetic scenes, seed 0",
            "model": args.model,
            "click_rounds": ROUNDS,
            "rounds": args.rounds,
            "machine": f"{args.device}, {args.threads} thread, {platform.machine()}, "
            f"torch {torch.__version__}",
            "results": rows,
        }
        write_json(RESULT.with_name(file), result)


if __name__ == "__main__":
    main()
