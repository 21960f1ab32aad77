"""COCO+LVIS: the objects of LVIS, those of COCO that LVIS lacks, COCO's stuff, who is inside whom.

`build_index` reads the released files once, with little memory, and writes an index (`index.py`)
that training opens. Rules:

* a COCO object is left out when an LVIS object of the image has an IoU of 0.8 or more with it;
* crowds, empty masks, and the stuff category "other" (all that is no stuff) are left out;
* an object lies inside another (its parent) when 90% of it does and it is smaller than half of it;
  of several, the smallest is the parent. Stuff is nobody's parent.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..errors import InputError
from .base import Sample, Scene
from .coco import decode_segmentation
from .index import IndexedImage, IndexedObject, encode_mask, open_index, write_index
from .json_stream import stream
from .layout import need_package, places, samples_of
from .records import Records

SAME = 0.8  # IoU from which on two masks are one object
INSIDE = 0.9  # share of an object that lies inside its parent
SMALLER = 0.5  # largest area of a part, relative to its parent
FOLDER = "coco_lvis_index"


@dataclass(frozen=True)
class Source:
    """An annotation file: "lvis", "coco" or "stuff"."""

    what: str
    path: Path


def image_name(entry: dict) -> str:
    """Folder and file of an image entry: LVIS tells both in `coco_url`, COCO the file only."""
    if "file_name" in entry:
        return str(entry["file_name"])
    return "/".join(str(entry["coco_url"]).split("/")[-2:])


class _Spool:
    """Encoded objects of all sources on the disk, to be taken out image by image."""

    def __init__(self, folder: Path):
        self.file = (folder / "spool.bin").open("w+b")
        self.image, self.source = array("q"), array("b")
        self.begin, self.count, self.area, self.box = array("q"), array("i"), array("i"), array("i")
        self.total = 0

    def add(self, image_id: int, source: int, entry: IndexedObject) -> None:
        self.file.write(entry.runs.tobytes())
        self.image.append(image_id)
        self.source.append(source)
        self.begin.append(self.total)
        self.count.append(len(entry.runs))
        self.area.append(entry.area)
        self.box.extend(entry.box)
        self.total += len(entry.runs)

    def by_image(self) -> dict[int, np.ndarray]:
        """Image id -> numbers of its objects, in the order in which they were added."""
        self.file.flush()
        ids = np.frombuffer(self.image, np.int64) if len(self.image) else np.zeros(0, np.int64)
        order = np.argsort(ids, kind="stable")
        values, starts = np.unique(ids[order], return_index=True)
        return dict(zip(values.tolist(), np.split(order, starts[1:]), strict=True))

    def get(self, number: int) -> tuple[str, IndexedObject]:
        self.file.seek(2 * self.begin[number])
        runs = np.frombuffer(self.file.read(2 * self.count[number]), "<u2")
        box = tuple(self.box[4 * number : 4 * number + 4])
        what = ORDER[self.source[number]]
        kind = "stuff" if what == "stuff" else "thing"
        return what, IndexedObject(box, runs, self.area[number], kind)


ORDER = ("lvis", "coco", "stuff")


def overlap(one: IndexedObject, other: IndexedObject) -> int:
    """Pixels that two objects share."""
    x0, y0 = max(one.box[0], other.box[0]), max(one.box[1], other.box[1])
    x1, y1 = min(one.box[2], other.box[2]), min(one.box[3], other.box[3])
    if x0 >= x1 or y0 >= y1:
        return 0
    parts = []
    for entry in (one, other):
        left, top = entry.box[:2]
        parts.append(entry.inside[y0 - top : y1 - top, x0 - left : x1 - left])
    return int(np.count_nonzero(parts[0] & parts[1]))


def combine(objects: list[tuple[str, IndexedObject]]) -> list[IndexedObject]:
    """The objects of one image by the rules at the head of this file, parents set."""
    lvis = [entry for what, entry in objects if what == "lvis"]
    kept = list(lvis)
    for what, entry in objects:
        if what == "coco" and not any(_same(entry, other) for other in lvis):
            kept.append(entry)
    kept += [entry for what, entry in objects if what == "stuff"]
    for entry in kept:
        if entry.kind == "stuff":
            continue
        able = [
            i
            for i, other in enumerate(kept)
            if other.kind == "thing"
            and entry.area < SMALLER * other.area
            and _box_share(entry.box, other.box) >= INSIDE - 0.2
            and overlap(entry, other) >= INSIDE * entry.area
        ]
        entry.parent = min(able, key=lambda i: kept[i].area, default=-1)
    return kept


def _same(one: IndexedObject, other: IndexedObject) -> bool:
    small, large = sorted((one.area, other.area))
    if small < SAME * large:  # then the IoU cannot reach it
        return False
    shared = overlap(one, other)
    return shared >= SAME * (one.area + other.area - shared)


def _box_share(inner: tuple, outer: tuple) -> float:
    """Share of a box that lies in another one."""
    width = min(inner[2], outer[2]) - max(inner[0], outer[0])
    height = min(inner[3], outer[3]) - max(inner[1], outer[1])
    area = (inner[2] - inner[0]) * (inner[3] - inner[1])
    return max(width, 0) * max(height, 0) / area


def build_index(folder: Path, sources: list[Source], progress: bool = True) -> dict:
    """Build the index of some annotation files.

    Args:
        folder: is made; must not exist.
        sources: files of one split, any of LVIS, COCO instances and COCO stuff.

    Returns:
        Numbers: images, objects, and how many annotations were left out, by reason.

    Raises:
        InputError: a broken file (the message names it), or an index that exists already.
    """
    need_package("pycocotools.mask")
    if folder.exists():
        raise InputError(f"the index {folder} exists already; remove it to build it again")
    images: dict[int, tuple[str, int, int]] = {}
    for source in sources:
        for entry in stream(source.path, "images"):
            try:
                size = (int(entry["height"]), int(entry["width"]))
                known = images.setdefault(int(entry["id"]), (image_name(entry), *size))
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"{source.path}: an image entry is broken: {error!r}") from error
            if known[1:] != size:
                raise InputError(f"{source.path}: image {entry['id']} is {size}, elsewhere {known}")
    left_out = {
        "crowds and other": 0,
        "of unknown images": 0,
        "broken or empty": 0,
        "known to LVIS": 0,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".spool-", dir=folder.parent) as temporary:
        spool = _Spool(Path(temporary))
        with spool.file:
            for source in sources:
                _spool_file(source, images, spool, left_out, progress)
            grouped = spool.by_image()
            entries = _combined(images, grouped, spool, left_out, progress)
            content = write_index(folder, entries, [str(s.path.name) for s in sources])
    return content | {"left out": left_out}


def _spool_file(
    source: Source, images: dict, spool: _Spool, left_out: dict, progress: bool
) -> None:
    number = ORDER.index(source.what)
    other = _category_other(source.path) if source.what == "stuff" else set()
    entries = stream(source.path, "annotations")
    for entry in tqdm(entries, f"reading {source.path.name}", disable=not progress, unit=" masks"):
        if entry.get("iscrowd") or entry.get("category_id") in other:
            left_out["crowds and other"] += 1
            continue
        known = images.get(entry.get("image_id"))
        if known is None:
            left_out["of unknown images"] += 1
            continue
        try:
            encoded = encode_mask(decode_segmentation(entry["segmentation"], known[1], known[2]))
        except (InputError, KeyError, TypeError, ValueError):
            encoded = None
        if encoded is None:
            left_out["broken or empty"] += 1
        else:
            spool.add(entry["image_id"], number, encoded)


def _category_other(path: Path) -> set[int]:
    """Ids of the stuff category that stands for everything else."""
    return {entry["id"] for entry in stream(path, "categories") if entry.get("name") == "other"}


def _combined(
    images: dict, grouped: dict, spool: _Spool, left_out: dict, progress: bool
) -> Iterator[IndexedImage]:
    for image_id in tqdm(sorted(images), "combining", disable=not progress, unit=" images"):
        numbers = grouped.get(image_id)
        if numbers is None:
            continue
        found = [spool.get(number) for number in numbers.tolist()]
        objects = combine(found)
        left_out["known to LVIS"] += len(found) - len(objects)
        name, height, width = images[image_id]
        yield IndexedImage(image_id, name, height, width, objects)


def find_sources(root: Path, split: str) -> list[Source]:
    """The released files of a split below `root` and `root/annotations`.

    Raises:
        InputError: neither LVIS nor COCO instances are there.
    """
    patterns = {
        "lvis": f"lvis_v1_{split}*.json",
        "coco": f"instances_{split}*.json",
        "stuff": f"stuff_{split}*.json",
    }
    sources = []
    for what, pattern in patterns.items():
        files = sorted({*root.glob(pattern), *(root / "annotations").glob(pattern)})
        sources += [Source(what, path) for path in files[:1]]
    if not any(source.what != "stuff" for source in sources):
        raise InputError(
            f"{root} has neither lvis_v1_{split}.json nor instances_{split}*.json, "
            "here or in annotations"
        )
    return sources


def scenes(root: Path, split: str | None = None) -> Records[Scene]:
    """COCO+LVIS scenes from the index `coco_lvis_index/SPLIT`.

    Raises:
        InputError: the index was not built.
    """
    split = split or "train"
    for folder in places("coco_lvis", root):
        index = folder / FOLDER / split
        if (index / "index.json").is_file():
            inside = [folder, folder / "images", folder / f"{split}2017", folder / "train2017"]
            return open_index("coco_lvis", index, [*inside, folder / "val2017"])
    raise InputError(
        f"coco_lvis: {root} has no index {FOLDER}/{split}; "
        f"build it with data_scripts/coco_lvis.py --root {root}"
    )


def samples(root: Path, split: str | None = None) -> Records[Sample]:
    """One Sample per thing of the index."""
    return samples_of(scenes(root, split or "val"), lambda scene, i: scene.kinds[i] == "thing")
