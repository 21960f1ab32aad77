"""Measure everything the README and the model card say, and write both anew: one command.

    python benchmarks/report.py --grabcut DIR [--runs STAGE1 STAGE2 … [--first-stage N]]

Run it when the shipped weights change. It evaluates them with the public command on `photos` and
GrabCut, gives needless clicks, draws the figures, and writes

    benchmarks/results/evaluation_*.json, disk_radius.json, extra_clicks.json
    docs/figures/iou_per_click.png, photos_24_objects.jpg
    README.md, between the two comments `results`
    simpleclick_lite/weights/README.md, the model card
    simpleclick_lite/measured/evaluations.json, for the notebooks (see course_results.py)

--runs names the folders of the training runs that led to the weights, in order; their facts are
copied to benchmarks/results/shipped_training.json, without any path. Where training went on from
the weights shipped before, --first-stage 3 keeps the facts of the first two stages. What is
measured already with the same weights is kept (--force measures again); an interrupted evaluation
goes on. The baselines do not change with the weights: --baselines measures those that have no
result, and --take keeps one that the public command wrote elsewhere. --text only writes README and
model card anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import course_numbers
import disk_radius
import extra_clicks
import model_card
import report_figures
import report_text
from shipped import SHIPPED, weights_hash

from simpleclick_lite.files import atomic_path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
WORK = ROOT / "runs" / "report"  # unfinished evaluations; not in git
MAX_CLICKS = 20
MARKS = ("<!-- results -->", "<!-- end of results -->")


def compact(result: dict[str, Any]) -> str:
    """An evaluation as JSON, small enough for git: four decimals, a line per key and per object."""
    lines = []
    for key, value in result.items():
        if key == "objects":
            rows = ",\n  ".join(json.dumps(_rounded(row)) for row in value)
            lines.append(f' "objects": [\n  {rows}\n ]')
        else:
            lines.append(f' "{key}": {json.dumps(_rounded(value), ensure_ascii=False)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) > 1 else round(value, 4)
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items() if k != "seconds"}
    return value


def evaluate(
    row: str, data: str, root: Path | None, options: list[str], digest: str | None
) -> None:
    """Run the public command and keep its result as evaluation_ROW_DATA.json.

    Args:
        row: names the result's file.
        data: photos or grabcut.
        root: the data set's folder.
        options: of `simpleclick-lite evaluate`.
        digest: hash of the weights, None for a baseline.
    """
    # the hash is in the log's name: what other weights answered is never taken over
    json_file = WORK / f"{row}_{data}_{digest or 'baseline'}.json"
    command = ["evaluate", "--data", data, "--max-clicks", str(MAX_CLICKS), *options]
    shown = " ".join(f'"{part}"' if " " in part else part for part in command)
    print(f"\nsimpleclick-lite {shown}", flush=True)
    command += ["--root", str(root)] if root else []
    command += ["--json", str(json_file), "--resume"]
    subprocess.run([sys.executable, "-m", "simpleclick_lite.cli", *command], check=True)
    if digest and row == "shipped" and digest != weights_hash():
        sys.exit("error: the shipped weights changed while they were measured; run this again")
    keep(row, json_file)


def keep(row: str, json_file: Path, **facts: str) -> None:
    """Keep what `simpleclick-lite evaluate --json` wrote as evaluation_ROW_DATA.json.

    Args:
        row: one of report_text.ROWS.
        json_file: the result.
        facts: added to its settings.
    """
    result = json.loads(json_file.read_text(encoding="utf-8"))
    result["settings"] |= facts
    if result["settings"].get("weights") not in (None, "shipped"):
        result["settings"]["weights"] = row  # not a path of this machine
    data = result["settings"]["data"]
    with atomic_path(RESULTS / f"evaluation_{row}_{data}.json") as temporary:
        temporary.write_text(compact(result), encoding="utf-8")


def already(row: str, data: str, digest: str | None) -> bool:
    """Whether there is a result, of the same weights if it is a model's."""
    path = RESULTS / f"evaluation_{row}_{data}.json"
    if not path.exists():
        return False
    settings = json.loads(path.read_text(encoding="utf-8"))["settings"]
    return digest is None or settings.get("weights_sha256") == digest


