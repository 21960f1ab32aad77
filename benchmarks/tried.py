"""What was tried for the shipped weights, as a part of the model card.

The rows come from results/weights_experiments.json, which weights_experiments.py fills from runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import report_text

RESULT = "weights_experiments"
# key of a group of rows -> what its runs have in common; in this order in the model card
GROUPS = {
    "stages": "The stages of the shipped weights from the third on",
    "recipe": "The whole recipe from random weights with a quarter of every stage's steps, warm-up "
    "included (`--part 0.25`), in one process on one core",
    "further": "One more stage at 448 px, from the shipped weights",
    "quarter": "The first part of a stage, with other seeds and with something else",
    "ingredients": "500 steps at 128 px from stage 5, without a teacher, EMA 0.99; each row after "
    "the first changes one thing",
    "random": "From random weights, rate 0.001",
}
SEEDS = (  # two runs of one recipe
    ("a quarter of the recipe, its own seeds", "a quarter of the recipe, seeds 100 to 108"),
    (
        "stage 3 with the teacher, seed 0: a quarter of its steps",
        "stage 3 with the teacher, seed 1: a quarter of its steps",
    ),
    ("stage 7, seed 8: 500 of its steps", "stage 7, seed 18 in one process: 500 of its steps"),
)


def part(results: Path) -> list[str]:
    """The section as paragraphs of Markdown, none where nothing was measured.

    Args:
        results: folder of the committed results.
    """
    rows = report_text.read(results, RESULT).get("rows", [])
    if not rows:
        return []
    paragraphs = [
        "### What was tried",
        "The robot's mIoU on the 80 held-out COCO_MVal objects, at the input size of the training, "
        "without mirror averaging. " + _chance(rows),
    ]
    for group, title in GROUPS.items():
        members = [row for row in rows if row["group"] == group]
        if members:
            paragraphs += [f"**{title}:**", table(members), *_first_command(members)]
        if group == "ingredients" and members:
            paragraphs += _kept(members)
        if group == "recipe" and members:
            paragraphs += _recipe(members, [row for row in rows if row["group"] == "stages"])
        if group == "further" and members:
            paragraphs += _further(members, [row for row in rows if row["group"] == "stages"])
        if group == "quarter":
            paragraphs += _hierarchical(members, rows)
        if group == "random":
            paragraphs += _pretraining(members)
    return [*paragraphs, *_larger_input(rows)]


def table(rows: Sequence[dict]) -> str:
    """One line a run: what it saw, what it took, what it reached."""
    lines = [
        "| run | samples | hours | mIoU@1 | @3 | @5 | @10 | mean of 10 |",
        "| --- | " + "---: | " * 7,
    ]
    for row in rows:
        ious = row["miou"]
        cells = [row["name"], f"{row['samples']:,}", f"{row['hours']:.2f}"]
        cells += [f"{ious[k - 1]:.3f}" for k in (1, 3, 5, 10)] + [f"{mean(ious):.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(line.rstrip() for line in lines)


def _first_command(rows: Sequence[dict]) -> list[str]:
    """How the first run was made; the others' commands are in the file."""
    if "command" not in rows[0]:
        return []
    return [
        "The command of the first row (the others', where one command does it, are in "
        f"`benchmarks/results/{RESULT}.json`):\n\n```bash\n{rows[0]['command']}\n```"
    ]


def _kept(rows: Sequence[dict]) -> list[str]:
    """Whether the recipe is the best of its changes."""
    first, *changed = [mean(row["miou"]) for row in rows]
    better = sum(other > first for other in changed)
    if better or not changed:
        return [f"{better} of {len(changed)} changes gave a higher mean than the recipe."]
    return [
        f"Each of the {len(changed)} changes gave a lower mean, by {first - max(changed):.3f} to "
        f"{first - min(changed):.3f}: the recipe keeps what it has and adds none of the others. "
        "One seed each, so that the smallest differences may be chance; and all start from stage "
        "5, which was trained with the recipe's own settings. Merging joins any two objects or "
        "regions of a crop, not neighbors in particular."
    ]


