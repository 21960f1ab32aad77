"""Medical images: ssTEM, BraTS and OAIZIB, as prepared slices or as volumes.

| name | prepared folders | objects |
| --- | --- | --- |
| sstem | raw, mitochondria | one per 4-connected component above 127 |
| brats | image, annotation | the union of the labels |
| oaizib | test/image, test/annotations | one per label |

For the last two there may be NIfTI volumes instead: `volumes.py` says where they lie and how a
slice is cut from them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import read_labels, read_mask
from .base import LabelMasks, Sample, Scene
from .labelmaps import scene_of
from .layout import (
    Pair,
    check_8bit,
    check_image_size,
    components,
    locate,
    need_package,
    not_empty,
    pair_folders,
    samples_of,
)
from .records import Records
from .registry import DATASETS
from .volumes import cut_slice, find_volumes

ToLabels = Callable[[np.ndarray], np.ndarray]


def union(labels: np.ndarray) -> np.ndarray:
    """All labels, (H, W) integer, as one object."""
    return (labels > 0).astype(np.int32)


def apart(labels: np.ndarray) -> np.ndarray:
    """Every label, (H, W) integer, an object of its own."""
    return labels.astype(np.int32)


def _sstem_scene(pair: Pair) -> Scene:
    image_path, mask_path = pair.both()
    values = read_mask(mask_path)
    check_8bit(values, mask_path)
    return scene_of(pair.name, image_path, components(values > 127), mask_path)


def sstem_scenes(root: Path) -> Records[Scene]:
    """ssTEM: sections of 1024 x 1024 pixels, the mitochondria of each."""
    root = locate("sstem", root)
    pairs = pair_folders(root / "raw", root / "mitochondria")
    return not_empty(Records("sstem", pairs, _sstem_scene, origin=root))


def sstem(root: Path) -> Records[Sample]:
    """ssTEM: one Sample per mitochondrion."""
    return samples_of(sstem_scenes(root))


def _slice_scene(pair: Pair, to_labels: ToLabels) -> Scene:
    """A prepared slice."""
    image_path, labels_path = pair.both()
    labels = to_labels(read_labels(labels_path))
    if not (labels > 0).any():
        raise InputError(f"annotation {labels_path} is empty, it marks no object")
    image = functools.partial(check_image_size, image_path, labels.shape, labels_path)
    return Scene(pair.name, image, LabelMasks(labels))


def _volume_scene(pair: Pair, to_labels: ToLabels) -> Scene:
    """The slice of a volume that shows most of the objects."""
    image_path, labels_path = pair.both()
    image, labels = cut_slice(image_path, labels_path)
    return Scene(pair.name, image, LabelMasks(to_labels(labels)))


def _open(name: str, root: Path, prepared: tuple[str, str], to_labels: ToLabels) -> Records[Scene]:
    folder = locate(name, root)
    if DATASETS[name].layout_in(folder) == prepared:
        pairs = pair_folders(folder / prepared[0], folder / prepared[1])
        load = functools.partial(_slice_scene, to_labels=to_labels)
    else:
        need_package("nibabel")
        pairs = find_volumes(folder)
        load = functools.partial(_volume_scene, to_labels=to_labels)
    return not_empty(Records(name, pairs, load, origin=folder))


def brats_scenes(root: Path) -> Records[Scene]:
    """BraTS: one slice of each of 369 volumes; the whole tumour is the object."""
    return _open("brats", root, ("image", "annotation"), union)


def brats(root: Path) -> Records[Sample]:
    """BraTS: 369 Samples."""
    return samples_of(brats_scenes(root))


def oaizib_scenes(root: Path) -> Records[Scene]:
    """OAIZIB: 150 slices of knees, the cartilages apart."""
    return _open("oaizib", root, ("test/image", "test/annotations"), apart)


def oaizib(root: Path) -> Records[Sample]:
    """OAIZIB: 300 Samples, one per label of a slice."""
    return samples_of(oaizib_scenes(root))
