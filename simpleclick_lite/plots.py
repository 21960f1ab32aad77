"""Figure helpers of the notebooks: one look for all of them, and no plotting code pasted twice.

Colors tell the same things everywhere: positive clicks, negative clicks, masks. They come from
a palette that color-blind readers can tell apart, and clicks differ in their marker as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POSITIVE = "#009e73"  # green, drawn as a plus
NEGATIVE = "#d55e00"  # vermilion, drawn as a cross
MASK = "#0072b2"  # blue
STYLE = {
    "figure.dpi": 80,  # keeps a figure of a notebook near 60 KB
    "figure.constrained_layout.use": True,
    "image.interpolation": "nearest",
    "image.cmap": "gray",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "font.size": 9,
}


def show(figure: Figure, alt: str) -> None:
    """Show a finished figure once, with a text for readers who cannot see it.

    Args:
        figure: it is closed afterwards, so that it does not appear a second time.
        alt: what the figure shows and what to notice in it, in a sentence or two.

    Raises:
        ValueError: an empty text.
    """
    import matplotlib.pyplot as plt
    from IPython.display import display

    if not alt.strip():
        raise ValueError("say in `alt` what the figure shows")
    display(figure, metadata={"image/png": {"alt": alt}})
    plt.close(figure)


def click_curve(curves: Mapping[str, Sequence[float]], title: str = "") -> Figure:
    """Mean IoU after each click, a line a method.

    Args:
        curves: name of the method -> mIoU after click 1, 2, …
        title: above the axes.

    Returns:
        A figure that is bound to no window.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(5, 3))
        axes = figure.add_subplot(xlabel="clicks", ylabel="mean IoU", ylim=(0, 1), title=title)
        for (name, values), marker in zip(curves.items(), "os^Dv*" * len(curves), strict=False):
            axes.plot(range(1, len(values) + 1), values, marker=marker, label=name)
        for threshold in (0.85, 0.90):
            axes.axhline(threshold, color="0.6", linewidth=0.8, linestyle=":")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="lower right")
    return figure


def contact_sheet(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], columns: int = 8, side: int = 160
) -> np.ndarray:
    """Photographs in rows, the outline of an object over each.

    Args:
        pairs: image (H, W, 3) uint8 RGB and mask (H, W) bool.
        columns: pictures in a row.
        side: of a picture's square, in pixels.

    Returns:
        (rows * side, columns * side, 3) uint8 RGB.
    """
    columns = max(1, min(columns, len(pairs)))
    rows = -(-len(pairs) // columns)
    sheet = np.full((max(1, rows) * side, columns * side, 3), 255, np.uint8)
    for index, (image, mask) in enumerate(pairs):
        scale = (side - 4) / max(image.shape[:2])
        size = [max(1, round(n * scale)) for n in image.shape[1::-1]]
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        outline = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        rings, _ = cv2.findContours(outline, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        for color, width in (((255, 255, 255), 3), ((213, 94, 0), 1)):
            cv2.drawContours(small, rings, -1, color, width)
        top, left = index // columns * side + 2, index % columns * side + 2
        sheet[top : top + size[1], left : left + size[0]] = small
    return sheet