def _recipe(rows: Sequence[dict], stages: Sequence[dict]) -> list[str]:
    """How far two runs of the whole recipe lie apart, and from the weights that are shipped."""
    if len(rows) < 2:
        return []
    a, b = rows[0]["miou"], rows[1]["miou"]
    most = max(range(len(a)), key=lambda k: abs(a[k] - b[k]))
    whole = ""
    if stages:
        whole = (
            f"; the shipped weights, with all steps, have a mean of {mean(stages[-1]['miou']):.3f}"
        )
    return [
        f"The two runs differ by {abs(mean(a) - mean(b)):.3f} in the mean of ten clicks, and at a "
        f"single click by at most {abs(a[most] - b[most]):.3f} (click {most + 1}){whole}. "
        "The second run has another seed in every stage, the first seed 0 in five of them and so "
        "fewer different samples: the difference may be more than chance."
    ]


def _further(rows: Sequence[dict], stages: Sequence[dict]) -> list[str]:
    """Whether training on brought more than the weights that are shipped."""
    if not stages:
        return []
    shipped, means = mean(stages[-1]["miou"]), [mean(row["miou"]) for row in rows]
    if max(means) > shipped:
        return [f"The best of them, {max(means):.3f}, is above the shipped {shipped:.3f}."]
    return [
        f"The shipped weights ({shipped:.3f}) stay: these means are {shipped - max(means):.3f} to "
        f"{shipped - min(means):.3f} lower. Two runs of the recipe differ by more, and the shipped "
        "weights' share of the stage before was chosen on the same 80 objects, which favors them: "
        "if further steps of this kind on these photographs bring anything, it is too little to "
        "be seen here."
    ]


def _hierarchical(rows: Sequence[dict], everything: Sequence[dict]) -> list[str]:
    """What weights from ImageNet are worth."""
    found = [row for row in rows if "ImageNet" in row["name"]]
    stages = [row for row in everything if row["group"] == "stages"]
    if not found or not stages:
        return []
    best = max(found, key=lambda row: mean(row["miou"]))
    return [
        f"The hierarchical network with ImageNet weights reached a mean of "
        f"{mean(best['miou']):.3f} after {best['hours']:.1f} hours at {best['image_size']} px, "
        f"the shipped weights {mean(stages[-1]['miou']):.3f} at {stages[-1]['image_size']} px "
        "after the whole night. What of that is the network's and what ImageNet's was not "
        "measured apart."
    ]


def _pretraining(rows: Sequence[dict]) -> list[str]:
    """Whether masked pretraining is worth its hours."""
    means = {row["name"]: mean(row["miou"]) for row in rows}
    first = mean(rows[0]["miou"]) if rows else 0
    masked = [value - first for name, value in means.items() if "masked patches" in name]
    clicks = [value - first for name, value in means.items() if "used for clicks" in name]
    if not masked or not clicks:
        return []
    return [
        f"Masked pretraining changed the mean by {masked[0]:+.3f}, as many hours of clicks instead "
        f"by {clicks[0]:+.3f}" + (": it stays out of the recipe." if clicks[0] > masked[0] else ".")
    ]


def _chance(rows: Sequence[dict]) -> str:
    """How far two runs of one recipe lie apart."""
    named = {row["name"]: row["miou"] for row in rows}
    pairs = [(named[a], named[b]) for a, b in SEEDS if a in named and b in named]
    if not pairs:
        return ""
    *some, last = [f"{abs(mean(a) - mean(b)):.3f}" for a, b in pairs]
    means = f"{', '.join(some)} and {last}" if some else last
    most = max(abs(x - y) for a, b in pairs for x, y in zip(a, b, strict=True))
    return (
        f"Two seeds of one recipe differed by {means} in the mean of ten clicks, and by up to "
        f"{most:.3f} at a single click."
    )


def _larger_input(rows: Sequence[dict]) -> list[str]:
    """What the paper's input of 448 pixels gave and costs."""
    last = {row["image_size"]: mean(row["miou"]) for row in rows if row["group"] == "stages"}
    if not {320, 448} <= set(last):
        return []
    return [
        f"The mean over ten clicks is {last[448]:.3f} at 448 px, the paper's input, and was "
        f"{last[320]:.3f} at 320 px before the two stages there. A click at 448 px takes about 1.7 "
        "times the processor time (measured in notebook 12); `load_model(image_size=320)` gives "
        "the shipped weights at that size, where they were not measured."
    ]
