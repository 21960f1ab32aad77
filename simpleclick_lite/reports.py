"""The picture that `simpleclick-lite evaluate` writes: mean IoU over clicks.

The notebooks' figures are in plots.py; nothing here opens a window or needs a notebook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .palette import GRAY, SERIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def click_curve(curves: Mapping[str, Sequence[float]], title: str = "") -> Figure:
    """Mean IoU after each click, a line a method.

    Args:
        curves: name of the method -> mIoU after click 1, 2, …
        title: above the axes.

    Returns:
        A figure that is bound to no window; write it with its `savefig`.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(5, 3), dpi=100, layout="constrained")
    axes = figure.add_subplot(xlabel="clicks", ylabel="mean IoU", ylim=(0, 1), title=title)
    for index, (name, values) in enumerate(curves.items()):
        look = {"color": SERIES[index % len(SERIES)], "marker": "os^Dv*"[index % 6]}
        axes.plot(range(1, len(values) + 1), values, label=name, **look)
    for threshold in (0.85, 0.90):
        axes.axhline(threshold, color=GRAY, linewidth=0.8, linestyle=":")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    return figure
