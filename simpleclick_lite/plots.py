"""Every figure helper of the notebooks: one look, colors that color-blind readers tell apart.

Used in all notebooks. Positive clicks are green circles, negative clicks are vermilion crosses,
masks are blue; the shape of a marker says the same as its color. matplotlib is imported here only,
so the package works without it. Box-and-arrow drawings are in diagrams.py.

    fig, axes = plots.panels(3)
    plots.show_image(axes[0], image, "what the user sees")
    plots.show(fig, alt="a photograph of a cat")
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .clicks import Click
from .diagrams import STAGES, model_overview, pyramid_design  # part of the notebooks' vocabulary
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
HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#9ecae1", MASK, "#00233d"])
SIGNED = LinearSegmentedColormap.from_list("signed", [NEGATIVE, "#ffffff", POSITIVE])


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
        options = {"quality": 85, "optimize": True}
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


def _array(data: Any) -> np.ndarray:
    """NumPy array of a tensor or array."""
    return (
        data.detach().float().cpu().numpy() if isinstance(data, torch.Tensor) else np.asarray(data)
    )


def _picture(image: Any) -> np.ndarray:
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
    picture = _picture(image)
    ax.imshow(picture, cmap="gray", vmin=0, vmax=255 if picture.dtype == np.uint8 else 1)
    return _bare(ax, title)


def _bare(ax: Axes, title: str) -> Axes:
    ax.set_axis_off()
    if title:
        ax.set_title(title)
    return ax


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
    return _bare(ax, title)


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
    picture = _picture(image)
    picture = picture / 255 if picture.dtype == np.uint8 else picture
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, 2)
    weight = opacity * _array(mask).squeeze().astype(float)[..., None]
    return picture * (1 - weight) + np.array(to_rgb(color)) * weight


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
        ax.scatter(
            x, y, size, color=color, marker=marker, edgecolors="white", linewidths=1.5, zorder=5
        )
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
    height, width = canvas.shape[:2]
    ax.add_patch(Rectangle((-0.5, -0.5), width, height, fill=False, edgecolor=GRAY))
    return _bare(ax, title)


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
    first = _picture(images[0])
    fig, axes = panels(len(images), columns, width, first.shape[0] / first.shape[1])
    for ax, image, title in zip(axes, images, titles or [""] * len(images), strict=True):
        show_image(ax, image, title)
    return fig, axes


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