def measure(args: argparse.Namespace, data: str, root: Path | None) -> None:
    """Every row on one data set: the weights, then the baselines."""
    machine = ["--note", f"machine={args.machine}"]
    digest = weights_hash(args.weights or SHIPPED)
    row = args.name if args.weights else "shipped"
    if args.force or not already(row, data, digest):
        name = "SimpleClick Lite, shipped" if row == "shipped" else f"SimpleClick Lite, {row}"
        options = ["--note", f"model={name}", "--note", f"weights_sha256={digest}", *machine]
        if args.weights:
            options += ["--weights", str(args.weights)]
        if facts := model_card.training_facts(RESULTS) if row == "shipped" else {}:
            steps = sum(stage["steps"] for stage in facts["stages"])
            options += ["--note", f"steps={steps}", "--note", "training_data=see model card"]
        evaluate(row, data, root, options, digest)
    if args.weights or not (args.baselines or args.force_baselines):
        return
    if args.force_baselines or not already("disk_best", data, None):
        radius = disk_radius.run(data, root)
        options = ["--method", "disk", "--radius", str(radius), *machine]
        evaluate("disk_best", data, root, [*options, "--note", "model=disk, best radius"], None)
    if args.force_baselines or not already("disk", data, None):
        options = ["--method", "disk", *machine, "--note", "model=disk, a sixth of the longer side"]
        evaluate("disk", data, root, options, None)
    if args.force_baselines or not already("opencv_grabcut", data, None):
        options = ["--method", "grabcut", "--note", "model=OpenCV grabCut", *machine]
        evaluate("opencv_grabcut", data, root, options, None)


def replace_between(text: str, marks: tuple[str, str], inside: str) -> str:
    """Text with what stands between two marks replaced.

    Raises:
        ValueError: a mark is missing, or they are in the wrong order.
    """
    before, first, rest = text.partition(marks[0])
    _, second, after = rest.partition(marks[1])
    if not (first and second):
        raise ValueError(f"README.md lacks the comments {marks[0]} and {marks[1]}")
    return f"{before}{marks[0]}\n{inside.strip()}\n{marks[1]}{after}"


def write_texts() -> None:
    """README's results and the model card, from the results there are."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    new = replace_between(text, MARKS, report_text.section(RESULTS))
    if new != text:
        with atomic_path(readme) as temporary:
            temporary.write_text(new, encoding="utf-8")
    with atomic_path(SHIPPED / "README.md") as temporary:
        temporary.write_text(model_card.card(RESULTS), encoding="utf-8")
    print("wrote README.md and simpleclick_lite/weights/README.md")
    course_numbers.collect(RESULTS)


def main() -> None:
    """Read the arguments, measure, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grabcut", type=Path, metavar="DIR", help="GrabCut; else photos alone")
    parser.add_argument("--runs", type=Path, nargs="+", metavar="DIR", help="training runs")
    parser.add_argument("--first-stage", type=int, default=1, metavar="N", help="of --runs")
    parser.add_argument("--hardware", default="2 CPU cores", help="that trained the weights")
    parser.add_argument("--machine", default="CPU", help="that measures, e.g. '2 CPU cores'")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="measure others, as a row …")
    parser.add_argument("--name", default="other", help="… of this name; nothing else is done")
    parser.add_argument("--baselines", action="store_true", help="also those without a result")
    parser.add_argument("--force-baselines", action="store_true", help="all baselines again")
    parser.add_argument("--force", action="store_true", help="the same weights again")
    parser.add_argument("--take", type=Path, metavar="JSON", help="keep a result as row --name")
    parser.add_argument("--text", action="store_true", help="only write README and model card")
    args = parser.parse_args()
    if args.runs:
        model_card.keep_training_facts(
            args.runs, args.hardware, weights_hash(), RESULTS, args.first_stage
        )
    if args.take:
        keep(args.name, args.take, machine=args.machine)
        report_figures.curves(RESULTS)
    elif not args.text:
        measure(args, "photos", None)
        if args.grabcut:
            measure(args, "grabcut", args.grabcut)
        if not args.weights:
            extra = report_text.read(RESULTS, "extra_clicks")
            if args.force or extra.get("settings", {}).get("weights_sha256") != weights_hash():
                extra_clicks.run(None)
                report_figures.page_of_objects()
        report_figures.curves(RESULTS)
    write_texts()


if __name__ == "__main__":
    main()
