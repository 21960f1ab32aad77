"""Images, masks, clicks and maps drawn onto axes, in the colors of palette.py.

Reached through plots.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.patches import Rectangle

from .clicks import Click
from .palette import GRAY, MASK, NEGATIVE, POSITIVE

HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#9ecae1", MASK, "#00233d"])
SIGNED = LinearSegmentedColormap.from_list("signed", [NEGATIVE, "#ffffff", POSITIVE])


def _array(data: Any) -> np.ndarray:
    """NumPy array of a tensor or array."""
    return (
        data.detach().float().cpu().numpy() if isinstance(data, torch.Tensor) else np.asarray(data)
    )


def picture(image: Any) -> np.ndarray:
    """(H, W, 3) or (H, W) array to draw, of an array or of a tensor (1, 3, H, W) or (3, H, W)."""
    array = _array(image)
    if isinstance(image, torch.Tensor):
        while array.ndim > 3 and array.shape[0] == 1:
            array = array[0]
        if array.ndim == 3:
            array = array.transpose(1, 2, 0)
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[..., 0]
    if array.ndim not in (2, 3):
        raise ValueError(f"an image has shape (H, W, 3) or (H, W), not {array.shape}")
    return array if array.dtype == np.uint8 else np.clip(array, 0, 1)


def show_image(ax: Axes, image: Any, title: str = "") -> Axes:
    """Draw an image without axes.

    Args:
        ax: where.
        image: (H, W, 3) uint8 or float in [0, 1], (H, W), or a tensor (3, H, W) or (1, 3, H, W).
        title: above the image.
    """
    array = picture(image)
    ax.imshow(array, cmap="gray", vmin=0, vmax=255 if array.dtype == np.uint8 else 1)
    return _bare(ax, title)


def _bare(ax: Axes, title: str) -> Axes:
    ax.set_axis_off()
    if title:
        ax.set_title(title)
    return ax


def _framed(ax: Axes, title: str) -> Axes:
    """As `_bare`, with a thin line around: for pictures that are white at the border."""
    line = {"fill": False, "edgecolor": GRAY, "linewidth": 1, "clip_on": False}
    ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, **line))
    return _bare(ax, title)


def show_map(
    ax: Axes,
    values: Any,
    title: str = "",
    limits: tuple[float, float] | None = None,
    signed: bool = False,
    bar: bool = False,
) -> Axes:
    """Draw a map of numbers as colors, white for zero.

    Args:
        ax: where.
        values: (H, W) array or tensor.
        title: above the map.
        limits: values of the two ends of the color scale; None takes them from the data.
        signed: green above zero, vermilion below; else white to blue.
        bar: also draw the color scale.
    """
    array = _array(values).squeeze()
    if limits is None:
        top = float(np.abs(array).max()) or 1.0
        limits = (-top, top) if signed else (min(float(array.min()), 0.0), top)
    drawn = ax.imshow(array, cmap=SIGNED if signed else HEAT, vmin=limits[0], vmax=limits[1])
    if bar:
        ax.figure.colorbar(drawn, ax=ax, shrink=0.8)
    return _framed(ax, title)


def overlay(image: Any, mask: Any, color: str = MASK, opacity: float = 0.5) -> np.ndarray:
    """An image with a mask laid over it, for figures and files.

    Args:
        image: (H, W, 3), see `show_image`.
        mask: (H, W) bool, or probability in [0, 1] that scales the opacity.
        color: of the mask.
        opacity: of the mask, 0 to 1.

    Returns:
        (H, W, 3) float in [0, 1].
    """
    array = picture(image)
    array = array / 255 if array.dtype == np.uint8 else array
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, 2)
    weight = opacity * _array(mask).squeeze().astype(float)[..., None]
    return array * (1 - weight) + np.array(to_rgb(color)) * weight


def show_mask(ax: Axes, mask: Any, color: str = MASK, opacity: float = 0.45) -> Axes:
    """Lay a mask over what `ax` already shows: a tint inside and a line around.

    Args:
        ax: where; usually after `show_image`.
        mask: (H, W) bool, or int8 with 1 object and -1 ignored (drawn gray).
        color: of tint and line.
        opacity: of the tint.
    """
    array = _array(mask).squeeze()
    layer = np.zeros((*array.shape, 4))
    layer[array > 0] = (*to_rgb(color), opacity)
    layer[array < 0] = (*to_rgb(GRAY), 0.8)
    ax.imshow(layer)
    if 0 < (array > 0).sum() < array.size:
        ax.contour(array > 0, levels=[0.5], colors=[color], linewidths=1.5)
    return ax


def show_clicks(
    ax: Axes,
    clicks: Sequence[Click | Sequence[float]],
    labels: Sequence[int] | None = None,
    size: float = 90,
    numbers: bool = False,
) -> Axes:
    """Draw clicks: positive ones as green circles, negative ones as vermilion crosses.

    Args:
        ax: where; usually after `show_image`.
        clicks: Click objects, or (x, y) pairs with `labels` (1 positive, 0 negative, -1 skipped).
        labels: one per pair.
        size: area of a marker in square points.
        numbers: write 1, 2, ... beside the clicks.
    """
    if labels is None:
        rows = [(c.x, c.y, int(c.positive)) for c in clicks]
    else:
        rows = [(float(x), float(y), int(s)) for (x, y), s in zip(clicks, labels, strict=True)]
    for number, (x, y, label) in enumerate(rows, start=1):
        if label < 0:
            continue
        color, marker = (POSITIVE, "o") if label else (NEGATIVE, "X")
        look = {"marker": marker, "linewidths": 0, "zorder": 5}
        ax.scatter(x, y, 2.2 * size, color="white", **look)
        ax.scatter(x, y, size, color=color, **look)
        if numbers:
            at = {"textcoords": "offset points", "xytext": (7, 5)}
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1}
            ax.annotate(str(number), (x, y), **at, fontsize=9, bbox=box, zorder=6)
    return ax


def show_answer(
    ax: Axes, image: Any, mask: Any, clicks: Sequence[Click] = (), title: str = ""
) -> Axes:
    """Draw an image with a mask and clicks on it: what a user sees after a click.

    Args:
        ax: where.
        image: see `show_image`.
        mask: see `show_mask`.
        clicks: Click objects in pixels of the image, drawn with their numbers.
        title: above the image.
    """
    show_image(ax, image, title)
    show_mask(ax, mask)
    return show_clicks(ax, clicks, numbers=len(clicks) > 1)


def show_click_map(ax: Axes, click_map: Any, title: str = "") -> Axes:
    """Draw the three channels of a click map in their colors on white.

    Args:
        ax: where.
        click_map: (3, H, W) or (1, 3, H, W): previous mask, positive disks, negative disks.
        title: above the map.
    """
    channels = _array(click_map)
    channels = channels[0] if channels.ndim == 4 else channels
    canvas = np.ones((*channels.shape[1:], 3))
    for channel, color in zip(channels, (MASK, POSITIVE, NEGATIVE), strict=True):
        strength = np.clip(channel, 0, 1)[..., None] * (0.4 if color == MASK else 1.0)
        canvas = canvas * (1 - strength) + np.array(to_rgb(color)) * strength
    ax.imshow(canvas)
    return _framed(ax, title)


def show_lines(
    ax: Axes,
    rows: Sequence[float],
    columns: Sequence[float],
    size: tuple[int, int],
    color: str = "white",
    width: float = 0.8,
) -> Axes:
    """Draw the lines of a grid (patches or windows) over an image.

    Args:
        ax: where.
        rows, columns: pixel positions of horizontal and vertical lines.
        size: (H, W) of the image.
        color: of the lines.
        width: of the lines in points.
    """
    ax.hlines(np.asarray(rows) - 0.5, -0.5, size[1] - 0.5, colors=color, linewidths=width)
    ax.vlines(np.asarray(columns) - 0.5, -0.5, size[0] - 0.5, colors=color, linewidths=width)
    ax.set_xlim(-0.5, size[1] - 0.5)
    ax.set_ylim(size[0] - 0.5, -0.5)
    return ax


def show_box(ax: Axes, box: Sequence[float], color: str = "white", label: str = "") -> Axes:
    """Draw a box, for example a crop.

    Args:
        ax: where.
        box: x0, y0, x1, y1 in pixels, x1 and y1 not included.
        color: of the line.
        label: written at the top left inside.
    """
    x0, y0, x1, y1 = box
    corner = (x0 - 0.5, y0 - 0.5)
    ax.add_patch(Rectangle(corner, x1 - x0, y1 - y0, fill=False, edgecolor="black", linewidth=3))
    ax.add_patch(Rectangle(corner, x1 - x0, y1 - y0, fill=False, edgecolor=color, linewidth=1.5))
    if label:
        ax.text(x0 + 3, y0 + 3, label, color=color, va="top", bbox={"facecolor": "black", "pad": 1})
    return ax


def filter_grid(weights: Any, columns: int = 16) -> np.ndarray:
    """Tile the filters of a patch embedding into one picture.

    Args:
        weights: (count, 3, p, p) filters of three channels; each is scaled to its own range
            around mid gray, which stands for zero.
        columns: filters in a row.

    Returns:
        (rows * (p + 1) + 1, columns * (p + 1) + 1, 3) float in [0, 1], white between the filters.
    """
    filters = _array(weights)
    count, _, height, width = filters.shape
    rows = -(-count // columns)
    canvas = np.ones((rows * (height + 1) + 1, columns * (width + 1) + 1, 3))
    for k, one in enumerate(filters):
        top, left = (k // columns) * (height + 1) + 1, (k % columns) * (width + 1) + 1
        scale = 2 * (np.abs(one).max() or 1.0)
        canvas[top : top + height, left : left + width] = one.transpose(1, 2, 0) / scale + 0.5
    return canvas
