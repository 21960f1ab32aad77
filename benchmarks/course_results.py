"""Measure everything notebooks 10 and 12 show and the report does not: one command.

    python benchmarks/course_results.py --datasets DIR [--machine "2 CPU cores"]

Run it after report.py when the shipped weights change. DIR holds ssTEM and MRI volumes (folders as
`simpleclick-lite data list` names them); without it nothing medical is measured. It evaluates the
shipped weights with the public command

- on `photos` without crop, without mirror image, and without both, 10 clicks each;
- on medical samples: ssTEM, and MRI volumes read as BraTS and OAIZIB are (20 clicks; ssTEM 10);

compares PyTorch and ONNX on `photos` (onnx_photos.py), and writes

    benchmarks/results/evaluation_*.json, onnx_photos.json
    simpleclick_lite/measured/evaluations.json   what the notebooks read, of these and the report's

What is measured already with the same weights is kept (--force measures again); what was
interrupted goes on. --collect only writes the last file. `report.py` does that, too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import course_numbers
import model_card
import report

VARIANT_CLICKS = 10
VARIANTS = {
    "shipped_noflip": ["--no-flip"],
    "shipped_nocrop": ["--no-crop"],
    "shipped_plain": ["--no-flip", "--no-crop"],
}
# data set -> clicks; the paper's medical table asks for mIoU@10, and @20 for the last two
MEDICAL = {"brats": 20, "oaizib": 20, "sstem": 10}
SAMPLES = "SimpleClick Lite, shipped; {sstem}; MRI of the hippocampus in place of BraTS and OAIZIB"


def facts(model: str, machine: str) -> list[str]:
    """Options that write down what was measured."""
    notes = {"model": model, "weights_sha256": report.weights_hash(), "machine": machine}
    if trained := model_card.training_facts(report.RESULTS):
        steps = sum(stage["steps"] for stage in trained["stages"])
        notes |= {"steps": steps, "training_data": "see model card"}
    return [part for key, value in notes.items() for part in ("--note", f"{key}={value}")]


def variants(machine: str, force: bool) -> None:
    """`photos` without crop, without mirror image, without both."""
    digest = report.weights_hash()
    for row, options in VARIANTS.items():
        if force or not report.already(row, "photos", digest):
            more = [*options, "--max-clicks", str(VARIANT_CLICKS)]
            named = facts(f"SimpleClick Lite, {' '.join(options)}", machine)
            report.evaluate(row, "photos", None, [*more, *named], digest)


def medical(datasets: Path, machine: str, limit: int | None, force: bool) -> None:
    """The three sets of the paper's medical table, or samples of them."""
    digest = report.weights_hash()
    sstem = "ssTEM sections" if limit is None else f"{limit} objects of ssTEM sections"
    for data, clicks in MEDICAL.items():
        if force or not report.already("shipped", data, digest):
            options = ["--max-clicks", str(clicks), *facts(SAMPLES.format(sstem=sstem), machine)]
            options += ["--limit", str(limit)] if limit and data == "sstem" else []
            report.evaluate("shipped", data, datasets, options, digest)


def onnx(force: bool) -> None:
    """PyTorch against onnxruntime."""
    import onnx_photos

    path = onnx_photos.RESULT
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    same = known.get("settings", {}).get("weights_sha256") == report.weights_hash()
    if force or not same:
        onnx_photos.run(clicks=3, resume=True)


def main() -> None:
    """Read the arguments, measure, collect."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", type=Path, metavar="DIR", help="medical sets; else none")
    parser.add_argument("--limit", type=int, metavar="N", help="only N objects of ssTEM")
    parser.add_argument("--machine", default="CPU", help="that measures, e.g. '2 CPU cores'")
    parser.add_argument("--force", action="store_true", help="the same weights again")
    parser.add_argument("--collect", action="store_true", help="measure nothing")
    args = parser.parse_args()
    if not args.collect:
        if args.datasets:
            medical(args.datasets, args.machine, args.limit, args.force)
        variants(args.machine, args.force)
        onnx(args.force)
    course_numbers.collect(report.RESULTS)


if __name__ == "__main__":
    main()
