"""README's results as text, made of benchmarks/results and of the outlines of `photos`.

Measured and published numbers never share a table.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, median
from typing import Any

from paired import clicks_needed, standard_error

from simpleclick_lite.data.photos import redraw_ious
from simpleclick_lite.tables import published

# row's file name -> how a table calls it; a row without a file is left out
ROWS = {
    "shipped": "**shipped weights**",
    "first": "drawn scenes alone: preset `quick`, micro, 24,000 samples at 112 px",
    "opencv_grabcut": "OpenCV grabCut, same robot",
    "disk_best": "disk around each positive click, {radius:.0f} px *",
    "disk": "disk around each positive click, 1/6 of the longer side",
}
SETS = {"grabcut": "GrabCut", "photos": "photos"}
CLICKS = (1, 3, 5, 10, 20)


def read(results: Path, name: str) -> dict[str, Any]:
    """One result, empty if there is none."""
    path = results / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def evaluations(results: Path, data: str) -> dict[str, dict]:
    """row -> evaluation on one data set, in the order of ROWS."""
    found = {row: read(results, f"evaluation_{row}_{data}") for row in ROWS}
    return {row: value for row, value in found.items() if value}


def label(row: str, result: dict) -> str:
    """The name of a row in a table."""
    return ROWS[row].format(radius=result["settings"].get("radius") or 0)


def miou(result: dict, k: int) -> float | None:
    """Mean IoU after k clicks; None for later clicks of a run that stopped objects at an IoU."""
    if len(result["miou"]) >= k:
        return result["miou"][k - 1]
    if k > 1:
        return None
    groups: dict[str, list[float]] = {}
    for row in result["objects"]:  # means over photographs, as `evaluate` takes them
        group = row["name"].split("/")[0] if result["settings"]["data"] == "photos" else row["name"]
        groups.setdefault(group, []).append(row["iou"][0])
    return mean(mean(ious) for ious in groups.values())


def measured_table(results: Path, data: str) -> str:
    """All rows on one data set as Markdown."""
    head = ["measured here", "NoC@85", "NoC@90", "never 85%", "never 90%"]
    head += [f"mIoU@{k}" for k in CLICKS]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for row, result in evaluations(results, data).items():
        cells = [label(row, result), f"{result['noc85']:.2f}", f"{result['noc90']:.2f}"]
        cells += [str(result["failures85"]), str(result["failures90"])]
        cells += ["" if miou(result, k) is None else f"{miou(result, k):.3f}" for k in CLICKS]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def published_table() -> str:
    """The paper's rows that come closest, and its best known ones, as Markdown."""
    head = ["published in the paper", "backbone", "trained on", "GrabCut NoC@85", "NoC@90"]
    head += ["SBD NoC@85", "NoC@90"]
    lines = ["| " + " | ".join(head) + " |", "| --- | --- | --- |" + " ---: |" * 4]
    data = published()
    rows = [row | {"training": "SBD", "sbd": True} for row in data["tiny"]]
    rows += [row for row in data["comparison"] if row["method"] == "SimpleClick"]
    for row in rows:
        cells = [row.get("model") or row["method"], row["backbone"], row["training"]]
        if row.get("sbd"):
            numbers = [None, None, row["noc85"], row["noc90"]]
        else:
            numbers = [row[f"noc{t}"].get(s) for s in ("grabcut", "sbd") for t in (85, 90)]
        cells += ["" if number is None else f"{number:.2f}" for number in numbers]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def comparison(results: Path) -> list[str]:
    """Sentences that say whether the shipped weights beat OpenCV's grabCut, and by how much."""
    sentences, certain = [], {}
    for data, name in SETS.items():
        rows = evaluations(results, data)
        if not {"shipped", "opencv_grabcut"} <= set(rows):
            continue
        parts = []
        for threshold in (85, 90):
            ours, theirs = (rows[r][f"noc{threshold}"] for r in ("shipped", "opencv_grabcut"))
            word = "fewer" if ours < theirs else "more"
            error = standard_error(rows["shipped"], rows["opencv_grabcut"], threshold)
            certain[name] = certain.get(name, True) and abs(ours - theirs) > 2 * error
            parts.append(
                f"{abs(ours - theirs):.2f} ± {error:.2f} clicks {word} to {threshold}% "
                f"({ours:.2f} against {theirs:.2f})"
            )
        sentences.append(f"On {name} the shipped weights need {' and '.join(parts)} than grabCut.")
        sentences.append(_by_object(rows["shipped"], rows["opencv_grabcut"]))
    if sentences:
        unsure = [name for name, sure in certain.items() if not sure]
        sentences.append(
            "Behind ± stands the standard error of the mean difference over objects (photos: over "
            "photographs)"
            + (f"; on {' and '.join(unsure)} it leaves the lead uncertain" if unsure else "")
            + "."
        )
    return sentences


