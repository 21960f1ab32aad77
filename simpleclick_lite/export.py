"""Masks in the formats that other programs read.

Explained in notebooks/13_click_tool.ipynb. Everything is written atomically:

    masks/KEY_1_name.png     0/255, one per object
    labels/KEY.png           one number per pixel: 0 background, else the object's id
    cutouts/KEY_1_name.png   RGBA, transparent outside of the object
    coco.json                COCO with run-length codes (exact); coco_polygons.json with polygons
    yolo/KEY.txt             a class and a polygon in fractions of the image per line; classes.txt
    labelme/KEY.json         polygons to go on with in labelme
    images/KEY.png           only for images that are not files already
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
from .files import atomic_path, to_rgb8, write_png
from .polygons import join, mask_polygons
from .rle import encode_rle
from .session_files import file_stem

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
    images: Iterable[AnnotatedImage], folder: str | Path, formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Write objects in the given formats.

    Args:
        images: may be a generator, only one image is held at a time.
        folder: made if needed; files of an earlier export are replaced.
        formats: some of `FORMATS`.

    Returns:
        the files written.

    Raises:
        InputError: unknown format, or a folder that cannot be written.
    """
    folder = Path(folder)
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise InputError(f"there is no format {unknown[0]!r}; choose from {', '.join(FORMATS)}")
    files: list[Path] = []
    classes: list[str] = []
    coco: dict[str, list] = {"images": [], "annotations": [], "categories": []}
    for item in images:
        objects = [o for o in item.objects if o.mask.any()]
        classes += [n for n in dict.fromkeys(o.name for o in objects) if n not in classes]
        rings = {}
        if {"coco", "yolo", "labelme"} & set(formats):
            rings = {o.id: mask_polygons(o.mask) for o in objects}
        file = item.file
        if file is None:
            file = f"images/{item.key}.png"
            if {"coco", "yolo", "labelme"} & set(formats):
                files.append(_png(folder / file, to_rgb8(item.image)))
        for target in objects:
            name = f"{item.key}_{target.id}_{file_stem(target.name)}.png"
            if "masks" in formats:
                files.append(_png(folder / "masks" / name, np.asarray(target.mask, bool)))
            if "cutouts" in formats:
                files.append(_png(folder / "cutouts" / name, cutout(item.image, target.mask)))
        if "labels" in formats:
            shape = item.image.shape[:2]
            files.append(_png(folder / "labels" / f"{item.key}.png", label_map(objects, shape)))
        if "coco" in formats:
            _add_coco(coco, item, file, objects, rings, classes)
        if "yolo" in formats:
            text = _yolo(objects, rings, classes, item.image.shape)
            files.append(_text(folder / "yolo" / f"{item.key}.txt", text))
        if "labelme" in formats:
            path = folder / "labelme" / f"{item.key}.json"
            value = _labelme(objects, rings, item.image.shape, "../" + file)
            if Path(file).is_absolute():
                value["imagePath"] = file
            files.append(_json(path, value))
    if "coco" in formats:
        coco["categories"] = [{"id": i + 1, "name": name} for i, name in enumerate(classes)]
        files += _coco_files(folder, coco)
    if "yolo" in formats:
        files.append(_text(folder / "yolo" / "classes.txt", "".join(f"{n}\n" for n in classes)))
    return files


def file_from(folder: str | Path, image: Path) -> str:
    """An image's path as files in `folder` name it: relative where that is possible."""
    try:
        return Path(os.path.relpath(image, folder)).as_posix()
    except ValueError:  # another drive
        return image.resolve().as_posix()


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


def _add_coco(
    coco: dict[str, list],
    item: AnnotatedImage,
    file: str,
    objects: Sequence[MaskedObject],
    rings: dict[int, list[np.ndarray]],
    classes: list[str],
) -> None:
    """Append an image and its objects; "polygons" is taken out again when the files are written."""
    height, width = item.image.shape[:2]
    number = len(coco["images"]) + 1
    coco["images"].append({"id": number, "file_name": file, "width": width, "height": height})
    for target in objects:
        rows = np.flatnonzero(target.mask.any(axis=1))
        columns = np.flatnonzero(target.mask.any(axis=0))
        x, y = int(columns[0]), int(rows[0])
        coco["annotations"].append(
            {
                "id": len(coco["annotations"]) + 1,
                "image_id": number,
                "category_id": classes.index(target.name) + 1,
                "segmentation": encode_rle(target.mask),
                "polygons": [_flat(ring) for ring in rings[target.id]],
                "bbox": [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1],
                "area": int(target.mask.sum()),
                "iscrowd": 0,
            }
        )


def _coco_files(folder: Path, coco: dict[str, list]) -> list[Path]:
    exact, outlines = [], []
    for annotation in coco["annotations"]:
        exact.append({k: v for k, v in annotation.items() if k != "polygons"})
        outlines.append(exact[-1] | {"segmentation": annotation["polygons"]})
    return [
        _json(folder / "coco.json", coco | {"annotations": exact}),
        _json(folder / "coco_polygons.json", coco | {"annotations": outlines}),
    ]


def _flat(ring: np.ndarray) -> list[float]:
    """x0, y0, x1, y1, … with at least three points, as COCO wants it."""
    return [round(float(v), 2) for v in ring.ravel()]


def _yolo(
    objects: Sequence[MaskedObject],
    rings: dict[int, list[np.ndarray]],
    classes: list[str],
    shape: tuple[int, ...],
) -> str:
    """One line per object; its parts are joined, because YOLO takes each line for an object."""
    lines = []
    for target in objects:
        points = join(rings[target.id]) / (shape[1], shape[0])
        numbers = " ".join(f"{v:.6f}" for v in points.ravel())
        lines.append(f"{classes.index(target.name)} {numbers}\n")
    return "".join(lines)


def _labelme(
    objects: Sequence[MaskedObject],
    rings: dict[int, list[np.ndarray]],
    shape: tuple[int, ...],
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


def _png(path: Path, array: np.ndarray) -> Path:
    write_png(path, array)
    return path


def _json(path: Path, value: Any) -> Path:
    return _text(path, json.dumps(value) + "\n")


def _text(path: Path, text: str) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
