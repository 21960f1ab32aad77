"""`simpleclick-lite data show`: sheets of photographs with their masks, to be looked at.

Either benchmark samples, or, with `--training`, what the network sees in training: crops after
augmentation, with their targets and start clicks.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import InputError
from ..files import write_png
from ..palette import NEGATIVE, POSITIVE
from . import open_dataset
from .base import Sample
from .robust import Robust, robust
from .sampling import TrainingSample, TrainingSamples

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
    return _framed(overlay(sample), sample.name, side)


def _framed(picture: np.ndarray, text: str, side: int) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    picture = cv2.resize(picture, size, interpolation=way)
    canvas = np.full((side + CAPTION, side, 3), 255, np.uint8)
    canvas[: size[1], : size[0]] = picture
    text = text.encode("ascii", "replace").decode()[-34:]
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(canvas, text, (2, size[1] + CAPTION - 5), font, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return canvas


def training_tile(sample: TrainingSample, side: int = TILE) -> np.ndarray:
    """One training sample: its target tinted, positive clicks as circles, negative as crosses.

    Returns:
        (side + CAPTION, side, 3) uint8 RGB.
    """
    signs = [click.positive for click in sample.clicks]
    counts = f"{sum(signs)} + {len(signs) - sum(signs)} clicks"
    picture = overlay(Sample(sample.image, sample.target, sample.source))
    canvas = _framed(picture, f"{sample.source[-20:]}  {counts}", side)
    unit = side / len(picture)  # pixels of the sheet in a pixel of the crop
    for click in sample.clicks:
        center = (int((click.x + 0.5) * unit), int((click.y + 0.5) * unit))
        color = tuple(bytes.fromhex((POSITIVE if click.positive else NEGATIVE)[1:]))
        if click.positive:
            cv2.circle(canvas, center, 4, WHITE, -1)
            cv2.circle(canvas, center, 3, color, -1)
        else:
            cv2.drawMarker(canvas, center, WHITE, cv2.MARKER_TILTED_CROSS, 9, 4)
            cv2.drawMarker(canvas, center, color, cv2.MARKER_TILTED_CROSS, 8, 2)
    return canvas


def show_training(samples: TrainingSamples, out: str | Path = "sheet.png", count: int = 64) -> None:
    """Draw the first `count` training samples into one PNG.

    Raises:
        InputError: no sample can be made of the data, or `out` cannot be written.
    """
    if count < 1:
        raise InputError(f"the number of pictures must be at least 1, not {count}")
    _write_sheet([training_tile(samples[i]) for i in range(count)], out, columns=8)


def _write_sheet(tiles: list[np.ndarray], out: str | Path, columns: int = COLUMNS) -> None:
    columns = min(columns, len(tiles))
    missing = -len(tiles) % columns
    tiles = [*tiles, *[np.full_like(tiles[0], 255)] * missing]
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    write_png(out, np.vstack(rows))


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
    _write_sheet(tiles, out)
    return items
