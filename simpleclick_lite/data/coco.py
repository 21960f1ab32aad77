"""COCO, and every file of its kind: `annotations/instances_*.json` with polygons or RLE.

Crowds are no objects; their pixels are ignored. Objects under `min_area` pixels (the annotation's
own `area`, 100 by default) are left out of both scenes and samples, and so are those without a
segmentation.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..rle import decode_rle
from .base import Sample, Scene
from .layout import check_image_size, need_package, not_empty, places, samples_of
from .records import Records

MIN_AREA = 100  # pixels


def decode_segmentation(segmentation: list | dict, height: int, width: int) -> np.ndarray:
    """Decode polygons, RLE or compressed RLE.

    Args:
        segmentation: as in the JSON: a list of [x, y, x, y, ...] or {"size", "counts"}.

    Returns:
        (height, width) bool.

    Raises:
        InputError: a polygon without three corners, or an RLE whose length is not height * width.
    """
    from pycocotools import mask as coco_mask

    if isinstance(segmentation, dict):
        if list(segmentation["size"]) != [height, width]:
            raise InputError(
                f"its RLE is for {segmentation['size']} (height, width), "
                f"the image is {[height, width]}"
            )
        return decode_rle(segmentation)
    if not isinstance(segmentation, list) or not segmentation:
        raise InputError("it has no segmentation")
    for polygon in segmentation:
        if len(polygon) < 6 or len(polygon) % 2 or not np.isfinite(polygon).all():
            raise InputError(f"its polygon has {len(polygon)} numbers; it needs 3 pairs or more")
    runs = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    return decode_rle(runs)


class CocoMasks:
    """The masks of some annotations of one image, decoded on demand."""

    def __init__(self, annotations: Sequence[dict], height: int, width: int, source: Path):
        self.annotations = annotations
        self.source = source
        self.size = (height, width)
        self.names = [annotation["id"] for annotation in annotations]

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, index: int) -> np.ndarray:
        annotation = self.annotations[index]
        try:
            return decode_segmentation(annotation["segmentation"], *self.size)
        except Exception as error:
            raise InputError(
                f"{self.source}: annotation {annotation['id']} cannot be decoded: "
                f"{error or type(error).__name__}"
            ) from error


def read_index(path: Path) -> dict:
    """Read a COCO file: {"images": {id: entry}, "annotations": {image id: [entries]}, "lost": ids}.

    Annotations of images that the file does not list are left out; their ids are in "lost".

    Raises:
        InputError: missing file, no JSON, or JSON without images and annotations.
    """
    content = read_json(path)
    try:
        images = {entry["id"]: entry for entry in content["images"]}
        annotations: dict = {}
        lost = []
        for entry in content["annotations"]:
            if entry["image_id"] in images:
                annotations.setdefault(entry["image_id"], []).append(entry)
            else:
                lost.append(entry.get("id"))
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no COCO file: {error!r} is missing or of another type"
        ) from error
    return {"images": images, "annotations": annotations, "lost": lost}


def read_json(path: Path) -> dict:
    """Read a JSON object.

    Raises:
        InputError: missing or unreadable file, broken JSON, or no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"annotation {path} does not exist; check the path") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"annotation {path} is no JSON that can be read: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"annotation {path} holds a {type(content).__name__}, not an object")
    return content


def scene_from_entry(
    entry: dict, annotations: Sequence[dict], folders: Sequence[Path], source: Path, min_area: float
) -> Scene:
    """A Scene of one image entry and its annotations.

    Args:
        folders: where the image may lie, in order.
        source: the JSON file, for messages.

    Raises:
        InputError: the entry lacks its size or file name.
    """
    try:
        height, width = int(entry["height"]), int(entry["width"])
        file = Path(str(entry["file_name"]).replace("\\", "/"))
    except (KeyError, TypeError, ValueError) as error:
        number = entry.get("id")
        raise InputError(f"{source}: the entry of image {number} is broken: {error!r}") from error
    ways = [folder / way for folder in folders for way in (file, file.name)]
    path = next((way for way in ways if way.is_file()), ways[0])
    objects = [a for a in annotations if is_object(a, min_area)]
    crowds = [a for a in annotations if a.get("iscrowd")]
    ignored = functools.partial(_crowd_pixels, crowds, height, width, source) if crowds else None
    image = functools.partial(check_image_size, path, (height, width), source)
    return Scene(file.stem, image, CocoMasks(objects, height, width, source), ignored=ignored)


def is_object(annotation: dict, min_area: float = MIN_AREA) -> bool:
    """Whether an annotation is an object: no crowd, marked, and of `min_area` pixels or more."""
    if annotation.get("iscrowd") or not annotation.get("segmentation"):
        return False
    return float(annotation.get("area", min_area)) >= min_area


def _crowd_pixels(crowds: Sequence[dict], height: int, width: int, source: Path) -> np.ndarray:
    masks = CocoMasks(crowds, height, width, source)
    return np.any([masks[i] for i in range(len(masks))], axis=0)


class _SceneOf:
    """Loads the Scene of one image of a COCO file."""

    def __init__(self, index: dict, folders: Sequence[Path], source: Path, min_area: float):
        self.index = index
        self.folders = folders
        self.source = source
        self.min_area = min_area

    def __call__(self, image_id: int) -> Scene:
        entry = self.index["images"][image_id]
        annotations = self.index["annotations"].get(image_id, [])
        return scene_from_entry(entry, annotations, self.folders, self.source, self.min_area)


def open_json(
    name: str,
    path: Path,
    folders: Sequence[Path],
    min_area: float = MIN_AREA,
    origin: object = None,
) -> Records[Scene]:
    """Scenes of any COCO file, in the order of the image ids; images without objects are left out.

    Args:
        path: the JSON file.
        folders: where its images lie.
    """
    need_package("pycocotools.mask")
    index = read_index(path)
    ids = [
        image_id
        for image_id in sorted(index["images"], key=lambda v: (str(type(v)), v))
        if any(is_object(a, min_area) for a in index["annotations"].get(image_id, []))
    ]
    names = [Path(str(index["images"][i].get("file_name", i))).stem for i in ids]
    dataset = Records(name, ids, _SceneOf(index, folders, path, min_area), names, origin or path)
    dataset.lost, dataset.source = index["lost"], path  # for `data check`
    return not_empty(dataset, "annotated images")


def scenes(root: Path, split: str | None = None, min_area: float = MIN_AREA) -> Records[Scene]:
    """COCO's photographs with objects; `split` is "train" or "val" of any year.

    Raises:
        InputError: no `annotations/instances_SPLIT*.json`, or several.
    """
    return _open(root, split or "train", min_area)


def samples(root: Path, split: str | None = None, min_area: float = MIN_AREA) -> Records[Sample]:
    """One Sample per object, of `val` by default; crowds of the photograph are ignored pixels."""
    return samples_of(_open(root, split or "val", min_area))


def _open(root: Path, split: str, min_area: float) -> Records[Scene]:
    for folder in places("coco", root):
        files = sorted((folder / "annotations").glob(f"instances_{split}*.json"))
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise InputError(f"coco: {folder / 'annotations'} has {names}; keep the one you mean")
        if files:
            year = files[0].stem.removeprefix("instances_")
            folders = [folder / year, folder / "images" / year, folder / "images", folder]
            return open_json("coco", files[0], folders, min_area, folder)
    raise InputError(f"coco: {root} has no annotations/instances_{split}*.json")
