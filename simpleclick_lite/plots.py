"""Every figure helper of the notebooks: one look, colors that color-blind readers tell apart.

Used in all notebooks. Positive clicks are green circles, negative clicks are vermilion crosses,
masks are blue; the shape of a marker says the same as its color. What is drawn onto axes is in
drawing.py, box-and-arrow drawings are in diagrams.py; both are reached through here.

    fig, axes = plots.panels(3)
    plots.show_image(axes[0], image, "what the user sees")
    plots.show(fig, alt="a photograph of a cat")
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .diagrams import STAGES, model_overview, pyramid_design
from .drawing import (
    filter_grid,
    overlay,
    picture,
    show_answer,
    show_box,
    show_click_map,
    show_clicks,
    show_image,
    show_lines,
    show_map,
    show_mask,
)
from .palette import GRAY, LIGHT, MASK, NEGATIVE, POSITIVE, SERIES, TRUTH

__all__ = [
    "GRAY",
    "LIGHT",
    "MASK",
    "NEGATIVE",
    "POSITIVE",
    "SERIES",
    "STAGES",
    "STYLE",
    "TRUTH",
    "curve_axes",
    "filter_grid",
    "model_overview",
    "overlay",
    "panels",
    "pyramid_design",
    "show",
    "show_answer",
    "show_box",
    "show_click_map",
    "show_clicks",
    "show_grid",
    "show_image",
    "show_lines",
    "show_map",
    "show_mask",
    "training_curves",
]

DPI = 80
MAX_PNG = 50_000  # bytes; larger figures, which hold photographs, are stored as JPEG

STYLE: dict[str, Any] = {
    "figure.dpi": DPI,
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "axes.prop_cycle": plt.cycler(color=SERIES) + plt.cycler(linestyle=["-", "--", "-.", ":"] * 2),
    "lines.linewidth": 2,
    "image.interpolation": "nearest",
    "legend.frameon": False,
}


def show(fig: Figure, alt: str) -> None:
    """Display a figure in the notebook with an alternative text, and close it.

    Args:
        fig: the figure; it cannot be changed afterwards.
        alt: one sentence that tells what is seen to a reader who cannot see it.

    Raises:
        ValueError: an empty alternative text.
    """
    from IPython.display import display

    if not alt.strip():
        raise ValueError("a figure needs an alt text: say in a sentence what is seen")
    data, kind = _encoded(fig)
    plt.close(fig)
    bundle = {kind: data, "text/plain": alt}
    display(bundle, metadata={kind: {"alt": alt}}, raw=True)


def _encoded(fig: Figure) -> tuple[str, str]:
    """The figure as base64 text, and its MIME type: PNG, or JPEG where that is much smaller."""
    import base64

    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DPI, facecolor="white", pil_kwargs={"optimize": True})
    kind = "image/png"
    if buffer.tell() > MAX_PNG:
        photo = io.BytesIO()
        options = {"quality": 70, "optimize": True}
        fig.savefig(photo, format="jpeg", dpi=DPI, facecolor="white", pil_kwargs=options)
        if photo.tell() < 0.7 * buffer.tell():
            buffer, kind = photo, "image/jpeg"
    return base64.b64encode(buffer.getvalue()).decode("ascii"), kind


def panels(
    count: int, columns: int | None = None, width: float = 10.0, aspect: float = 1.0
) -> tuple[Figure, list[Axes]]:
    """An empty figure with `count` places for pictures, in rows.

    Args:
        count: number of places.
        columns: places in a row; None puts up to four in one row.
        width: of the figure, in inches.
        aspect: height of one place over its width.

    Returns:
        the figure and its axes, left to right and top to bottom; unused places are removed.
    """
    columns = min(columns or 4, count)
    rows = -(-count // columns)
    with plt.rc_context(STYLE):
        height = rows * (width / columns * aspect + 0.3)
        fig, grid = plt.subplots(rows, columns, figsize=(width, height), squeeze=False)
    axes = list(grid.flat)
    for ax in axes[count:]:
        ax.remove()
    return fig, axes[:count]


def curve_axes(
    count: int = 1, width: float = 7.0, height: float = 3.2
) -> tuple[Figure, list[Axes]]:
    """A figure for curves and bars: `count` axes side by side in the common look.

    Args:
        count: number of axes.
        width, height: of the whole figure, in inches.
    """
    with plt.rc_context(STYLE):
        fig, grid = plt.subplots(1, count, figsize=(width, height), squeeze=False)
    return fig, list(grid.flat)


def show_grid(
    images: Sequence[Any],
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    width: float = 10.0,
) -> tuple[Figure, list[Axes]]:
    """A figure of several images, ready for masks and clicks on top.

    Args:
        images: see `show_image`.
        titles: one per image.
        columns: images in a row; None puts up to four in one row.
        width: of the figure in inches.
    """
    first = picture(images[0])
    fig, axes = panels(len(images), columns, width, first.shape[0] / first.shape[1])
    for ax, image, title in zip(axes, images, titles or [""] * len(images), strict=True):
        show_image(ax, image, title)
    return fig, axes


def spread_dots(ax: Axes, groups: Mapping[str, Sequence[float]]) -> None:
    """Repeated runs of several settings: a dot for every run, a bar for each mean.

    Args:
        ax: where to draw; the settings stand below each other.
        groups: setting -> one number for every run; the range of the first is drawn as a band.
    """
    first = next(iter(groups.values()))
    ax.axvspan(min(first), max(first), color=SERIES[0], alpha=0.12, linewidth=0)
    for k, values in enumerate(groups.values()):
        ax.plot(values, [k] * len(values), "o", color=SERIES[0], alpha=0.7)
        ax.plot(sum(values) / len(values), k, "|", color="black", markersize=18)
    ax.set_yticks(range(len(groups)))
    ax.set_yticklabels(groups)
    ax.set_ylim(len(groups) - 0.5, -0.5)


def training_curves(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], data: str | None = None, clicks: int = 3
) -> tuple[Figure, list[Axes]]:
    """Loss, IoU on the training samples, and what the robot reaches, against the step.

    Args:
        runs: name -> what `training_state.read_metrics(folder)` gives.
        data: the validation set whose mIoU is drawn; None is the first one of each run.
        clicks: after how many clicks.

    Returns:
        the figure and its three axes.
    """
    fig, axes = curve_axes(3, width=10.0)
    for name, lines in runs.items():
        steps = [line for line in lines if "loss" in line]
        for ax, key in zip(axes, ("loss", "iou"), strict=False):
            ax.plot([x["step"] for x in steps], [x[key] for x in steps], label=name)
        tested = [line for line in lines if line.get("validation")]
        values = []
        for line in tested:
            found = line["validation"]
            ious = found[data] if data else next(iter(found.values()))
            values.append(ious[min(clicks, len(ious)) - 1])
        axes[2].plot([x["step"] for x in tested], values, marker="o", label=name)
    for ax, title in zip(axes, ("loss", "IoU in training", f"mIoU@{clicks}"), strict=True):
        ax.set_title(title)
        ax.set_xlabel("step")
    axes[1].set_ylim(0, 1)
    axes[2].set_ylim(0, 1)
    if len(runs) > 1:
        axes[0].legend()
    return fig, axes
