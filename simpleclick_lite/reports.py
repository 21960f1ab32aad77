"""Pictures that the command line writes to files: the curve of an evaluation, a contact sheet.

The notebooks' figures are in plots.py; nothing here opens a window or needs a notebook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .palette import GRAY, NEGATIVE, SERIES

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
    rows = max(1, -(-len(pairs) // columns))
    sheet = np.full((rows * side, columns * side, 3), 255, np.uint8)
    line = tuple(bytes.fromhex(NEGATIVE[1:]))
    for index, (image, mask) in enumerate(pairs):
        scale = (side - 4) / max(image.shape[:2])
        width, height = (max(1, round(n * scale)) for n in image.shape[1::-1])
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        inside = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        rings, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        for color, thickness in (((255, 255, 255), 3), (line, 1)):
            cv2.drawContours(small, rings, -1, color, thickness)
        row, column = divmod(index, columns)
        top, left = row * side + 2, column * side + 2
        sheet[top : top + height, left : left + width] = small
    return sheet
