"""Several data sets in one training: which, where they lie, and how often each is drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from . import dataset_info


@dataclass(frozen=True)
class Source:
    """One data set of a mixture."""

    name: str
    root: str | None
    weight: float


def parse_mixture(text: str, root: str | None = None) -> list[Source]:
    """Read "name[=folder][:weight],…", for example "synthetic:0.3,coco=/data/coco:1".

    Args:
        text: the mixture; a weight is 1 if it is not given.
        root: folder of every set that names none; what a set names is a folder inside it, unless it
            is an absolute path.

    Raises:
        InputError: an unknown name, or a weight that is no positive number.
    """
    sources = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        found = re.fullmatch(r"([^=:]+)(?:=(.*?))?(?::([0-9.eE+-]+))?", part)
        if not found:
            raise InputError(f"data {part!r} does not read as name, name=folder or name=folder:2")
        name, folder, weight = found.groups()
        try:
            value = float(weight) if weight else 1.0
        except ValueError:
            value = -1.0
        if not 0 < value < float("inf"):
            raise InputError(f"data {part!r} has weight {weight}; give a number above 0")
        place = str(Path(root or "", folder)) if folder else root
        sources.append(Source(name, place if dataset_info(name).needs_root else None, value))
    if not sources:
        raise InputError("data names no data set; give one, for example synthetic")
    return sources
