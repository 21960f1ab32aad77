"""How far peak memory rises during a forward pass: this package beside the plain reference.

    python benchmarks/memory.py [--model base] [--image-size 448] [--rounds 3]

Every measurement is a process of its own, the two kinds in turn. A process first runs a small
image, so that libraries are loaded and their buffers made; then the peak is reset and one pass of
one image is run without gradients. `rise` is the peak minus what was resident before. Linux only.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import torch

from simpleclick_lite.files import write_json
from simpleclick_lite.model import build_model
from simpleclick_lite.reference import PlainNetwork

KINDS = ("plain", "exact")
RESULT = Path(__file__).parent / "results" / "memory.json"


def resident(field: str) -> int:
    """VmRSS (now) or VmHWM (peak) of this process, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"this system does not tell {field}")


def rise(kind: str, model: str, side: int) -> int:
    """Bytes by which the peak rises during one pass."""
    torch.manual_seed(0)
    network = build_model(model, side).eval()
    if kind == "plain":
        network = PlainNetwork(network)
    points, labels = torch.tensor([[[20.0, 20.0], [40.0, 30.0]]]), torch.tensor([[1, 0]])
    with torch.no_grad():
        for size in (64, side):
            image, mask = torch.rand(1, 3, size, size), torch.rand(1, 1, size, size)
            before = resident("VmRSS")
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
            network(image, points, labels, mask)
    return resident("VmHWM") - before


def main() -> None:
    """Measure in turns and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="base")
    parser.add_argument("--image-size", type=int, default=448)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kind", choices=KINDS, help="measure this once, print it, write nothing")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.kind:
        print(rise(args.kind, args.model, args.image_size))
        return
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(args.rounds):
        for kind in KINDS:
            command = [sys.executable, __file__, *sys.argv[1:], "--kind", kind]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            found[kind].append(round(int(answer.stdout) / 1e6, 1))
            print(kind, found[kind][-1], "MB", flush=True)
    middle = {kind: statistics.median(values) for kind, values in found.items()}
    result = {
        "command": shlex.join(["python", "benchmarks/memory.py", *sys.argv[1:]]),
        "data": "one image of noise, two clicks, random weights, seed 0",
        "model": args.model,
        "image_size": args.image_size,
        "machine": f"{args.threads} of {os.cpu_count()} CPU cores, {platform.machine()}, torch "
        f"{torch.__version__}",
        "rise_mb": found,
        "ratio": round(middle["exact"] / middle["plain"], 3),
    }
    print("ratio of the medians", result["ratio"])
    write_json(RESULT, result)


if __name__ == "__main__":
    main()
