"""Data sets of photographs with one mask file per object: GrabCut, Berkeley, DAVIS, COCO_MVal.

| name | folders | object | ignored |
| --- | --- | --- | --- |
| grabcut | data_GT, boundary_GT | 255 | 128 |
| berkeley | images, masks (a letter after the name: a second object) | above 128 | 128 |
| davis | img, gt | anything that is not black (index 0 of a palette) | nothing |
| coco_mval | img, gt | 255 | nothing |
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import read_image, read_labels, read_mask
from .base import Sample, Scene
from .holdout import is_held_out
from .layout import (
    Pair,
    check_8bit,
    check_image_size,
    check_size,
    locate,
    not_empty,
    pair_folders,
    reader,
)
from .records import Records

MaskReader = Callable[[Path], np.ndarray]  # path -> (H, W) int8; 1 object, 0 background, -1 ignored


def three_values(path: Path) -> np.ndarray:
    """A mask of 0 background, 255 object, 128 ignored, and nothing else."""
    values = read_mask(path)
    check_8bit(values, path)
    odd = np.setdiff1d(values, (0, 128, 255))
    if odd.size:
        raise InputError(f"mask {path} holds {odd[:5].tolist()}; allowed are 0, 128 and 255")
    return trimap(values)


def published_threshold(path: Path) -> np.ndarray:
    """A mask as the published evaluation reads it: above 128 object, 128 ignored."""
    values = read_mask(path)
    check_8bit(values, path)
    return trimap(values)


def trimap(values: np.ndarray) -> np.ndarray:
    """(H, W) uint8 -> (H, W) int8: above 128 is 1, 128 is -1, the rest 0."""
    mask = (values > 128).astype(np.int8)
    mask[values == 128] = -1
    return mask


def not_black(path: Path) -> np.ndarray:
    """A mask in which everything but 0 is object: numbers, a palette's indices, or gray."""
    values = read_labels(path)
    check_8bit(values, path)
    return (values > 0).astype(np.int8)


def load_pair(pair: Pair, read: MaskReader) -> Sample:
    """Read one object.

    Raises:
        InputError: a file is missing, broken or empty, or the two differ in size.
    """
    image_path, mask_path = pair.both()
    image, mask = read_image(image_path), read(mask_path)
    check_size(image, image_path, mask, mask_path)
    if not (mask == 1).any():
        raise InputError(f"mask {mask_path} is empty, it marks no object")
    return Sample(image, mask, pair.name)


def open_pairs(
    name: str,
    root: Path,
    folders: tuple[str, str],
    read: MaskReader,
    image_of: Callable[[str], str] | None = None,
) -> Records[Sample]:
    """A data set of image and mask folders.

    Args:
        folders: of the images and of the masks, below the root.
    """
    root = locate(name, root)
    pairs = pair_folders(root / folders[0], root / folders[1], image_of=image_of)
    return not_empty(Records(name, pairs, functools.partial(load_pair, read=read), origin=root))


def grabcut(root: Path) -> Records[Sample]:
    """GrabCut: 50 photographs, 50 objects."""
    return open_pairs("grabcut", root, ("data_GT", "boundary_GT"), three_values)


def without_letter(stem: str) -> str:
    """Name of the photograph of a Berkeley mask: 239007a -> 239007."""
    return stem[:-1] if stem[-1:].isalpha() else stem


def berkeley(root: Path) -> Records[Sample]:
    """Berkeley: 96 photographs, 100 objects."""
    folders = ("images", "masks")
    return open_pairs("berkeley", root, folders, published_threshold, without_letter)


def davis(root: Path) -> Records[Sample]:
    """DAVIS: 345 frames, everything annotated in a frame is one object."""
    return open_pairs("davis", root, ("img", "gt"), not_black)


def coco_mval(root: Path, split: str | None = None) -> Records[Sample]:
    """COCO_MVal: 800 objects, 10 of each of the 80 categories of COCO.

    `train` (720) and `val` (80) have no photograph in common; `all` is both.
    """
    every = open_pairs("coco_mval", root, ("img", "gt"), three_values)
    return every.subset([i for i, name in enumerate(every.names) if _in_split(name, split)])


def _in_split(stem: str, split: str | None) -> bool:
    return split in (None, "all") or is_held_out(photograph_of(stem)) == (split == "val")


def coco_mval_scenes(root: Path, split: str | None = None) -> Records[Scene]:
    """COCO_MVal by photograph: the objects of NAME_ID with the same ID together."""
    root = locate("coco_mval", root)
    pairs = [p for p in pair_folders(root / "img", root / "gt") if _in_split(p.name, split)]
    pairs.sort(key=lambda pair: (photograph_of(pair.name), pair.name))
    groups = [tuple(g) for _, g in itertools.groupby(pairs, lambda p: photograph_of(p.name))]
    names = [photograph_of(group[0].name) for group in groups]
    return not_empty(Records("coco_mval", groups, _grouped_scene, names, root))


def photograph_of(stem: str) -> str:
    """airplane00_000000281693 -> 000000281693."""
    return stem.rpartition("_")[2]


class _MaskFiles:
    """Masks that lie in one file each and are read on demand."""

    def __init__(self, pairs: tuple[Pair, ...]):
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> np.ndarray:
        image_path, mask_path = self.pairs[index].both()
        mask = three_values(mask_path) == 1
        check_image_size(image_path, mask.shape, mask_path)
        return mask


def _grouped_scene(group: tuple[Pair, ...]) -> Scene:
    image_path, _ = group[0].both()
    return Scene(photograph_of(group[0].name), reader(image_path), _MaskFiles(group))
