"""Data sets whose annotation is a label map, one number per object or region.

| name | folders | objects | ignored |
| --- | --- | --- | --- |
| pascal_voc | JPEGImages, SegmentationObject, ImageSets/Segmentation | palette's indices | 255 |
| bsds_regions | img, seg (ID_K.png: annotator K) | the regions of every annotator | nothing |
| ccp | img, labels | the person (all numbers above 0); clothes and skin as its parts | nothing |
| pets | img, trimaps | 1 | 3, the undecided border |
| nuclei | img, seg | one number per nucleus | nothing |
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import read_labels, read_palette
from .base import LabelMasks, Sample, Scene
from .layout import (
    Pair,
    check_8bit,
    check_image_size,
    locate,
    not_empty,
    pair_folders,
    reader,
    samples_of,
)
from .records import Records

VOID = 255  # Pascal VOC's number for "undecided"


def scene_of(
    name: str,
    image_path: Path,
    labels: np.ndarray,
    labels_path: Path,
    ids: list[int] | None = None,
    void: int | None = None,
) -> Scene:
    """A Scene of one label map whose image is read, and compared in size, on demand.

    Args:
        labels: (H, W) integer.
        ids: the numbers that are objects; by default all above 0 that are not `void`.
        void: the number of ignored pixels.
    """
    if ids is None:
        ids = [int(v) for v in np.unique(labels) if v > 0 and v != void]
    ignored = None
    if void is not None and (labels == void).any():
        ignored = labels == void
    image = functools.partial(check_image_size, image_path, labels.shape, labels_path)
    return Scene(name, image, LabelMasks(labels, ids), ignored=ignored)


def read_split(path: Path, what: str) -> list[str]:
    """Names, one a line, of a split's file.

    Raises:
        InputError: missing, unreadable or empty.
    """
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{what}: the list {path} cannot be read ({error})") from error
    if not names:
        raise InputError(f"{what}: the list {path} is empty")
    return names


# Pascal VOC


def _voc_scene(name: str, root: Path) -> Scene:
    labels_path = root / "SegmentationObject" / f"{name}.png"
    labels = read_palette(labels_path)
    image_path = root / "JPEGImages" / f"{name}.jpg"
    return scene_of(name, image_path, labels, labels_path, void=VOID)


def pascal_voc_scenes(root: Path, split: str | None = None) -> Records[Scene]:
    """Pascal VOC 2012: the photographs with object masks, `val` (1,449) or `train` (1,464)."""
    root = locate("pascal_voc", root)
    names = read_split(root / "ImageSets" / "Segmentation" / f"{split or 'val'}.txt", "pascal_voc")
    return Records("pascal_voc", names, functools.partial(_voc_scene, root=root), origin=root)


def pascal_voc(root: Path, split: str | None = None) -> Records[Sample]:
    """Pascal VOC 2012: one Sample per object; `val` has 3,427."""
    return samples_of(pascal_voc_scenes(root, split))


# Sets for training


class _ManyLabelMaps:
    """The regions of several label maps of one photograph, one after another."""

    def __init__(self, paths: tuple[Path, ...]):
        maps = [LabelMasks(read_labels(path)) for path in paths]
        sizes = [m.labels.shape for m in maps]
        if len(set(sizes)) > 1:
            each = ", ".join(f"{p.name} {w} x {h}" for p, (h, w) in zip(paths, sizes, strict=True))
            raise InputError(f"label maps in {paths[0].parent} differ in size: {each}")
        self.entries = [(m, i) for m in maps for i in range(len(m))]
        self.names = [
            f"{p.stem.rpartition('_')[2]}_{i}"
            for p, m in zip(paths, maps, strict=True)
            for i in m.ids
        ]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> np.ndarray:
        labels, number = self.entries[index]
        return labels[number]


def _bsds_scene(pairs: tuple[Pair, ...]) -> Scene:
    image_path, _ = pairs[0].both()
    masks = functools.partial(_ManyLabelMaps, tuple(pair.both()[1] for pair in pairs))
    return Scene(image_path.stem, reader(image_path), masks)


def bsds_regions_scenes(root: Path) -> Records[Scene]:
    """BSDS500: 401 photographs, the regions that every annotator drew, each a thing to click."""
    root = locate("bsds_regions", root)
    grouped: dict[str, list[Pair]] = {}
    for pair in pair_folders(root / "img", root / "seg", image_of=_without_annotator):
        grouped.setdefault(_without_annotator(pair.name), []).append(pair)
    groups = [tuple(group) for group in grouped.values()]
    return not_empty(Records("bsds_regions", groups, _bsds_scene, list(grouped), root))


def _without_annotator(stem: str) -> str:
    head, _, number = stem.rpartition("_")
    return head if head and number.isdigit() else stem


class _PersonAndParts:
    """CCP: mask 0 is the person, the others are its numbers."""

    def __init__(self, labels: np.ndarray):
        self.parts = LabelMasks(labels)
        self.names = ["person", *self.parts.ids] if len(self.parts) else []

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.parts.labels > 0 if index == 0 else self.parts[index - 1]


def _ccp_scene(pair: Pair) -> Scene:
    image_path, labels_path = pair.both()
    labels = read_labels(labels_path)
    check_8bit(labels, labels_path)
    masks = _PersonAndParts(labels)
    image = functools.partial(check_image_size, image_path, labels.shape, labels_path)
    count = max(0, len(masks) - 1)
    return Scene(pair.name, image, masks, ("thing", *("part",) * count), (-1, *(0,) * count))


def ccp_scenes(root: Path) -> Records[Scene]:
    """Clothing Co-Parsing: 1,004 photographs of people; person, and its regions as parts."""
    return _paired("ccp", root, ("img", "labels"), _ccp_scene)


def _pets_scene(pair: Pair) -> Scene:
    image_path, labels_path = pair.both()
    labels = read_labels(labels_path)
    check_8bit(labels, labels_path)
    odd = np.setdiff1d(labels, (1, 2, 3))
    if odd.size:
        raise InputError(f"trimap {labels_path} holds {odd[:5].tolist()}; allowed are 1, 2 and 3")
    ids = [1] if (labels == 1).any() else []
    return scene_of(pair.name, image_path, labels, labels_path, ids, void=3)


def pets_scenes(root: Path) -> Records[Scene]:
    """Oxford-IIIT Pet: cats and dogs; the undecided border is ignored."""
    return _paired("pets", root, ("img", "trimaps"), _pets_scene)


def _nuclei_scene(pair: Pair) -> Scene:
    image_path, labels_path = pair.both()
    return scene_of(pair.name, image_path, read_labels(labels_path), labels_path)


def nuclei_scenes(root: Path) -> Records[Scene]:
    """60 microscopy images, one number per nucleus."""
    return _paired("nuclei", root, ("img", "seg"), _nuclei_scene)


def _paired(name: str, root: Path, folders: tuple[str, str], load):
    root = locate(name, root)
    pairs = pair_folders(root / folders[0], root / folders[1])
    return not_empty(Records(name, pairs, load, origin=root))


def _only_things(scene: Scene, index: int) -> bool:
    return scene.parents[index] < 0


def ccp(root: Path) -> Records[Sample]:
    """CCP as a benchmark: the person of each photograph."""
    return samples_of(ccp_scenes(root), _only_things)


def pets(root: Path) -> Records[Sample]:
    """Pets as a benchmark: the animal of each photograph."""
    return samples_of(pets_scenes(root))


def nuclei(root: Path) -> Records[Sample]:
    """Nuclei as a benchmark: every nucleus."""
    return samples_of(nuclei_scenes(root))


def bsds_regions(root: Path) -> Records[Sample]:
    """BSDS regions as a benchmark: every region of every annotator."""
    return samples_of(bsds_regions_scenes(root))
