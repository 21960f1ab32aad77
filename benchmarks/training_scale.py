"""Hours, money and memory of the published trainings: what can be counted, and what follows.

    python benchmarks/training_scale.py [--measure]

`--measure` counts the bytes that the forward pass keeps for the backward pass for each sample of
448 pixels, with and without recomputing blocks, under bf16 autocast.
It does so exactly and without computing: PyTorch's fake tensors go through every operation and know
sizes only. The result is kept in benchmarks/results/training_memory.json. Then (and without
`--measure`, too) the tables of docs/scaling.md are written into that page, from these bytes and
from the operations that counting.py finds. Times are estimates: operations divided by the speed
assumed in `ASSUMED`; no GPU was at hand. Put measured values there once there are some.
"""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from simpleclick_lite.as_written import as_written
from simpleclick_lite.counting import count_operations
from simpleclick_lite.files import atomic_path, write_json
from simpleclick_lite.loss import normalized_focal_loss
from simpleclick_lite.model import PRESETS, SimpleClick
from simpleclick_lite.training_presets import PRESETS as RECIPES

ROOT = Path(__file__).resolve().parent.parent
MEMORY = ROOT / "benchmarks" / "results" / "training_memory.json"
PAGE = ROOT / "docs" / "scaling.md"
MARKS = ("<!-- tables: written by benchmarks/training_scale.py -->", "<!-- end of tables -->")
SIZES = ("base", "large", "huge")
GPUS = (1, 4, 8, 64)
SIDE = 448
PHOTOGRAPHS = {"SBD": 8_498, "COCO+LVIS": 30_000}  # of one epoch

ASSUMED = {
    "peak": 990e12,  # bf16 operations a second of one H100 (SXM), from its data sheet
    "share": 0.35,  # of it that a plain ViT with windows and small maps reaches
    "dollars": 2.5,  # per GPU and hour
    "link": 200e9,  # bytes a second between the GPUs of a node of eight
    "network": 25e9,  # bytes a second that leave a GPU for other nodes
    "hidden": 0.5,  # share of the step behind which gradients travel unseen
    "decode": 0.015,  # seconds of one CPU core per sample: decode, augment, clicks
    "cores": 16,  # of the host, per GPU
}


def kept_bytes(name: str, checkpointing: bool, batch: int, side: int = SIDE, fake: bool = True):
    """Bytes kept for the backward pass under bf16 autocast, parameters themselves left out.

    Args:
        name: preset of the network.
        checkpointing: recompute blocks.
        batch: samples.
        side: of the image in pixels.
        fake: count with fake tensors; False really computes (for the test of this function).
    """
    with FakeTensorMode() if fake else nullcontext():
        model = SimpleClick(PRESETS[name]).train()
        model.backbone.checkpointing = checkpointing
        parameters = {p.untyped_storage()._cdata for p in model.parameters()}
        kept: dict[int, int] = {}
        alive = []  # so that no address is used twice

        def keep(x: torch.Tensor) -> torch.Tensor:
            storage = x.untyped_storage()
            if storage._cdata not in parameters:
                kept[storage._cdata] = storage.nbytes()
            alive.append(storage)
            return x

        image = torch.rand(batch, 3, side, side)
        points = torch.full((batch, 1, 2), 200.0)
        labels = torch.ones(batch, 1, dtype=torch.long)
        with (
            as_written(),  # a GPU has no use for what a CPU does otherwise
            torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x),
            torch.autocast("cpu", torch.bfloat16),
        ):
            logits = model(image, points, labels)
            normalized_focal_loss(logits.float(), torch.zeros_like(logits).float()).mean()
        return sum(kept.values())


def measure() -> None:
    """Count for all sizes and write the result."""
    rows = {}
    for name in SIZES:
        with torch.device("meta"):
            parameters = sum(p.numel() for p in SimpleClick(PRESETS[name]).parameters())
        rows[name] = {"parameters": parameters}
        for key, less in (("kept", False), ("kept_recomputing", True)):
            one, two = (kept_bytes(name, less, batch) for batch in (1, 2))
            rows[name][f"{key}_per_sample"] = two - one
            rows[name][f"{key}_per_step"] = 2 * one - two  # bf16 copies of the weights
        print(name, rows[name], flush=True)
    write_json(
        MEMORY,
        {
            "command": "python benchmarks/training_scale.py --measure",
            "data": f"bytes for samples of {SIDE}x{SIDE} pixels under bf16 autocast, counted with "
            "fake tensors for batches of one and two",
            "machine": f"any; torch {torch.__version__}",
            "results": rows,
        },
    )


