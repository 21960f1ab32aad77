"""SBD, the semantic boundaries data set: `img`, `inst/NAME.mat`, `train.txt` and `val.txt`.

A .mat file holds a struct `GTinst` whose field `Segmentation` is the label map. Training leaves out
objects that fill under 8% of their box: their annotation is broken.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from ..errors import InputError
from .base import Sample, Scene
from .labelmaps import read_split, scene_of
from .layout import locate, need_package, not_empty, samples_of
from .records import Records

LEAST_FILL = 0.08  # share of its box that a sound annotation fills


def read_instances(path: Path) -> np.ndarray:
    """The label map of a .mat file: (H, W) integer, 0 background.

    Raises:
        InputError: missing or broken file, or one without GTinst.Segmentation.
    """
    if not path.is_file():
        raise InputError(f"annotation {path} does not exist; check the path")
    try:
        content = need_package("scipy.io").loadmat(str(path), variable_names=["GTinst"])
    except Exception as error:  # scipy raises many kinds for a broken file
        if isinstance(error, InputError):
            raise
        raise InputError(f"annotation {path} is broken: {error or type(error).__name__}") from error
    struct = content.get("GTinst")
    if struct is None or struct.dtype.names is None or "Segmentation" not in struct.dtype.names:
        raise InputError(f"annotation {path} has no GTinst.Segmentation; it is no file of SBD")
    labels = np.asarray(struct["Segmentation"].flat[0])
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"annotation {path}: Segmentation has shape {labels.shape} of {labels.dtype}"
        )
    return labels


def fill_of_box(mask: np.ndarray) -> float:
    """Share of its bounding box that a (H, W) bool mask fills; 0 for an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0.0
    box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return float(np.count_nonzero(mask) / box)


def _scene(name: str, root: Path, sound: bool) -> Scene:
    path = root / "inst" / f"{name}.mat"
    labels = read_instances(path)
    ids = [int(v) for v in np.unique(labels) if v > 0]
    if sound:
        ids = [v for v in ids if fill_of_box(labels == v) >= LEAST_FILL]
    return scene_of(name, root / "img" / f"{name}.jpg", labels, path, ids)


def _open(root: Path, split: str, sound: bool) -> Records[Scene]:
    root = locate("sbd", root)
    need_package("scipy.io")
    names = read_split(root / f"{split}.txt", "sbd")
    load = functools.partial(_scene, root=root, sound=sound)
    return not_empty(Records("sbd", names, load, origin=root))


def scenes(root: Path, split: str | None = None) -> Records[Scene]:
    """Training scenes: `train` has 8,498 photographs and 20,172 objects before the 8% rule."""
    return _open(root, split or "train", sound=True)


def samples(root: Path, split: str | None = None) -> Records[Sample]:
    """One Sample per object: `val` has 6,671 on 2,857 photographs, `train` 20,172 on 8,498."""
    return samples_of(_open(root, split or "val", sound=False))
