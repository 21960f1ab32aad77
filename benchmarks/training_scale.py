"""Hours and memory of the published trainings: what can be counted, and what follows from it.

    python benchmarks/training_scale.py [--measure]

`--measure` counts, on the CPU, the bytes that the forward pass keeps for the backward pass
(`saved_tensors_hooks`) for one sample at 448 pixels, with and without recomputing blocks, in bf16;
the result is kept in benchmarks/results/training_memory.json. Without it the tables of
docs/scaling.md are printed as Markdown, from these bytes and from the operations that counting.py
finds. Times are estimates: operations divided by the throughput that is assumed below. Where
benchmarks/results/training_step_cuda.json exists, replace the assumption by what it says.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from simpleclick_lite.counting import count_operations
from simpleclick_lite.files import write_json
from simpleclick_lite.loss import normalized_focal_loss
from simpleclick_lite.model import PRESETS, SimpleClick
from simpleclick_lite.training_presets import PRESETS as RECIPES

MEMORY = Path(__file__).parent / "results" / "training_memory.json"
SIZES = ("base", "large", "huge")
SAMPLES = {"SBD": 8_498 * 55, "COCO+LVIS": 30_000 * 55}
FORWARDS = 1.5 + 3  # click rounds without gradients, then forward and backward
PEAK = 990e12  # bf16 operations a second of one H100 (SXM), from its data sheet
SHARE = 0.35  # of it that a plain ViT with windows and small maps is assumed to reach
PRICE = 2.5  # dollars per GPU and hour, assumed
LINK = 200e9  # bytes a second between the GPUs of a node, in practice; 25e9 between nodes
DECODE = 0.015  # seconds of one CPU core per sample: decode, augment, clicks


def saved_bytes(name: str, checkpointing: bool) -> int:
    """Bytes kept for the backward pass by one sample at 448 pixels under bf16 autocast."""
    model = SimpleClick(PRESETS[name]).train()
    model.backbone.checkpointing = checkpointing
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        alive.append(x)  # so that no address is used twice
        return x

    alive: list[torch.Tensor] = []
    image = torch.rand(1, 3, 448, 448)
    points, labels = torch.full((1, 1, 2), 200.0), torch.ones(1, 1, dtype=torch.long)
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x),
        torch.autocast("cpu", torch.bfloat16),
    ):
        logits = model(image, points, labels)
        normalized_focal_loss(logits.float(), torch.zeros_like(logits).float()).mean()
    return sum(kept.values())


def measure() -> None:
    """Count for all sizes and write the result."""
    torch.set_num_threads(1)
    rows = {}
    for name in SIZES:
        rows[name] = {
            "parameters": sum(p.numel() for p in SimpleClick(PRESETS[name]).parameters()),
            "saved_bytes": saved_bytes(name, False),
            "saved_bytes_checkpointing": saved_bytes(name, True),
        }
        print(name, rows[name], flush=True)
    write_json(
        MEMORY,
        {
            "command": "python benchmarks/training_scale.py --measure",
            "data": "one random sample of 448x448 pixels, bf16 autocast, on a CPU",
            "machine": f"1 thread, torch {torch.__version__}",
            "results": rows,
        },
    )


def step_seconds(name: str, batch: int, gpus: int, operations: float, parameters: float) -> dict:
    """Seconds of one optimizer step and of its parts, on `gpus` GPUs."""
    each = batch / gpus
    compute = each * FORWARDS * operations / (PEAK * SHARE)
    nodes = max(1, gpus // 8)
    link = LINK if nodes == 1 else 25e9 * 8
    talk = 0.0 if gpus == 1 else 2 * 2 * parameters * (gpus - 1) / gpus / link  # bf16 gradients
    exposed = max(0.0, talk - 0.5 * compute)  # most of it hides behind the backward pass
    cores = 16  # of the host, per GPU
    data = each * DECODE / cores
    return {
        "compute": compute,
        "talk": talk,
        "data": data,
        "step": max(compute + exposed, data),
    }


def tables() -> None:
    """Print the Markdown tables of docs/scaling.md."""
    memory = json.loads(MEMORY.read_text(encoding="utf-8"))["results"]
    print("| model | GFLOPs forward | weights, gradients, Adam | kept per sample | recomputed |")
    print("| --- | --- | --- | --- | --- |")
    operations = {}
    for name in SIZES:
        operations[name] = count_operations(name, 448).ours
        row = memory[name]
        state = 16 * row["parameters"] / 2**30
        kept, less = (row[k] / 2**30 for k in ("saved_bytes", "saved_bytes_checkpointing"))
        giga = operations[name] / 1e9
        print(f"| {name} | {giga:.1f} | {state:.1f} GB | {kept:.2f} GB | {less:.2f} GB |")
    for data, samples in SAMPLES.items():
        print(f"\n| {data}: model | batch | GPUs | samples/s | hours | dollars | bottleneck |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for name in SIZES:
            batch = RECIPES[f"sbd_{name}"].batch_size
            for gpus in (1, 4, 8, 64):
                if gpus > batch:
                    print(
                        f"| {name} | {batch} | {gpus} | - | - | - | batch under one sample each |"
                    )
                    continue
                row = memory[name]
                t = step_seconds(name, batch, gpus, operations[name], row["parameters"])
                hours = samples / batch * t["step"] / 3600
                waits = max(("compute", "talk", "data"), key=lambda k, t=t: t[k])
                word = {"compute": "arithmetic", "talk": "gradients", "data": "loaders"}[waits]
                print(
                    f"| {name} | {batch} | {gpus} | {batch / t['step']:.0f} | {hours:.1f} | "
                    f"{hours * gpus * PRICE:.0f} | {word} |"
                )


def main() -> None:
    """Measure or print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        measure()
    tables()


if __name__ == "__main__":
    main()