def whole_batch(batch: int, gpus: int) -> int:
    """The multiple of `gpus` that is nearest to the recipe's batch; 0 if it is under one each."""
    return 0 if gpus > batch else gpus * round(batch / gpus)


def step_parts(name: str, each: int, gpus: int, operations: float, parameters: float) -> dict:
    """Seconds of one optimizer step with `each` samples a GPU, and of its parts."""
    a = ASSUMED
    forwards = 1.5 + 3 + RECIPES[f"sbd_{name}"].checkpointing
    compute = each * forwards * operations / (a["peak"] * a["share"])
    link = a["link"] if gpus <= 8 else a["network"]
    bytes_sent = 2 * 4 * parameters * (gpus - 1) / gpus  # fp32 gradients, ring all-reduce
    talk = max(0.0, bytes_sent / link - a["hidden"] * compute)
    data = each * a["decode"] / a["cores"]
    return {
        "arithmetic": compute,
        "gradients": talk,
        "loaders": data,
        "step": max(compute + talk, data),
    }


def memory_table(rows: dict, operations: dict[str, int]) -> list[str]:
    """Operations and bytes of the three sizes."""
    lines = [
        "| model | GFLOPs of a forward pass | weights, gradients, Adam | bf16 copies of weights | "
        "kept per sample | with recomputing |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in rows.items():
        state = 16 * row["parameters"]
        copies, kept, less = (
            row[k] for k in ("kept_per_step", "kept_per_sample", "kept_recomputing_per_sample")
        )
        sizes = " | ".join(f"{v / 2**30:.2f} GB" for v in (state, copies, kept, less))
        lines.append(f"| {name} | {operations[name] / 1e9:.0f} | {sizes} |")
    return lines


def time_table(data: str, rows: dict, operations: dict[str, int]) -> list[str]:
    """Hours, dollars and memory of one data set's recipes."""
    lines = [
        f"| {data} | GPUs | batch | samples/s | hours | dollars | GB per GPU | bottleneck |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, row in rows.items():
        recipe = RECIPES[f"sbd_{name}" if data == "SBD" else f"cocolvis_{name}"]
        for gpus in GPUS:
            batch = whole_batch(recipe.batch_size, gpus)
            if not batch:
                lines.append(f"| {name} | {gpus} | - | | | | | fewer samples than GPUs |")
                continue
            each = batch // gpus
            t = step_parts(name, each, gpus, operations[name], row["parameters"])
            hours = PHOTOGRAPHS[data] * recipe.epochs / batch * t["step"] / 3600
            slowest = max(("arithmetic", "gradients", "loaders"), key=lambda k, t=t: t[k])
            kind = "kept_recomputing" if recipe.checkpointing else "kept"
            held = 16 * row["parameters"] + row[f"{kind}_per_step"]
            held += each * row[f"{kind}_per_sample"]
            lines.append(
                f"| {name} | {gpus} | {batch} | {batch / t['step']:.0f} | {hours:.2f} | "
                f"{hours * gpus * ASSUMED['dollars']:.0f} | {held / 2**30:.0f} | {slowest} |"
            )
    return lines


def tables() -> str:
    """The Markdown between the marks of docs/scaling.md."""
    rows = json.loads(MEMORY.read_text(encoding="utf-8"))["results"]
    operations = {name: count_operations(name, SIDE).ours for name in rows}
    parts = [memory_table(rows, operations)]
    parts += [time_table(data, rows, operations) for data in PHOTOGRAPHS]
    return "\n\n".join("\n".join(part) for part in parts)


def page_with_tables(page: str) -> str:
    """The page with its tables written anew."""
    before, rest = page.split(MARKS[0])
    return f"{before}{MARKS[0]}\n\n{tables()}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}"


def main() -> None:
    """Count if asked to, and write the page's tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        measure()
    page = page_with_tables(PAGE.read_text(encoding="utf-8"))
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(tables())


if __name__ == "__main__":
    main()
