"""What the click tool paints over a photograph, as plain arrays: no widget, no display.

Explained in notebooks/13_click_tool.ipynb. A `View` says which part of the image the canvas shows;
the pictures here are computed at the canvas' resolution, whatever the size of the photograph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .clicks import Click
from .palette import NEGATIVE, POSITIVE

MODES = ("overlay", "outline", "cut-out", "probability")
LARGEST_SCALE = 40.0  # canvas pixels per image pixel


@dataclass(frozen=True)
class View:
    """The part of an image that a canvas shows.

    Attributes:
        size: (H, W) of the image.
        width: of the canvas in pixels.
        height: of the canvas in pixels.
        scale: canvas pixels per image pixel.
        left: image column at the canvas' left edge (0 is the left edge of the first pixel).
        top: image row at its top edge.
    """

    size: tuple[int, int]
    width: int
    height: int
    scale: float
    left: float = 0.0
    top: float = 0.0

    @classmethod
    def whole(cls, size: tuple[int, int], most: tuple[int, int], least: int = 480) -> View:
        """Show all of an image on a canvas of its shape.

        Args:
            size: (H, W) of the image.
            most: largest (width, height) of the canvas.
            least: a smaller image is enlarged until its longer side has so many pixels.
        """
        height, width = size
        scale = min(most[0] / width, most[1] / height, max(1.0, least / max(size)))
        # rounded up, so that the last row and column can be clicked
        return cls(size, math.ceil(width * scale - 1e-6), math.ceil(height * scale - 1e-6), scale)

    def to_image(self, x: float, y: float) -> tuple[int, int]:
        """The image pixel (column, row) under a place on the canvas; places outside are clipped."""
        column = math.floor(self.left + x / self.scale)
        row = math.floor(self.top + y / self.scale)
        return min(max(column, 0), self.size[1] - 1), min(max(row, 0), self.size[0] - 1)

    def to_canvas(self, x: float, y: float) -> tuple[float, float]:
        """Where the canvas shows a place of the image; (0, 0) is the center of the first pixel."""
        return (x + 0.5 - self.left) * self.scale, (y + 0.5 - self.top) * self.scale

    @property
    def smallest_scale(self) -> float:
        """The scale at which the whole image is seen."""
        return min(self.width / self.size[1], self.height / self.size[0])

    def zoomed(self, factor: float, x: float | None = None, y: float | None = None) -> View:
        """Enlarge by a factor around a place on the canvas (None: its center)."""
        x, y = self.width / 2 if x is None else x, self.height / 2 if y is None else y
        least = self.smallest_scale
        scale = min(max(self.scale * factor, least), max(LARGEST_SCALE, least))
        left, top = self.left + x / self.scale - x / scale, self.top + y / self.scale - y / scale
        return replace(self, scale=scale, left=left, top=top)._inside()

    def moved(self, dx: float, dy: float) -> View:
        """Push the image by so many canvas pixels."""
        left, top = self.left - dx / self.scale, self.top - dy / self.scale
        return replace(self, left=left, top=top)._inside()

    def around(self, box: tuple[int, int, int, int], margin: float = 1.4) -> View:
        """Show a box x0, y0, x1, y1 of the image (ends not included) with some margin."""
        x0, y0, x1, y1 = box
        scale = min(self.width / (x1 - x0), self.height / (y1 - y0)) / margin
        scale = min(max(scale, self.smallest_scale), max(LARGEST_SCALE, self.smallest_scale))
        left, top = (x0 + x1 - self.width / scale) / 2, (y0 + y1 - self.height / scale) / 2
        return replace(self, scale=scale, left=left, top=top)._inside()

    def _inside(self) -> View:
        most_left = max(self.size[1] - self.width / self.scale, 0)
        most_top = max(self.size[0] - self.height / self.scale, 0)
        left, top = min(max(self.left, 0), most_left), min(max(self.top, 0), most_top)
        return replace(self, left=left, top=top)

    def show(self, array: np.ndarray, smooth: bool = False) -> np.ndarray:
        """The visible part of a (H, W) or (H, W, C) array at the canvas' resolution.

        Args:
            array: bool, uint8 or float32, as large as the image.
            smooth: blend neighbors; otherwise each canvas pixel takes the image pixel under it.
        """
        x0, y0 = int(self.left), int(self.top)
        x1 = min(int(np.ceil(self.left + self.width / self.scale)) + 1, self.size[1])
        y1 = min(int(np.ceil(self.top + self.height / self.scale)) + 1, self.size[0])
        part, binary = array[y0:y1, x0:x1], array.dtype == np.bool_
        part = part.astype(np.uint8) * 255 if binary else part
        if self.scale < 1:
            size = (self.width, self.height)
            shown = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        else:
            step = 1 / self.scale
            offset = (self.left - x0 + step / 2 - 0.5, self.top - y0 + step / 2 - 0.5)
            shown = cv2.warpAffine(
                part,
                np.array([[step, 0, offset[0]], [0, step, offset[1]]]),
                (self.width, self.height),
                flags=(cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        return shown > 127 if binary else shown


def rgb(color: str) -> tuple[int, int, int]:
    """ "#rrggbb" as three numbers."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def paint(
    shape: tuple[int, int],
    masks: list[tuple[np.ndarray, str, bool]],
    mode: str = "overlay",
    opacity: float = 0.45,
    probability: np.ndarray | None = None,
) -> np.ndarray:
    """The layer over the photograph.

    Args:
        shape: (h, w) of the canvas.
        masks: (h, w) bool, color "#rrggbb", whether it is the current object; each at the canvas'
            resolution.
        mode: "overlay" fills and outlines, "outline" only outlines, "cut-out" hides all but the
            current object (or all objects if none is current), "probability" shows that instead
            of the current object's mask.
        opacity: of the filling, 0 … 1.
        probability: (h, w) float of the current object.

    Returns:
        (h, w, 4) uint8 RGBA.
    """
    layer = np.zeros((*shape, 4), np.uint8)
    if mode == "cut-out":
        current = [m for m in masks if m[2]] or masks
        if current:
            outside = ~np.any([m[0] for m in current], axis=0)
            layer[outside] = _checkerboard(shape)[outside]
        return layer
    if mode == "probability" and probability is not None:
        layer = _heat(probability, opacity)
    for mask, color, current in sorted(masks, key=lambda m: m[2]):
        if mode == "overlay" or (mode == "probability" and not current):
            layer[mask] = (*rgb(color), round(255 * opacity * (1 if current else 0.7)))
        _outline(layer, mask, color, current)
    return layer


