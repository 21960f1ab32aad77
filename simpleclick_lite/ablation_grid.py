"""A whole grid of ablation runs: resumable, written after every run, summarized with its spread.

Used by benchmarks/ablations.py and notebooks/11_ablations.ipynb; a single run is in ablation.py.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .ablation import Plan, axes, base_label, run, spread
from .errors import InputError
from .files import write_json
from .predictor import get_device
from .training_presets import PRESETS

DESIGN_NAMES = {  # as in the paper's table
    "simple": "simple FP",
    "single_scale": "single-scale",
    "parallel": "parallel",
    "partial": "partial",
}
MACHINE_FIELDS = ("out", "resume", "seed", "weights", "root", "device", "threads", "workers")


def run_grid(
    plan: Plan,
    seeds: Sequence[int],
    out: Path,
    path: Path,
    only: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Run what is missing of a grid, seed by seed, and write the result after every run.

    Args:
        plan: what stays the same and what is tried.
        seeds: one run of every setting for each.
        out: folder of the runs.
        path: the result, .json; runs found there under the same plan are not run again.
        only: axes of the grid; none means all.
        facts: more to keep with the result, for example the command.
        progress: show progress bars.

    Returns:
        the result: plan, data, steps, machine, axes (axis -> labels) and results
        (label -> seed as text -> what `ablation.run` returns).

    Raises:
        InputError: an unknown axis, a result of another plan, or settings that cannot work.
    """
    grid = axes(plan)
    unknown = sorted(set(only) - set(grid))
    if unknown:
        raise InputError(f"there is no axis {unknown[0]!r}; there are {', '.join(grid)}")
    result: dict[str, Any] = {"plan": differences(plan), "results": {}}
    if path.is_file():
        result = json.loads(path.read_text(encoding="utf-8"))
        if result["plan"] != differences(plan):
            raise InputError(f"{path.name} was measured with other settings; choose another name")
    result |= {
        "model": plan.base.model,
        "data": without_folders(plan.base.data),
        "steps": plan.base.steps or f"{plan.base.epochs} epochs",
        "batch_size": plan.base.batch_size,
        "image_size": plan.base.image_size,
        "axes": {
            axis: {"base": base_label(plan, axis), "labels": list(found)}
            for axis, found in grid.items()
        },
        "machine": machine(plan.base.device),
        **(facts or {}),
    }
    wanted = {label: found for axis in only or grid for label, found in grid[axis].items()}
    for seed in seeds:
        for label, changes in wanted.items():
            runs = result["results"].setdefault(label, {})
            if str(seed) in runs:
                continue
            folder = out / path.stem / f"{re.sub('[ ,]+', '_', label)}_{seed}"
            runs[str(seed)] = run(plan, changes, seed, folder, progress)
            result["seeds"] = sorted(
                {int(k) for found in result["results"].values() for k in found}
            )
            write_json(path, result)
            noc = {k: v["noc90"] for k, v in runs[str(seed)]["results"].items()}
            seconds = runs[str(seed)]["cpu_seconds"]
            print(f"seed {seed}, {label}: NoC@90 {noc}, {seconds} CPU seconds", flush=True)
    return result


def axis_runs(result: dict[str, Any], axis: str) -> dict[str, dict[str, Any]]:
    """The runs of one axis, the base first: label -> seed -> run. What was not run is left out.

    Args:
        result: of `run_grid`.
        axis: for example "input size".
    """
    found = {result["axes"][axis]["base"]: result["results"].get("simple", {})}
    for label in result["axes"][axis]["labels"]:
        found[label] = result["results"].get(label, {})
    return {label: runs for label, runs in found.items() if runs}


def table_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the paper's ablation table, as tables.py reads them: NoC@90 and the runs' range."""
    paper = result["plan"]["preset"] == "sbd_base" and result["model"] == "base"
    rows = []
    for frozen in (True, False):
        for design, name in DESIGN_NAMES.items():
            label = f"{design}, frozen" if frozen else design
            runs = list(result["results"].get(label, {}).values())
            for data in result["plan"]["benchmarks"] if runs else ():
                mean, low, high = spread([r["results"][data]["noc90"] for r in runs])
                row = {
                    "design": name,
                    "frozen_vit": frozen,
                    "runs": len(runs),
                    "range": [low, high],
                    "training_data": result["data"],
                    "steps": result["steps"],
                    "machine": result["machine"],
                }
                if paper:
                    rows.append(row | {"vit_b": {data: mean}})
                else:
                    rows.append(row | {"backbone": result["model"], "data": data, "noc90": mean})
    return rows


def write_table(result: dict[str, Any], path: Path) -> None:
    """Write the rows where `simpleclick-lite bench --table ablation` finds them."""
    rows = {"table": "ablation", "command": result.get("command", ""), "rows": table_rows(result)}
    write_json(path, rows)


def differences(plan: Plan) -> dict[str, Any]:
    """The base's settings that its preset does not have, and how it is measured."""
    base, start = asdict(plan.base), asdict(PRESETS[plan.base.preset])
    changed = {k: v for k, v in base.items() if v != start[k] and k not in MACHINE_FIELDS}
    if "data" in changed:
        changed["data"] = without_folders(changed["data"])
    facts = {
        "preset": plan.base.preset,
        "changed": changed,
        "benchmarks": sorted(without_folders(plan.benchmarks).split(",")),
        "objects": plan.objects,
        "clicks": plan.clicks,
        "flip": plan.flip,
    }
    return json.loads(json.dumps(facts))  # as it will be read again


def without_folders(text: str) -> str:
    """A mixture, or an argument that holds one, without where its sets lie on this machine."""
    return re.sub(r"=[^=,:]*[/\\][^,:]*", "", text)


def machine(device: str | None) -> str:
    """What the runs ran on, in words."""
    found = get_device(device)
    name = f"1 core, {platform.machine()}" if found.type == "cpu" else str(found)
    if found.type == "cuda":
        name = torch.cuda.get_device_name(found)
    return f"{name}, torch {torch.__version__}"
