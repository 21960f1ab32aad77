"""The two figures of the report: IoU over clicks, and 24 objects after 1, 3 and 5 clicks.

Drawn by benchmarks/report.py. Photographs come from `photos` alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from report_text import SETS, evaluations

from simpleclick_lite import Predictor, load_model
from simpleclick_lite.clicks import Click
from simpleclick_lite.data import Sample, open_dataset
from simpleclick_lite.drawing import show_clicks, show_image, show_mask
from simpleclick_lite.evaluation import intersection_over_union
from simpleclick_lite.files import atomic_path
from simpleclick_lite.palette import GRAY, SERIES, TRUTH
from simpleclick_lite.simulation import robot_click

FIGURES = Path(__file__).resolve().parent.parent / "docs" / "figures"
SHOWN = (1, 3, 5)  # clicks
NAMES = {
    "shipped": "shipped weights",
    "first": "drawn scenes alone",
    "opencv_grabcut": "OpenCV grabCut",
    "disk_best": "disk, best radius",
    "disk": "disk, 1/6 of the side",
}


def curves(results: Path) -> None:
    """Mean IoU after every click, a panel per data set, a line per row: iou_per_click.png."""
    figure = Figure(figsize=(9, 3.4), dpi=100, layout="constrained")
    panels = figure.subplots(1, len(SETS), sharey=True)
    for axes, (data, name) in zip(panels, SETS.items(), strict=True):
        for row, result in evaluations(results, data).items():
            if not result["miou"]:
                continue  # its objects were stopped at an IoU
            index = list(NAMES).index(row)
            look = {"color": SERIES[index], "marker": "os^Dv"[index], "markersize": 4}
            axes.plot(range(1, 21), result["miou"], label=NAMES[row], **look)
        for threshold in (0.85, 0.90):
            axes.axhline(threshold, color=GRAY, linewidth=0.8, linestyle=":")
        axes.set(title=name, xlabel="clicks", ylim=(0, 1), xticks=(1, 5, 10, 15, 20))
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("mean IoU")
    lines = {line.get_label(): line for axes in panels for line in axes.get_lines()}
    named = [lines[name] for name in NAMES.values() if name in lines]  # also of one panel alone
    panels[-1].legend(handles=named, loc="lower right", frameon=False, fontsize=8)
    with atomic_path(FIGURES / "iou_per_click.png") as temporary:
        figure.savefig(temporary)


def chosen(names: Sequence[str], count: int = 24) -> list[int]:
    """Objects by rule, not by result: the first of each photograph, then the second of each, …"""
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        groups.setdefault(name.split("/")[0], []).append(index)
    rounds = itertools.zip_longest(*groups.values())
    in_turn = [index for turn in rounds for index in turn if index is not None]
    return sorted(in_turn[:count])


def answers(predictor: Predictor, sample: Sample) -> tuple[list[Click], list[np.ndarray]]:
    """The robot's clicks on one object, and the mask after each."""
    predictor.set_image(sample.image)
    clicks: list[Click] = []
    masks = [np.zeros(sample.mask.shape, bool)]
    for _ in range(max(SHOWN)):
        clicks.append(robot_click(masks[-1], sample.mask, clicks))
        points = [(c.x, c.y) for c in clicks]
        masks.append(predictor.predict(points, [int(c.positive) for c in clicks]).mask)
    return clicks, masks[1:]


def view(sample: Sample, clicks: Sequence[Click], masks: Sequence[np.ndarray]) -> list[int]:
    """The part to show, x0, y0, x1, y1: object, clicks and every mask, so that no error is cut."""
    seen = (sample.mask == 1) | np.any(masks, axis=0)
    for click in clicks:
        seen[round(click.y), round(click.x)] = True
    rows, columns = np.nonzero(seen.any(1))[0], np.nonzero(seen.any(0))[0]
    height, width = seen.shape
    side = 1.2 * max(np.ptp(rows), np.ptp(columns)) + 1
    side = min(max(side, min(height, width) / 3), max(height, width))
    box = []
    for low, high, limit in (
        (columns[0], columns[-1] + 1, width),
        (rows[0], rows[-1] + 1, height),
    ):
        length = min(limit, max(round(side), high - low))
        start = min(max(round((low + high - length) / 2), 0), limit - length)
        box.append((int(start), int(start + length)))
    return [box[0][0], box[1][0], box[0][1], box[1][1]]


def draw_object(panels: Sequence[Axes], predictor: Predictor, sample: Sample) -> None:
    """One object after each of SHOWN clicks, the annotator's outline in yellow."""
    clicks, masks = answers(predictor, sample)
    x0, y0, x1, y1 = view(sample, clicks, masks)
    for axes, count in zip(panels, SHOWN, strict=True):
        mask = masks[count - 1]
        iou = intersection_over_union(mask, sample.mask)
        show_image(axes, sample.image[y0:y1, x0:x1])
        show_mask(axes, mask[y0:y1, x0:x1])
        axes.contour(sample.mask[y0:y1, x0:x1] == 1, levels=[0.5], colors=[TRUTH], linewidths=0.8)
        moved = [Click(c.x - x0, c.y - y0, c.positive) for c in clicks[:count]]
        show_clicks(axes, moved, size=22)
        title = f"{sample.name}\n" if count == SHOWN[0] else "\n"
        clicks_word = "click" if count == 1 else "clicks"
        axes.set_title(f"{title}{count} {clicks_word}: {iou:.2f}", fontsize=8, loc="left")


def page_of_objects(out: Path = FIGURES / "photos_24_objects.jpg") -> None:
    """24 objects of `photos` after 1, 3 and 5 clicks of the robot, with the shipped weights."""
    samples = open_dataset("photos")
    predictor = Predictor(load_model())
    indices = chosen(samples.names)
    across = 2 * len(SHOWN)
    rows = -(-len(indices) // 2)
    figure = Figure(figsize=(12, 2.25 * rows), dpi=100, layout="constrained")
    grid = figure.subplots(rows, across)
    for place, index in enumerate(indices):
        left = place % 2 * len(SHOWN)
        draw_object(grid[place // 2, left : left + len(SHOWN)], predictor, samples[index])
    with atomic_path(out) as temporary:
        options = {"quality": 80} if out.suffix == ".jpg" else {}
        figure.savefig(temporary, facecolor="white", pil_kwargs=options)
    print(f"wrote {out.name}, {out.stat().st_size / 1024:.0f} KB")