def blend(photo: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """A (h, w, 4) RGBA layer over a (h, w, 3) uint8 photograph, as the browser shows them."""
    alpha = layer[..., 3:].astype(np.float32) / 255
    return np.round(photo * (1 - alpha) + layer[..., :3] * alpha).astype(np.uint8)


def mark_clicks(photo: np.ndarray, view: View, clicks: Sequence[Click], radius: int = 8) -> None:
    """Draw clicks into a (h, w, 3) picture: green disk with a plus, vermilion square with a minus.

    Args:
        photo: changed in place.
        view: what the picture shows of the image.
        clicks: in pixels of the image.
        radius: of a marker in canvas pixels.
    """
    for click in clicks:
        x, y = (round(v) for v in view.to_canvas(click.x, click.y))
        r, arm = radius, round(radius * 0.55)
        if click.positive:
            cv2.circle(photo, (x, y), r, rgb(POSITIVE), -1, cv2.LINE_AA)
            cv2.circle(photo, (x, y), r, (255, 255, 255), 2, cv2.LINE_AA)
            cv2.line(photo, (x, y - arm), (x, y + arm), (255, 255, 255), 2)
        else:
            cv2.rectangle(photo, (x - r, y - r), (x + r, y + r), rgb(NEGATIVE), -1)
            cv2.rectangle(photo, (x - r, y - r), (x + r, y + r), (255, 255, 255), 2)
        cv2.line(photo, (x - arm, y), (x + arm, y), (255, 255, 255), 2)


def _outline(layer: np.ndarray, mask: np.ndarray, color: str, current: bool) -> None:
    """A line of the object's color inside its border, a dark one around it."""
    solid = mask.astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    # beyond the edge of the canvas the object goes on: no line along the edge
    inner = cv2.erode(solid, kernel, iterations=2 if current else 1, borderValue=1)
    outer = cv2.dilate(solid, kernel)
    layer[(outer > 0) & ~mask] = (0, 0, 0, 200 if current else 120)
    layer[mask & (inner == 0)] = (*rgb(color), 255)


def _checkerboard(shape: tuple[int, int], side: int = 12) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    gray = np.where((rows // side + columns // side) % 2, 205, 235).astype(np.uint8)
    return np.dstack([gray, gray, gray, np.full(shape, 255, np.uint8)])


def _heat(probability: np.ndarray, opacity: float) -> np.ndarray:
    """Probability as color, from nothing over purple to yellow, in 32 steps that compress well."""
    steps = np.clip(np.round(probability * 31), 0, 31).astype(np.uint8)
    levels = np.arange(32, dtype=np.uint8)[None] * 8
    colors = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_PLASMA), cv2.COLOR_BGR2RGB)[0]
    alpha = np.round(255 * max(opacity, 0.3) * np.clip(np.arange(32) / 8, 0, 1))
    table = np.column_stack([colors, alpha]).astype(np.uint8)
    return table[steps]


def network_picture(image: np.ndarray, click_map: np.ndarray, side: int = 224) -> np.ndarray:
    """What the network was given, as three squares: image, previous mask, and the disks.

    Args:
        image: (h, w, 3) float in [0, 1], the crop as the network saw it.
        click_map: (3, h, w) float: previous mask, positive disks, negative disks.
        side: of each square in pixels.

    Returns:
        (side, 3 * side + 16, 3) uint8 RGB.
    """
    previous, positive, negative = click_map
    photo = np.round(image * 255).astype(np.uint8)
    before = np.repeat(np.round(previous * 255).astype(np.uint8)[..., None], 3, axis=2)
    disks = np.full_like(photo, 30)
    disks[positive > 0.5] = rgb(POSITIVE)
    disks[negative > 0.5] = rgb(NEGATIVE)
    squares = [
        cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in (photo, before, disks)
    ]
    gap = np.full((side, 8, 3), 255, np.uint8)
    return np.hstack([squares[0], gap, squares[1], gap, squares[2]])
