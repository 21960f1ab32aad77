"""What the layers of simpleclick_lite/learning.py save a CPU that learns in bfloat16.

    python benchmarks/learning_cost.py [--rounds 7] [--threads 1]

Forward and backward of single layers of xtiny, 32 samples, with the shapes of a training at 448
pixels, and of the whole network at three sizes (as many samples as fit a step's 32 at 224). Each is
measured as it is and as PyTorch and timm wrote it, alternately, in seconds of the processor;
medians and quartiles of all rounds after the first. The ratio is the median of the rounds' own
ratios, below 1 where it saves.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from timm.layers import Attention
from torch import Tensor, nn

from simpleclick_lite import build_model
from simpleclick_lite.as_written import as_written
from simpleclick_lite.files import write_json
from simpleclick_lite.inference import FrugalBranch
from simpleclick_lite.learning import LearningAttention, LearningConv2d

RESULT = Path(__file__).parent / "results" / "learning_cost.json"
SIDES = ((224, 32), (320, 16), (448, 8))  # pixels, samples
WIDTH, HEADS = 160, 4  # of xtiny


def layers() -> dict[str, tuple[nn.Module, Tensor]]:
    """Single layers and what they are called with; a channel is last in memory, as in the model."""
    attention = Attention(WIDTH, num_heads=HEADS, qkv_bias=True)
    attention.__class__ = LearningAttention
    embedding = nn.Conv2d(3, WIDTH, 16, 16)
    embedding.__class__ = LearningConv2d
    finest = FrugalBranch(nn.ConvTranspose2d(WIDTH, 192, 2, 2))
    pointwise = FrugalBranch(nn.Conv2d(128, 128, 1))

    def last(*shape: int) -> Tensor:
        x = torch.randn(shape, dtype=torch.bfloat16)
        return x.contiguous(memory_format=torch.channels_last)

    return {
        "attention, windows of 196 tokens": (attention, torch.randn(128, 196, WIDTH)),
        "attention, 784 tokens": (attention, torch.randn(32, 784, WIDTH)),
        "patch embedding": (embedding, torch.randn(32, 3, 448, 448)),
        "upsampling by two": (finest, last(32, WIDTH, 28, 28)),
        "1x1 convolution": (pointwise, last(32, 128, 112, 112)),
    }


def layer_step(layer: nn.Module, x: Tensor) -> Callable[[], None]:
    """Forward and backward of a layer; an image needs no gradient, tokens and maps do."""
    x = x.requires_grad_(x.shape[1] != 3)

    def step() -> None:
        layer.zero_grad()
        x.grad = None
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
        y.backward(torch.ones_like(y))

    return step


def network_step(side: int, count: int) -> Callable[[], None]:
    """Forward and backward of xtiny with one click a sample."""
    model = build_model("xtiny", side).train()
    image = torch.rand(count, 3, side, side)
    points = torch.full((count, 1, 2), side / 2)
    labels = torch.ones(count, 1, dtype=torch.int64)

    def step() -> None:
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(image, points, labels)
        logits.float().square().mean().backward()

    return step


def measure(step: Callable[[], None], rounds: int) -> dict[str, object]:
    """Seconds before and now, in turn."""
    before, now = [], []
    for count in range(rounds + 1):
        for spent in (before, now):
            start = time.process_time()
            if spent is before:
                with as_written():
                    step()
            else:
                step()
            if count:  # the first is warm-up
                spent.append(time.process_time() - start)
    ratios = [b / a for a, b in zip(before, now, strict=True)]
    return {
        "before_ms": round(1000 * statistics.median(before), 1),
        "now_ms": round(1000 * statistics.median(now), 1),
        "ratio": round(statistics.median(ratios), 3),
        "quartiles": [round(q, 3) for q in statistics.quantiles(ratios, n=4)[::2]],
    }


def main() -> None:
    """Measure everything and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rows = {name: measure(layer_step(*case), args.rounds) for name, case in layers().items()}
    for side, count in SIDES:
        name = f"whole network, {side} px, {count} samples"
        rows[name] = measure(network_step(side, count), args.rounds)
    for name, row in rows.items():
        print(f"{name:40} {row}")
    result = {
        "command": shlex.join(["python", "benchmarks/learning_cost.py", *sys.argv[1:]]),
        "data": "random numbers",
        "machine": f"cpu, threads {args.threads}, {platform.machine()}, torch {torch.__version__}",
        "rows": rows,
    }
    write_json(RESULT, result)


if __name__ == "__main__":
    main()
