"""`simpleclick-lite data show`: a sheet of photographs with their masks, to be looked at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import InputError
from ..files import write_png
from . import open_dataset
from .base import Sample
from .robust import Robust, robust

TILE = 224  # pixels, side of a picture on the sheet
CAPTION = 16  # pixels
COLUMNS = 6
BLUE, YELLOW, WHITE = (40, 90, 255), (255, 220, 0), (255, 255, 255)  # object, ignored, paper


def overlay(sample: Sample) -> np.ndarray:
    """The photograph with its object tinted blue and outlined, ignored pixels yellow.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    picture = sample.image.astype(np.float32)
    inside = sample.mask == 1
    picture[inside] = 0.6 * picture[inside] + 0.4 * np.float32(BLUE)
    picture[sample.ignored] = YELLOW
    picture = picture.astype(np.uint8)
    contours = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]
    line = max(1, round(max(picture.shape) / 400))
    cv2.drawContours(picture, contours, -1, WHITE, line + 1)
    cv2.drawContours(picture, contours, -1, BLUE, line)
    return picture


def tile(sample: Sample, side: int = TILE) -> np.ndarray:
    """One picture of the sheet: (side + CAPTION, side, 3) uint8 RGB."""
    picture = overlay(sample)
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    picture = cv2.resize(picture, size, interpolation=way)
    canvas = np.full((side + CAPTION, side, 3), 255, np.uint8)
    canvas[: size[1], : size[0]] = picture
    text = sample.name.encode("ascii", "replace").decode()[-34:]
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(canvas, text, (2, side + CAPTION - 5), font, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return canvas


def show_dataset(
    name: str,
    root: str | Path | None = None,
    out: str | Path = "sheet.png",
    count: int = 24,
    split: str | None = None,
    **options,
) -> Robust:
    """Draw `count` objects, evenly spread over the data set, into one PNG.

    Args:
        name, root, split, options: as in `open_dataset`.
        out: the PNG.

    Returns:
        The data set as it was read: `.skipped` and `.report()` tell what was broken.

    Raises:
        InputError: the data set cannot be opened, has nothing readable, or `out` cannot be written.
    """
    if count < 1:
        raise InputError(f"the number of pictures must be at least 1, not {count}")
    samples = open_dataset(name, root, split, **options)
    chosen = np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).round())
    items = robust(samples.subset(chosen.astype(int).tolist()))
    tiles = [tile(sample) for sample in items]
    if not tiles:
        raise InputError(items.report())
    columns = min(COLUMNS, len(tiles))
    while len(tiles) % columns:
        tiles.append(np.full_like(tiles[0], 255))
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    write_png(out, np.vstack(rows))
    return items
