"""Seconds of one transformer block with global and with window attention, against the image size.

    python benchmarks/attention_cost.py [--width 768] [--heads 12] [--rounds 5]

The two are measured alternately on one thread, in seconds of the CPU rather than of the clock, and
the smallest of all rounds counts. Written to simpleclick_lite/measured/attention_cost.json; drawn
in notebooks/03_plain_vit.ipynb.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import time

import torch

from simpleclick_lite.backbone import PlainViT
from simpleclick_lite.files import write_json
from simpleclick_lite.measured import FOLDER

SIZES = (224, 448, 672, 896, 1120)
PATCH = 16


def main() -> None:
    """Measure all sizes and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    # depth 12: block 0 attends inside windows, block 5 globally
    vit = PlainViT(224, PATCH, args.width, 12, args.heads).eval()
    kinds = {"window": 0, "global": 5}
    rows = []
    for size in SIZES:
        grid = (size // PATCH, size // PATCH)
        x = torch.randn(1, grid[0] * grid[1], args.width)
        best = dict.fromkeys(kinds, float("inf"))
        for _ in range(args.rounds):
            for kind, index in kinds.items():
                with torch.inference_mode():
                    start = time.process_time()
                    vit.run_blocks(x, grid, index, index + 1)
                    best[kind] = min(best[kind], time.process_time() - start)
        rows.append(
            {"size": size, "tokens": x.shape[1], **{k: round(v, 4) for k, v in best.items()}}
        )
        print(rows[-1], flush=True)
    result = {
        "command": shlex.join(["python", "benchmarks/attention_cost.py", *sys.argv[1:]]),
        "data": "random tokens, batch 1",
        "seeds": [0],
        "rounds": args.rounds,
        "width": args.width,
        "heads": args.heads,
        "patch_size": PATCH,
        "machine": f"1 core, {platform.machine()}, torch {torch.__version__}",
        "results": rows,
    }
    write_json(FOLDER / "attention_cost.json", result)


if __name__ == "__main__":
    main()
