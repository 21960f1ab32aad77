"""Masks in the formats that other programs read.

Explained in notebooks/13_click_tool.ipynb. Everything is written atomically:

    masks/KEY_1_name.png     0/255, one per object
    labels/KEY.png           one number per pixel: 0 background, else the object's id
    cutouts/KEY_1_name.png   RGBA, transparent outside of the object
    coco.json                COCO with run-length codes (exact); coco_polygons.json with polygons
    yolo/KEY.txt             a class and a polygon in fractions of the image per line; classes.txt
    labelme/KEY.json         polygons to go on with in labelme
    images/KEY.png           only for images that are not files already, or turned by EXIF
    .index.json              what the next export must know, see export_index.py
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .export_index import COMMON, Entry, replace_text, update
from .files import to_rgb8, write_png
from .polygons import mask_polygons
from .rle import encode_rle
from .session_files import SessionFolder, file_stem

FORMATS = ("masks", "labels", "cutouts", "coco", "yolo", "labelme")


@dataclass(frozen=True, eq=False)
class MaskedObject:
    """One object of an image: id 1, 2, …; its class; mask (H, W) bool."""

    id: int
    name: str
    mask: np.ndarray


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """An image and its objects.

    Attributes:
        key: beginning of its file names; unique.
        image: (H, W, 3) uint8 RGB.
        objects: with at least one pixel each, or they are left out.
        file: the image's path as other programs should find it; None: it is written to images/.
    """

    key: str
    image: np.ndarray
    objects: Sequence[MaskedObject]
    file: str | None = None


def export(
    images: Iterable[AnnotatedImage],
    folder: str | Path,
    formats: Sequence[str] = FORMATS,
    emptied: Iterable[str] = (),
) -> list[Path]:
    """Write objects in the given formats.

    Images of earlier exports to the folder stay in it and in its COCO files; an image that is
    exported again is replaced, with nothing left of its old names and objects.

    Args:
        images: may be a generator, only one image is held at a time.
        folder: made if needed.
        formats: some of `FORMATS`.
        emptied: keys of images that have no objects any more; their files are removed.

    Returns:
        the files written.

    Raises:
        InputError: unknown format, or a folder that cannot be written.
    """
    folder, wanted = Path(folder), set(formats)
    unknown = sorted(wanted - set(FORMATS))
    if unknown:
        raise InputError(f"there is no format {unknown[0]!r}; choose from {', '.join(FORMATS)}")
    entries = [_write_image(item, folder, wanted) for item in images]
    with SessionFolder(folder).locked():
        common = update(folder, entries, wanted, emptied)
    return [folder / file for entry in entries for file in entry.files] + common


def _write_image(item: AnnotatedImage, folder: Path, formats: set[str]) -> Entry:
    """Write the files that speak of this image alone, and say what is in those of all images."""
    objects = [o for o in item.objects if o.mask.any()]
    size = item.image.shape[:2]
    outlined = bool({"coco", "yolo", "labelme"} & formats)
    rings = {o.id: mask_polygons(o.mask) for o in objects} if outlined else {}
    entry = Entry(item.key, item.file or f"images/{item.key}.png", (size[0], size[1]))

    def png(name: str, array: np.ndarray) -> None:
        write_png(folder / name, array)
        entry.files.append(name)

    if item.file is None and outlined:
        png(entry.file, to_rgb8(item.image))
    for target in objects:
        name = f"{item.key}_{target.id}_{file_stem(target.name)}.png"
        if "masks" in formats:
            png(f"masks/{name}", np.asarray(target.mask, bool))
        if "cutouts" in formats:
            png(f"cutouts/{name}", cutout(item.image, target.mask))
    if "labels" in formats:
        png(f"labels/{item.key}.png", label_map(objects, size))
    if "labelme" in formats:
        absolute = Path(entry.file).is_absolute()
        value = _labelme(objects, rings, size, entry.file if absolute else f"../{entry.file}")
        replace_text(folder / "labelme" / f"{item.key}.json", json.dumps(value) + "\n")
        entry.files.append(f"labelme/{item.key}.json")
    if formats & set(COMMON):
        entry.objects = [_described(o, rings[o.id]) for o in objects]
    if "yolo" in formats:
        entry.files.append(f"yolo/{item.key}.txt")  # written with all others: the classes' numbers
    return entry


def file_from(folder: str | Path, image: Path) -> str | None:
    """An image's path as files in `folder` name it: relative where that is possible.

    Returns:
        None for a photograph that its EXIF note turns: not every program turns it, and then masks
        would not fit, so an upright copy is better.
    """
    if _turned(image):
        return None
    try:
        return Path(os.path.relpath(image, folder)).as_posix()
    except ValueError:  # another drive
        return image.resolve().as_posix()


def _turned(image: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(image) as opened:
            return opened.getexif().get(0x0112, 1) not in (0, 1)
    except (OSError, ValueError, SyntaxError):  # a kind that only OpenCV knows
        return False


def label_map(objects: Sequence[MaskedObject], size: tuple[int, int]) -> np.ndarray:
    """All objects in one (H, W) map: 0 background, else the id; later objects cover earlier ones.

    Args:
        objects: their masks are (H, W) bool.
        size: (H, W).

    Returns:
        uint8, or uint16 if an id needs it.
    """
    largest = max((o.id for o in objects), default=0)
    labels = np.zeros(size, np.uint8 if largest < 256 else np.uint16)
    for target in objects:
        labels[np.asarray(target.mask, bool)] = target.id
    return labels


def cutout(image: np.ndarray, mask: np.ndarray, crop: bool = True) -> np.ndarray:
    """An object on a transparent ground.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool.
        crop: cut the result down to the object, unless the mask is empty.

    Returns:
        (h, w, 4) uint8 RGBA, alpha 0 or 255.
    """
    mask = np.asarray(mask, bool)
    result = np.dstack([image, mask.astype(np.uint8) * 255])
    result[~mask] = 0
    if crop and mask.any():
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        result = result[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.ascontiguousarray(result)


def _described(target: MaskedObject, rings: list[np.ndarray]) -> dict[str, Any]:
    """An object as COCO has it, with both kinds of segmentation."""
    rows = np.flatnonzero(target.mask.any(axis=1))
    columns = np.flatnonzero(target.mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return {
        "id": target.id,
        "name": target.name,
        "segmentation": encode_rle(target.mask),
        "polygons": [[round(float(v), 2) for v in ring.ravel()] for ring in rings],
        "bbox": [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1],
        "area": int(target.mask.sum()),
    }


def _labelme(
    objects: Sequence[MaskedObject],
    rings: dict[int, list[np.ndarray]],
    shape: tuple[int, int],
    file: str,
) -> dict[str, Any]:
    """labelme's file: the parts of an object share its id as group."""
    shapes = [
        {
            "label": target.name,
            "points": np.round(ring, 2).tolist(),
            "group_id": target.id,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
            "mask": None,
        }
        for target in objects
        for ring in rings[target.id]
    ]
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": file,
        "imageData": None,
        "imageHeight": shape[0],
        "imageWidth": shape[1],
    }
