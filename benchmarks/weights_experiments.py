"""Keep what training runs reached on the held-out objects, as rows of the model card.

    python benchmarks/weights_experiments.py GROUP "NAME=RUN[@STEP]" ["NAME=RUN[@STEP]" …]

GROUP is one of those in tried.py. NAME says what the run tried, RUN is its folder (of one run, or
of all stages of the recipe `shipped`), STEP the step whose validation counts (default: the last
one; of a recipe that of its last stage). Rows of the same names are replaced in
benchmarks/results/weights_experiments.json, others stay; no path is kept. Then run
`python benchmarks/report.py --text`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import model_card
import tried

from simpleclick_lite.files import write_json
from simpleclick_lite.training_config import NOT_LEARNED, TrainConfig, part_of
from simpleclick_lite.training_presets import PRESETS, STAGES
from simpleclick_lite.training_state import read_metrics

RESULT = Path(__file__).parent / "results" / f"{tried.RESULT}.json"


def row(group: str, name: str, folder: Path, step: int | None) -> dict[str, Any]:
    """What one run had reached.

    Args:
        group: a key of `tried.GROUPS`.
        name: of the row.
        folder: of the run.
        step: whose validation counts; None is the last one.

    Raises:
        SystemExit: the run has no validation at that step.
    """
    config = model_card.read_config(folder)
    metrics = read_metrics(folder)
    checks = [m for m in metrics if m.get("validation") and step in (None, m["step"])]
    if not checks:
        raise SystemExit(f"error: {folder} has no validation at step {step or 'any'}")
    last = checks[-1]
    until = [m for m in metrics if m["step"] <= last["step"]]
    _, seconds = model_card.steps_and_seconds(until)
    ious = next(iter(last["validation"].values()))
    start = config.weights
    if start and start != "shipped":
        start = f"runs/{Path(start).name}"
    return {
        "group": group,
        "name": name,
        "command": model_card.command(config, f"runs/{folder.name}", start),
        "image_size": config.image_size,
        "steps": last["step"],
        "planned_steps": config.steps,
        "samples": last["step"] * config.batch_size,
        "hours": round(seconds / 3600, 2),
        "seed": config.seed,
        "objects": config.validation_objects,
        "miou": [round(v, 4) for v in ious],
    }


def recipe_row(group: str, name: str, folder: Path, step: int | None) -> dict[str, Any]:
    """What all stages of the recipe `shipped` had reached together; arguments as of `row`.

    Samples and hours are sums over the stages, the seed is the first one's, the command trains all
    of them; the rest is the last stage's.

    Raises:
        SystemExit: a stage is missing or no part of the recipe, or the last one has no validation
            at that step.
    """
    stages = STAGES["shipped"]
    for stage in stages:
        if not (folder / stage / "model.safetensors").exists():
            raise SystemExit(f"error: {folder / stage} is no finished stage")
    configs = [model_card.read_config(folder / stage) for stage in stages]
    facts = [model_card.stage_facts(folder / stage, k) for k, stage in enumerate(stages, start=1)]
    return {
        **row(group, name, folder / stages[-1], step),
        "command": f"{recipe_command(configs)} --out runs/{folder.name}",
        "samples": sum(stage["samples"] for stage in facts),
        "hours": round(sum(stage["hours"] for stage in facts), 2),
        "seed": configs[0].seed,
    }


def recipe_command(configs: Sequence[TrainConfig]) -> str:
    """The command that trains these stages of `shipped`, but for its folder.

    Raises:
        SystemExit: there is none.
    """
    presets = [PRESETS[stage] for stage in STAGES["shipped"]]
    command = "simpleclick-lite train --preset shipped --root DATA"
    share = round(configs[0].steps / presets[0].steps, 2)
    if share != 1:
        command += f" --part {share:g}"
    seeds, first = [config.seed for config in configs], configs[0].seed
    if seeds != [config.seed for config in presets]:
        command += f" --seed {first}"
        presets = [replace(config, seed=first + k) for k, config in enumerate(presets)]
    for config, start in zip(configs, presets, strict=True):
        wanted = part_of(start, share)
        for field in fields(TrainConfig):
            name = field.name
            if name in (*NOT_LEARNED, "weights"):
                continue
            if getattr(config, name) != getattr(wanted, name):
                raise SystemExit(
                    f"error: {start.preset} has {name} {getattr(config, name)}, not "
                    f"{getattr(wanted, name)}: no part of the recipe"
                )
    return command


def main() -> None:
    """Read the runs and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("group", choices=tried.GROUPS)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN[@STEP]")
    rows = {}
    if RESULT.exists():
        rows = {r["name"]: r for r in json.loads(RESULT.read_text(encoding="utf-8"))["rows"]}
    args = parser.parse_args()
    for text in args.runs:
        name, _, place = text.rpartition("=")
        folder, _, step = place.partition("@")
        make = row if Path(folder, "training.json").exists() else recipe_row
        rows[name] = make(args.group, name, Path(folder), int(step) if step else None)
        print(rows[name])
    write_json(RESULT, {"machine": "2 CPU cores", "rows": list(rows.values())})


if __name__ == "__main__":
    main()
