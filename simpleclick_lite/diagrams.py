"""Box-and-arrow drawings for the notebooks: where we are in the network, the pyramid designs.

Reached through plots.py (`plots.model_overview`, `plots.pyramid_design`).
"""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from .palette import ACCENT, GRAY, LIGHT, MASK
from .pyramid import DESIGNS

# part -> (label, notebook, (x, y), (width, height)) in the drawing's own units
STAGES: dict[str, tuple[str, str, tuple[float, float], tuple[float, float]]] = {
    "image": ("image\n(B, 3, H, W)", "", (0.0, 2.0), (1.5, 0.9)),
    "clicks": ("clicks,\nprevious mask\nto click map", "01", (0.0, 0.0), (1.5, 1.2)),
    "embedding": ("two patch\nembeddings,\nadded", "02", (2.1, 0.85), (1.5, 1.3)),
    "backbone": ("plain ViT\n(B, N, C)", "03", (4.2, 0.85), (1.5, 1.3)),
    "pyramid": ("simple feature\npyramid\n4 maps", "04", (6.3, 0.85), (1.5, 1.3)),
    "head": ("MLP head\n(B, 1, H, W)\nlogits", "05", (8.4, 0.85), (1.5, 1.3)),
    "loss": ("normalized\nfocal loss", "06", (10.5, 1.9), (1.5, 1.0)),
    "simulation": ("simulated\nuser", "07", (10.5, 0.1), (1.5, 1.0)),
}
_ARROWS = (
    ("image", "embedding"),
    ("clicks", "embedding"),
    ("embedding", "backbone"),
    ("backbone", "pyramid"),
    ("pyramid", "head"),
    ("head", "loss"),
    ("head", "simulation"),
)


def _box(
    ax: Axes,
    corner: tuple[float, float],
    size: tuple[float, float],
    text: str,
    color: str = LIGHT,
    line: str = GRAY,
    fontsize: float = 9,
) -> None:
    """A rounded box with centered text; `corner` is the lower left one."""
    style = "round,pad=0,rounding_size=0.12"
    ax.add_patch(FancyBboxPatch(corner, *size, boxstyle=style, facecolor=color, edgecolor=line))
    x, y = corner[0] + size[0] / 2, corner[1] + size[1] / 2
    ax.text(x, y, text, ha="center", va="center", fontsize=fontsize)


def _arrow(
    ax: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    bend: float = 0.0,
    color: str = "black",
) -> None:
    """An arrow; `bend` curves it."""
    style = f"arc3,rad={bend}"
    ax.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=11, connectionstyle=style, color=color
        )
    )


def _canvas(
    width: float, height: float, limits: tuple[float, float, float, float]
) -> tuple[Figure, Axes]:
    fig, ax = plt.subplots(figsize=(width, height), layout="constrained")
    ax.set(xlim=limits[:2], ylim=limits[2:], aspect="equal")
    ax.set_axis_off()
    return fig, ax


def model_overview(highlight: str | None = None) -> Figure:
    """ "Where we are": the whole network and its training, one box a notebook.

    Args:
        highlight: a key of `STAGES` drawn in color, 'model' for all parts of the network, or None.

    Raises:
        ValueError: an unknown part.
    """
    if highlight not in (None, "model", *STAGES):
        raise ValueError(f"part {highlight!r} is not one of model, {', '.join(STAGES)}")
    fig, ax = _canvas(10, 2.9, (-0.2, 12.2, -0.75, 3.35))
    lit = {highlight}
    if highlight == "model":
        lit = {"clicks", "embedding", "backbone", "pyramid", "head"}
    for part, (text, notebook, (x, y), size) in STAGES.items():
        _box(ax, (x, y), size, text, ACCENT if part in lit else LIGHT)
        if notebook:
            ax.text(x + 0.05, y + size[1] + 0.08, notebook, fontsize=8, color=GRAY)
    for source, target in _ARROWS:
        (x, y), (w, h) = STAGES[source][2:]
        (u, v), (_, k) = STAGES[target][2:]
        _arrow(ax, (x + w + 0.03, y + h / 2), (u - 0.03, v + k / 2))
    # the loop that makes it interactive: answer and next click go back to the start
    x, y = STAGES["simulation"][2]
    ax.plot([x + 0.75, x + 0.75, 0.75], [y - 0.05, -0.45, -0.45], color="black", linewidth=1.2)
    _arrow(ax, (0.75, -0.48), (0.75, -0.02))
    ax.text(6.2, -0.4, "next click, previous mask", ha="center", va="bottom", fontsize=9)
    return fig


_SIZES = {"p/4": 1.3, "p/2": 0.95, "p": 0.65, "2p": 0.4}


def _design_maps(design: str) -> tuple[list[int], list[str]]:
    """For each of the four maps: the quarter of the backbone it reads (1 to 4), and its stride."""
    sources = {"parallel": [1, 2, 3, 4], "partial": [4, 4, 2, 2]}.get(design, [4, 4, 4, 4])
    strides = ["p"] * 4 if design == "single_scale" else ["p/4", "p/2", "p", "2p"]
    return sources, strides


def pyramid_design(ax: Axes, design: str) -> Axes:
    """Draw one design of the pyramid: the backbone's quarters at the left, four maps at the right.

    Args:
        ax: where; its axes are switched off.
        design: simple, single_scale, parallel or partial.

    Raises:
        ValueError: an unknown design.
    """
    if design not in DESIGNS:
        raise ValueError(f"pyramid {design!r} is not one of {', '.join(DESIGNS)}")
    sources, strides = _design_maps(design)
    ax.set(xlim=(-0.3, 5.4), ylim=(-0.9, 5.2), aspect="equal")
    ax.set_axis_off()
    ax.set_title(design)
    for quarter in range(1, 5):  # the backbone runs from the bottom to the top
        y = 1.15 * (quarter - 1)
        used = quarter in sources
        _box(ax, (0, y), (1.6, 0.8), f"blocks {quarter}/4", ACCENT if used else LIGHT, fontsize=8)
        if quarter < 4:
            _arrow(ax, (0.8, y + 0.82), (0.8, y + 1.13), color=GRAY)
    for k, (source, stride) in enumerate(zip(sources, strides, strict=True)):
        center = 4.25 - 1.35 * k
        side = _SIZES[stride]
        _box(ax, (4.1 - side / 2, center - side / 2), (side, side), "", MASK + "55", MASK)
        ax.text(4.85, center, stride, va="center", fontsize=10)
        _arrow(ax, (1.65, 1.15 * (source - 1) + 0.4), (4.05 - side / 2, center))
    return ax
