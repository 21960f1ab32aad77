"""NIfTI volumes: which slice, and how its intensities become gray levels.

Layouts: `images/` and `labels/` (or `imagesTr/` and `labelsTr/`) with files of the same name, or
one folder per case with `CASE_flair.nii.gz` and `CASE_seg.nii.gz`, as BraTS is released.

The volume is turned to the axes right, anterior, superior; slices are cut across the third axis
(the axial ones). Of a volume, the slice with the most labelled voxels is used, the first of equals.
The window runs from the 0.5th to the 99.5th percentile of the whole volume's voxels above its
minimum (so that the empty air around a head does not count). The picture shows anterior at the top.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from .layout import Pair, need_package

SUFFIXES = (".nii.gz", ".nii")
WINDOW = (0.5, 99.5)  # percentiles that become black and white


def _stem(path: Path) -> str | None:
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix) and not path.name.startswith("."):
            return path.name[: -len(suffix)]
    return None


def _volumes_in(folder: Path) -> dict[str, Path]:
    found = {}
    for path in sorted(folder.iterdir()):
        stem = _stem(path)
        if stem is not None:
            found.setdefault(stem, path)
    return found


def find_volumes(root: Path) -> list[Pair]:
    """Pairs of a volume and its labels below `root`, sorted by name; empty when there are none.

    The layouts are told at the head of this file.
    """
    for images, labels in (("images", "labels"), ("imagesTr", "labelsTr")):
        if (root / images).is_dir() and (root / labels).is_dir():
            scans, marks = _volumes_in(root / images), _volumes_in(root / labels)
            stems = sorted({*scans, *marks})
            return [
                _pair(s, scans.get(s), marks.get(s), root / images, root / labels) for s in stems
            ]
    pairs = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        volumes = _volumes_in(folder)
        scan = next((p for s, p in volumes.items() if s.endswith("_flair")), None)
        mark = next((p for s, p in volumes.items() if s.endswith("_seg")), None)
        if scan is not None or mark is not None:
            pairs.append(_pair(folder.name, scan, mark, folder, folder))
    return pairs


def _pair(name: str, scan: Path | None, mark: Path | None, scans: Path, marks: Path) -> Pair:
    return Pair(name, scan, mark, scans if scan is None else marks)


def read_volume(path: Path) -> np.ndarray:
    """A volume of 3 axes (right, anterior, superior), as stored or scaled by its header.

    Raises:
        InputError: missing or broken file, another number of axes, or voxels that are no numbers.
    """
    nibabel = need_package("nibabel")
    if not path.is_file():
        raise InputError(f"volume {path} does not exist; check the path")
    try:
        volume = nibabel.as_closest_canonical(nibabel.load(path))
        voxels = np.asarray(volume.dataobj)
    except Exception as error:  # a broken archive, header or body, each with an error of its own
        raise InputError(f"volume {path} is broken: {error or type(error).__name__}") from error
    if voxels.ndim == 4 and voxels.shape[3] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3 or 0 in voxels.shape:
        raise InputError(f"volume {path} has the shape {voxels.shape}, it needs three axes")
    if np.issubdtype(voxels.dtype, np.floating) and not np.isfinite(voxels).all():
        raise InputError(f"volume {path} holds NaN or infinite voxels")
    return voxels


def window(voxels: np.ndarray) -> tuple[float, float]:
    """The intensities that become black and white, of voxels (X, Y, Z); see this file's head."""
    above = voxels[voxels > voxels.min()]
    if not above.size:
        return float(voxels.min()), float(voxels.min()) + 1
    low, high = np.percentile(above, WINDOW)
    return float(low), float(max(high, low + 1e-6))


def cut_slice(image_path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The axial slice that shows most of the labels.

    Returns:
        (H, W, 3) uint8 gray as RGB, and (H, W) int32 labels.

    Raises:
        InputError: a broken volume, two of different shape, labels that are no whole numbers or
            that mark nothing.
    """
    voxels, labels = read_volume(image_path), read_volume(labels_path)
    if voxels.shape != labels.shape:
        raise InputError(
            f"the labels {labels_path} have the shape {labels.shape} and their volume {image_path} "
            f"{voxels.shape}; they must be equal"
        )
    whole = np.round(labels)
    if not np.array_equal(whole, labels) or whole.min() < 0:
        raise InputError(f"the labels {labels_path} are not whole numbers from 0")
    counts = (whole > 0).sum(axis=(0, 1))
    if not counts.max():
        raise InputError(f"the labels {labels_path} are empty, they mark no object")
    best = int(counts.argmax())
    low, high = window(voxels)
    gray = np.clip((voxels[:, :, best].astype(np.float32) - low) / (high - low), 0, 1)
    gray = np.round(gray * 255).astype(np.uint8)
    # first axis right -> columns, second axis anterior -> up
    gray, marks = np.rot90(gray), np.rot90(whole[:, :, best]).astype(np.int32)
    return np.ascontiguousarray(np.repeat(gray[..., None], 3, axis=2)), np.ascontiguousarray(marks)