def other_starts(results: Path) -> str:
    """What grabCut needs on GrabCut when its first guess is larger or smaller, in one sentence."""
    tried = {float(share): row for share, row in read(results, "grabcut_seeds").items()}
    rows = evaluations(results, "grabcut")
    if not tried or "shipped" not in rows:
        return ""
    each = "; ".join(
        f"{share:g}: {row['noc85']:.2f} and {row['noc90']:.2f}"
        for share, row in sorted(tried.items())
    )
    best = {t: min(row[f"noc{t}"] for row in tried.values()) for t in (85, 90)}
    beaten = [t for t in (85, 90) if rows["shipped"][f"noc{t}"] < best[t]]
    if len(beaten) == 2:
        verdict = "more than the shipped weights at both"
    elif beaten:
        verdict = f"more than the shipped weights at {beaten[0]}% alone"
    else:
        verdict = "no more than the shipped weights at either"
    if usual := rows.get("opencv_grabcut"):
        apart = {t: abs(rows["shipped"][f"noc{t}"] - best[t]) for t in best}
        chance = {t: standard_error(rows["shipped"], usual, t) for t in best}
        even = [f"{apart[t]:.2f} clicks at {t}%" for t in best if apart[t] < chance[t]]
        if even:
            count = min(row["objects"] for row in tried.values())
            verdict += f"; {' and '.join(even)} are within chance on {count} objects"
    return (
        "grabCut's first guess is a disk of a sixth of the longer side around each positive click. "
        f"With other shares of that side it needs on GrabCut, to 85% and 90%: {each} "
        "(`benchmarks/grabcut_seeds.py`). The best of these, chosen on the objects themselves, "
        f"need {best[85]:.2f} and {best[90]:.2f}, {verdict}."
    )


def _by_object(ours: dict, theirs: dict) -> str:
    """On how many objects: a mean may rest on a few that one of the two never finds."""
    parts = []
    for threshold in (85, 90):
        a, b = (clicks_needed(result, threshold) for result in (ours, theirs))
        a = {name: count for name, count in a.items() if name in b}
        fewer = sum(a[name] < b[name] for name in a)
        more = sum(a[name] > b[name] for name in a)
        most = ours["settings"]["max_clicks"]
        middle = [median(found.values()) for found in (a, b)]
        medians = " and ".join(f"over {most}" if m == most else f"{m:g}" for m in middle)
        parts.append(
            f"to {threshold}% fewer clicks on {fewer}, as many or never on "
            f"{len(a) - fewer - more}, more on {more} (medians {medians})"
        )
    text = f"Of its {len(ours['objects'])} objects they need {'; '.join(parts)}"
    behind = [k for k in (1, 2, 3) if (miou(ours, k) or 1) < (miou(theirs, k) or 0)]
    if behind:
        clicks = f"click{'s' * (len(behind) > 1)} {' and '.join(map(str, behind))}"
        text += f"; after {clicks} grabCut's mean IoU is higher"
    return text + "."


def more_clicks(results: Path) -> str:
    """Whether mIoU rises from click 1 to 5 to 10 to 20."""
    parts = []
    for data, name in SETS.items():
        curve = evaluations(results, data).get("shipped", {}).get("miou")
        if curve:
            values = [curve[k - 1] for k in (1, 5, 10, 20)]
            rises = all(a < b for a, b in zip(values, values[1:], strict=False))
            word = "rises" if rises else "does **not** always rise"
            numbers = ", ".join(f"{value:.3f}" for value in values)
            parts.append(f"on {name} it {word} ({numbers})")
    return f"From click 1 to 5 to 10 to 20, mIoU: {'; '.join(parts)}." if parts else ""


