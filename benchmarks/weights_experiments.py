"""Keep what training runs reached on the held-out objects, as rows of the model card.

    python benchmarks/weights_experiments.py "NAME=RUN[@STEP]" ["NAME=RUN[@STEP]" …]

NAME says what the run tried, RUN is its folder, STEP the step whose validation counts (default:
the last one). Rows of the same names are replaced in benchmarks/results/weights_experiments.json,
others stay; no path is kept. Then run `python benchmarks/report.py --text`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import model_card

from simpleclick_lite.files import write_json
from simpleclick_lite.training_state import read_metrics

RESULT = Path(__file__).parent / "results" / f"{model_card.TRIED}.json"


def row(name: str, folder: Path, step: int | None) -> dict[str, Any]:
    """What one run had reached.

    Args:
        name: of the row.
        folder: of the run.
        step: whose validation counts; None is the last one.

    Raises:
        SystemExit: the run has no validation at that step.
    """
    saved = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    metrics = read_metrics(folder)
    checks = [m for m in metrics if m.get("validation") and step in (None, m["step"])]
    if not checks:
        raise SystemExit(f"error: {folder} has no validation at step {step or 'any'}")
    last = checks[-1]
    until = [m for m in metrics if m["step"] <= last["step"]]
    _, seconds = model_card.steps_and_seconds(until)
    ious = next(iter(last["validation"].values()))
    return {
        "name": name,
        "image_size": saved["image_size"],
        "steps": last["step"],
        "planned_steps": saved["steps"],
        "samples": last["step"] * saved["batch_size"],
        "hours": round(seconds / 3600, 2),
        "seed": saved["seed"],
        "objects": saved["validation_objects"],
        "miou": [round(v, 4) for v in ious],
    }


def main() -> None:
    """Read the runs and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN[@STEP]")
    rows = {}
    if RESULT.exists():
        rows = {r["name"]: r for r in json.loads(RESULT.read_text(encoding="utf-8"))["rows"]}
    for text in parser.parse_args().runs:
        name, _, place = text.rpartition("=")
        folder, _, step = place.partition("@")
        rows[name] = row(name, Path(folder), int(step) if step else None)
        print(rows[name])
    write_json(RESULT, {"machine": "2 CPU cores", "rows": list(rows.values())})


if __name__ == "__main__":
    main()
