"""Data sets by name: `open_dataset` for benchmarks, `open_scenes` for training.

>>> from simpleclick_lite.data import open_dataset
>>> samples = open_dataset("grabcut", "datasets/GrabCut")  # len(samples); samples[0] -> Sample

Each loader lives in a module of its own, which is imported only when its data set is opened.
"""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path

from ..errors import InputError
from .base import Sample, Scene
from .records import Records
from .registry import DATASETS, DataSetInfo
from .robust import robust

__all__ = [
    "DATASETS",
    "DataSetInfo",
    "Records",
    "Sample",
    "Scene",
    "dataset_info",
    "open_dataset",
    "open_scenes",
    "robust",
]


def dataset_info(name: str) -> DataSetInfo:
    """What is known about a data set before it is opened.

    Raises:
        InputError: no data set has this name; the message lists the names and the nearest one.
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(str(name).lower(), DATASETS, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(
            f"there is no data set {name!r}{hint}; choose one of {', '.join(DATASETS)}"
        )
    return DATASETS[name]


def open_dataset(
    name: str, root: str | Path | None = None, split: str | None = None, **options
) -> Records[Sample]:
    """Open a data set for a benchmark: one `Sample` per object, in a fixed order.

    Args:
        name: see `DATASETS`, for example "grabcut", "photos", "synthetic", "folder".
        root: the data set's folder, or a folder that holds it under its usual name; not needed
            for what is embedded.
        split: "train" or "val" where the data set has splits; by default the one benchmarks use.
        options: the loader's own options, see its module.

    Raises:
        InputError: unknown name, split or option, missing root, or a folder that is not this set.
    """
    return _open(name, "samples", root, split, options)


def open_scenes(
    name: str, root: str | Path | None = None, split: str | None = None, **options
) -> Records[Scene]:
    """Open a data set for training: one `Scene` per photograph. Arguments as in `open_dataset`."""
    return _open(name, "scenes", root, split, options)


def _open(name: str, what: str, root: str | Path | None, split: str | None, options: dict):
    info = dataset_info(name)
    if what not in info.offers:
        able = [n for n, i in DATASETS.items() if what in i.offers]
        use = "a benchmark" if what == "samples" else "training"
        raise InputError(f"{name} is not a data set for {use}; choose one of {', '.join(able)}")
    if split is not None and split not in info.splits:
        offered = ", ".join(info.splits) or "no splits"
        raise InputError(f"{name} has no split {split!r}; it has {offered}")
    if info.needs_root:
        if root is None:
            raise InputError(
                f"{name} needs the folder it lies in: pass root= (--root on the command line)"
            )
        if not Path(root).is_dir():
            raise InputError(f"{name}: the root {root} does not exist or is no folder")
    module = importlib.import_module(f".{info.module}", __name__)
    unknown = sorted(set(options) - set(info.options))
    if unknown:
        known = ", ".join(info.options) or "none"
        raise InputError(f"{name} has no option {', '.join(unknown)}; its options: {known}")
    arguments = dict(options)
    if info.needs_root:
        arguments["root"] = Path(root)
    if info.splits:
        arguments["split"] = split
    return getattr(module, info.opener(what))(**arguments)
