"""`folder`: your own images and masks.

| layout | annotation |
| --- | --- |
| `images/NAME.jpg` + `masks/NAME.png` | one mask file per image |
| `images/NAME.jpg` + `masks/NAME/ANY.png` | a folder of mask files per image |
| `annotations.json`, or one JSON in `annotations/`, + images in `images/` or beside it | COCO |
| `NAME.json` beside `NAME.jpg`, in `labels/`, or in `annotations/` with `images/` | labelme |

How a mask file is read:

* only 0 and 255, only 0 and 1, or only 0 and 65535: one object;
* only 0, 128 and 255: one object (255), 128 is ignored;
* anything else is a label map: one object per number above 0; in a map of 8 bits 255 is ignored;
* of a PNG with a palette the indices are the numbers; any other picture with colors is refused.

Image formats: jpg, png, bmp, tif, webp; masks: png, bmp, tif.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import read_labels
from .base import LabelMasks, Sample, Scene
from .coco import open_json
from .labelme import is_labelme, open_labelme
from .layout import MASKS, PICTURES, Pair, check_image_size, files_by_stem, not_empty, samples_of
from .records import Records

FORMATS = ("masks", "coco", "labelme")


def read_annotation(path: Path) -> tuple[np.ndarray, list[int], np.ndarray | None]:
    """Read a mask file by the rules at the head of this file.

    Returns:
        (H, W) integer labels; the numbers that are objects; (H, W) bool of ignored pixels or None.

    Raises:
        InputError: missing or broken file, colors, or not one object.
    """
    labels = read_labels(path)
    values = set(np.unique(labels).tolist())
    if values in ({0, 255}, {255}, {0, 65535}, {65535}):
        return labels, [max(values)], None
    if values <= {0, 128, 255} and 255 in values:
        return labels, [255], labels == 128
    void = 255 if labels.dtype == np.uint8 and 255 in values else None
    ids = sorted(v for v in values if v > 0 and v != void)
    if not ids:
        raise InputError(f"mask {path} is empty, it marks no object")
    return labels, ids, None if void is None else labels == void


def _single_scene(pair: Pair) -> Scene:
    image_path, mask_path = pair.both()
    labels, ids, ignored = read_annotation(mask_path)
    image = functools.partial(check_image_size, image_path, labels.shape, mask_path)
    masks = LabelMasks(labels, ids, [None] if len(ids) == 1 else None)
    return Scene(pair.name, image, masks, ignored=ignored)


class _FolderMasks:
    """All objects of all mask files in a folder."""

    def __init__(self, paths: list[Path]):
        self.entries, self.names = [], []
        self.ignored = None
        for path in paths:
            labels, ids, ignored = read_annotation(path)
            if self.entries and labels.shape != self.size:
                raise InputError(
                    f"{paths[0]} and {path} differ in size: {self.size} and {labels.shape}"
                )
            self.size = labels.shape
            self.entries += [(labels, v) for v in ids]
            self.names += [path.stem if len(ids) == 1 else f"{path.stem}_{v}" for v in ids]
            if ignored is not None:
                self.ignored = ignored if self.ignored is None else self.ignored | ignored

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> np.ndarray:
        labels, value = self.entries[index]
        return labels == value


def _folder_scene(pair: Pair) -> Scene:
    image_path, folder = pair.both()
    paths = list(files_by_stem(folder, MASKS).values())
    if not paths:
        raise InputError(f"the folder {folder} has no mask")
    masks = _FolderMasks(paths)
    image = functools.partial(check_image_size, image_path, masks.size, folder)
    return Scene(pair.name, image, masks, ignored=masks.ignored)


def _load(pair: Pair) -> Scene:
    return _folder_scene(pair) if pair.mask and pair.mask.is_dir() else _single_scene(pair)


def _masks_scenes(root: Path) -> Records[Scene]:
    images, masks = root / "images", root / "masks"
    pictures = files_by_stem(images, PICTURES)
    labels = files_by_stem(masks, MASKS)
    labels |= {p.name: p for p in masks.iterdir() if p.is_dir() and not p.name.startswith(".")}
    pairs = []
    for stem in sorted({*pictures, *labels}):
        image, mask = pictures.get(stem), labels.get(stem)
        pairs.append(Pair(stem, image, mask, images if image is None else masks))
    return not_empty(Records("folder", pairs, _load, origin=root))


def detect(root: Path) -> tuple[str, list[Path]]:
    """Which layout a folder has, and its JSON files: "masks", "coco" or "labelme".

    Raises:
        InputError: none of them; the message lists what would be accepted.
    """
    if (root / "images").is_dir() and (root / "masks").is_dir():
        return "masks", []
    folders = [
        f for f in (root, root / "annotations", root / "labels", root / "images") if f.is_dir()
    ]
    files = [path for folder in folders for path in sorted(folder.glob("*.json"))]
    if any(is_labelme(path) for path in files):  # then every JSON here should be one
        return "labelme", files
    if len(files) == 1:
        return "coco", files
    if len(files) > 1:
        names = ", ".join(path.name for path in files[:4])
        raise InputError(
            f"folder: {root} has several annotation files ({names}); keep one COCO file"
        )
    raise InputError(
        f"folder: {root} has neither images/ and masks/, nor a COCO file annotations.json, nor "
        "labelme's NAME.json files"
    )


def scenes(root: Path, format: str | None = None) -> Records[Scene]:
    """Your own images, one Scene each.

    Args:
        format: "masks", "coco" or "labelme"; by default what the folder looks like.
    """
    if format is not None and format not in FORMATS:
        raise InputError(f"folder has no format {format!r}; choose one of {', '.join(FORMATS)}")
    found, files = detect(root)
    if format is not None and format != found:
        raise InputError(f"folder: {root} looks like {found}, not {format}")
    if found == "masks":
        return _masks_scenes(root)
    if found == "labelme":
        return open_labelme("folder", root, files)
    folders = [root / "images", root, files[0].parent, root.parent]
    return open_json("folder", files[0], folders, min_area=1, origin=root)


def samples(root: Path, format: str | None = None) -> Records[Sample]:
    """Your own images, one Sample per object."""
    return samples_of(scenes(root, format))