def extra(results: Path) -> str:
    """What needless clicks do, in a sentence or two."""
    result = read(results, "extra_clicks")
    if not result:
        return ""
    summary = result["summary"]
    objects, passed = len(result["objects"]), len(result["passed_over"])
    worst = -min(summary[k]["worst"] for k in ("positive", "negative"))
    both = " and ".join(f"{100 * summary[k]['harmless']:g}%" for k in ("positive", "negative"))
    return (
        f"A needless click on a found object ({objects} objects of photos, "
        f"{summary['all']['clicks']} clicks; {passed or 'none'} passed over because the robot had "
        f"not found it after {result['settings']['most_clicks']} clicks) costs less than "
        f"{result['settings']['harm']} of IoU in {100 * summary['all']['harmless']:g}% of all "
        f"cases ({both} for clicks on the object and on the background); {_aim(summary)}. "
        f"{_falls(result)}The worst fall was {worst:.2f}."
    )


def _aim(summary: dict) -> str:
    """Whether 95% was reached, of all clicks and of each kind."""
    share = {k: round(summary[k]["harmless"], 3) for k in ("all", "positive", "negative")}
    word = "missed" if share["all"] < 0.95 else "just met" if share["all"] < 0.96 else "met"
    named = {"positive": "on the object", "negative": "on the background"}
    less = [f"clicks {name} alone are below" for k, name in named.items() if share[k] < 0.95]
    return f"the aim, 95% of all, is {word}" + "".join(f", {part}" for part in less)


def _falls(result: dict) -> str:
    """Which objects lost more than that."""
    harm = result["settings"]["harm"]
    found = {
        row["name"]: sum(fall <= -harm for k in ("positive", "negative") for fall in row[k])
        for row in result["objects"]
    }
    listed = [f"{name} {count}" for name, count in found.items() if count]
    return f"The {sum(found.values())} others: {', '.join(listed)}. " if listed else ""


def redrawn() -> str:
    """How well two drawings of the same object of `photos` agree, computed from the outlines."""
    ious = redraw_ious()
    each = ", ".join(f"{name} {iou:.3f}" for name, iou in ious.items())
    return (
        f"Of the objects of photos, {len(ious)} were drawn a second time by the same hand, from "
        "fresh crops at another scale and without snapping to edges. The two drawings agree with "
        f"an IoU of {mean(ious.values()):.3f} on average ({each}; "
        "`python tools/photo_outlines.py redraws`): roughly from there on an IoU cannot be told "
        "from a perfect one."
    )


def section(results: Path) -> str:
    """Everything between README's two comments."""
    parts = [
        "<!-- written by benchmarks/report.py from benchmarks/results: change those, not this -->",
        "A robot user clicks the center of the largest error, up to 20 times. NoC@90 is the mean "
        "number of clicks to reach 90% IoU (20 if it never does: the number of such objects is in "
        "the column *never 90%*), mIoU@3 the mean IoU after three clicks. All rows of the first "
        "two tables were measured with this package, `simpleclick-lite evaluate`, and the same "
        "robot.",
    ]
    for data, name in SETS.items():
        rows = evaluations(results, data)
        if rows:
            count = next(iter(rows.values()))["settings"]["number_of_objects"]
            more = " on 12 photographs, means over photographs" if data == "photos" else ""
            parts += [f"**{name}** ({count} objects{more})", measured_table(results, data)]
        if rows and "opencv_grabcut" not in rows:
            parts.append(f"OpenCV grabCut on {name} is not measured yet.")
        if any(result["settings"].get("stop_iou") for result in rows.values()):
            parts.append("Empty cells: that run stopped each object at 90% IoU, as NoC allows.")
    parts.append("\\* the radius that fits this set's objects best after the first click.")
    if sentences := comparison(results):
        parts.append(" ".join(sentences))
    parts.append(other_starts(results))
    parts += [more_clicks(results), extra(results)]
    parts.append("![IoU over clicks on GrabCut and photos](docs/figures/iou_per_click.png)")
    parts.append(
        "What the masks look like: [24 objects after 1, 3 and 5 clicks]"
        "(docs/figures/photos_24_objects.jpg). How the weights were made and where they fail: "
        "[model card](simpleclick_lite/weights/README.md)."
    )
    parts.append(
        "For scale, numbers from the paper, not measured here; those networks were trained on "
        "larger data sets, with GPUs:"
    )
    parts.append(published_table())
    return "\n\n".join(part for part in parts if part)
