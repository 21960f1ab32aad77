"""Photographs of COCO that training never sees, so that settings can be chosen on them.

Some photographs are in COCO_MVal and in the small COCO folder alike, and several of COCO_MVal's
files show the same one. Whether a photograph is held out therefore depends on its COCO id alone:
on a checksum of it, with a limit that holds out 80 of COCO_MVal's 800 objects (70 photographs).
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence
from pathlib import Path

from .base import Scene
from .coco import scenes as coco_scenes
from .records import Records

LIMIT = 340_000_000  # checksums below it are held out


def is_held_out(image_id: int | str) -> bool:
    """Whether a COCO photograph is kept away from training; ids are padded to 12 digits."""
    return zlib.crc32(f"{int(image_id):012d}".encode()) < LIMIT


def _load(record: tuple[int, int], parts: Sequence[Records[Scene]]) -> Scene:
    part, index = record
    return parts[part][index]


def coco_mini_scenes(root: Path) -> Records[Scene]:
    """The small COCO folder, train and val together, without the held-out photographs."""
    parts = [coco_scenes(root, split) for split in ("train", "val")]
    chosen = [
        (p, i, name)
        for p, part in enumerate(parts)
        for i, name in enumerate(part.names)
        if not is_held_out(name)
    ]
    load = functools.partial(_load, parts=parts)
    return Records("coco_mini", [c[:2] for c in chosen], load, [c[2] for c in chosen], root)
