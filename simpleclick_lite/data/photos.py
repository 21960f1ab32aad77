"""`photos`: real photographs that are already on the disk, with objects outlined for this project.

The photographs lie inside the packages scikit-image and scikit-learn; nothing is downloaded. The
outlines lie in the folder `photos` beside this file, one JSON file per photograph: polygons drawn
by hand at full size, many of them snapped to the nearest edge afterwards. How is said in
`tools/photo_outlines.py`, which re-creates them. Never by grabCut, one of the baselines that the
set measures.

>>> from simpleclick_lite.data.photos import open_photos
>>> ds = open_photos()
>>> ds[0].name
'astronaut/helmet'

The part of a name before the slash is the photograph, and scores are means over photographs: some
photographs have many objects, which would otherwise count for most of the result.
"""

from __future__ import annotations

import functools
import importlib
import json
from pathlib import Path

import cv2
import numpy as np

from ..errors import InputError
from .base import Sample, Scene
from .records import Records

FOLDER = Path(__file__).with_suffix("")

# name -> the package whose installation holds the photograph, in the order of the data set
SOURCES = {
    "astronaut": "scikit-image",
    "camera": "scikit-image",
    "chelsea": "scikit-image",
    "coffee": "scikit-image",
    "coins": "scikit-image",
    "rocket": "scikit-image",
    "stereo_motorcycle": "scikit-image",
    "retina": "scikit-image",
    "cell": "scikit-image",
    "immunohistochemistry": "scikit-image",
    "flower": "scikit-learn",
    "china": "scikit-learn",
}

Rings = list[list[list[float]]]


def photo_names() -> tuple[str, ...]:
    """The photographs that have objects, in the order of the data set."""
    return tuple(name for name in SOURCES if (FOLDER / f"{name}.json").is_file())


def photo(name: str) -> np.ndarray:
    """One photograph, read from the installed package; gray ones have three equal channels.

    Returns:
        (H, W, 3) uint8, RGB, a copy of the caller's own.

    Raises:
        InputError: no such photograph, or the package that holds it is not installed.
    """
    return _decoded(name).copy()


@functools.lru_cache(maxsize=2)
def _decoded(name: str) -> np.ndarray:
    if name not in SOURCES:
        raise InputError(f"there is no photograph {name!r}; choose one of {', '.join(SOURCES)}")
    if SOURCES[name] == "scikit-image":
        image = getattr(_package("skimage.data", name), name)()
    else:
        image = _package("sklearn.datasets", name).load_sample_image(f"{name}.jpg")
    if isinstance(image, tuple):  # the motorcycle: left, right, disparity
        image = image[0]
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, 2)
    return np.ascontiguousarray(image)


def _package(module: str, name: str):
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = SOURCES[name]
        raise InputError(
            f"the photograph {name!r} lies in the package {package}, which is not installed; "
            f"run: pip install {package}"
        ) from error


@functools.cache
def _entry(name: str) -> dict:
    if name not in photo_names():
        raise InputError(f"there are no outlines of {name!r}; choose one of {photo_names()}")
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def object_names() -> tuple[str, ...]:
    """'photograph/object' for every object, in the order of the data set; decodes no image."""
    return tuple(f"{n}/{item['name']}" for n in photo_names() for item in _entry(n)["objects"])


def photo_of(name: str) -> str:
    """The photograph that an object's name begins with; scores are means over photographs."""
    return name.split("/", 1)[0]


def outline_mask(rings: Rings, size: tuple[int, int]) -> np.ndarray:
    """Fill an outline: a pixel belongs to it if its center lies inside an odd number of rings.

    Args:
        rings: closed polygons of (x, y); (0, 0) is the center of the top-left pixel. A ring inside
            another one is a hole; a ring may reach beyond the image.
        size: (H, W).

    Returns:
        (H, W) bool.
    """
    height, width = size
    turns = np.zeros((height, width + 1), np.int32)  # crossings of the outline left of a pixel
    for ring in rings:
        start = np.asarray(ring, float)
        for (x0, y0), (x1, y1) in zip(start, np.roll(start, -1, 0), strict=True):
            low, high = sorted((y0, y1))
            rows = np.arange(max(0, int(np.ceil(low))), min(height, int(np.ceil(high))))
            if len(rows):
                x = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
                turns[rows, np.clip(np.ceil(x), 0, width).astype(int)] += 1
    return np.cumsum(turns[:, :width], 1) % 2 == 1


def _mask(objects: list[dict], item: dict, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the object's outline less the objects in front of it, listed as `minus`."""
    mask = outline_mask(item["rings"], size)
    for front in item.get("minus", []):
        mask &= ~outline_mask(_find(objects, front)["rings"], size)
        # where two outlines run side by side they leave crumbs of a few pixels between them
        _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        mask &= stats[parts, cv2.CC_STAT_AREA] >= 20
    return mask


def _find(objects: list[dict], name: str) -> dict:
    for item in objects:
        if item["name"] == name:
            return item
    raise InputError(f"there is no object {name!r}; choose one of {[o['name'] for o in objects]}")


def load_object(name: str) -> Sample:
    """One object by its full name, such as 'coffee/cup'.

    Raises:
        InputError: no such photograph or object, or the photograph's package is not installed.
    """
    source, _, part = name.partition("/")
    objects = _entry(source)["objects"]
    item = _find(objects, part)
    image = photo(source)
    return Sample(image, _mask(objects, item, image.shape[:2]).astype(np.int8), name)


class _Outlines:
    """The masks of one photograph, filled one at a time."""

    def __init__(self, name: str):
        self.items = _entry(name)["objects"]
        self.size = _decoded(name).shape[:2]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> np.ndarray:
        return _mask(self.items, self.items[index], self.size)


def load_scene(name: str) -> Scene:
    """All objects of one photograph; `parents` says which lie on another (a coffee in its cup).

    Raises:
        InputError: no such photograph; a missing package is reported when the image is decoded.
    """
    items = _entry(name)["objects"]
    order = [item["name"] for item in items]
    return Scene(
        name,
        functools.partial(photo, name),
        functools.partial(_Outlines, name),
        kinds=[item.get("kind", "thing") for item in items],
        parents=[order.index(i["parent"]) if i.get("parent") else -1 for i in items],
    )


def samples() -> Records[Sample]:
    """The benchmark: one `Sample` per object, always in the same order."""
    return Records("photos", object_names(), load_object)


def scenes() -> Records[Scene]:
    """One `Scene` per photograph, in the order of `photo_names`."""
    return Records("photos", photo_names(), load_scene)


open_photos = samples


def redraw_ious() -> dict[str, float]:
    """How far two drawings of the same object agree: IoU by full name.

    Some objects were drawn a second time from fresh crops at another scale, by the same hand and
    without the edge snapping. This is repeatability, not the agreement of two annotators; still, a
    difference in scores that is smaller than it means nothing.
    """
    found = {}
    for name in photo_names():
        entry = _entry(name)
        for again in entry.get("redraws", []):
            size, objects = _decoded(name).shape[:2], entry["objects"]
            first = _mask(objects, _find(objects, again["name"]), size)
            second = _mask(objects, again, size)
            both, either = np.sum(first & second), np.sum(first | second)
            found[f"{name}/{again['name']}"] = float(both / either)
    return found
