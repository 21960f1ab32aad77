"""The images that a click session works on, from whatever the user has: files, arrays, data sets.

Explained in notebooks/13_click_tool.ipynb. Nothing is decoded before it is shown.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .data.base import Sample, Scene
from .data.records import Records
from .errors import InputError
from .files import read_image, to_rgb8

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


class Picture:
    """One image by name, decoded on demand.

    Attributes:
        name: what the image list shows; file names of masks begin with it.
        path: where it lies, None for an array.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], np.ndarray],
        truths: Callable[[], list[np.ndarray]] | None = None,
        path: Path | None = None,
    ):
        self.name = name
        self.path = path
        self._load = load
        self._truths = truths

    def load(self) -> np.ndarray:
        """The image, (H, W, 3) uint8 RGB.

        Raises:
            InputError: the file is missing or broken, or the array is no image.
        """
        return self._load()

    def truths(self) -> list[np.ndarray]:
        """Known objects, each (H, W) int8 with 1 object, 0 background, -1 ignored; often none."""
        return [] if self._truths is None else self._truths()


def fingerprint(image: np.ndarray) -> str:
    """Short text that tells two images apart: a hash of an image's shape and pixels."""
    code = hashlib.sha1(str(image.shape).encode(), usedforsecurity=False)
    code.update(np.ascontiguousarray(image))
    return code.hexdigest()[:16]


def open_pictures(images: Any) -> list[Picture]:
    """Whatever holds images as a list of pictures.

    Args:
        images: a path of an image or of a folder; an array as `to_rgb8` takes; a `Sample`; a
            `Scene`; a data set of those; a list of any of these; a mapping name -> one of these.

    Raises:
        InputError: nothing in it, a path that does not exist, or something that is no image.
    """
    pictures = list(_walk(images, None))
    if not pictures:
        raise InputError("there is no image to click on; give an image, its path, or a folder")
    return pictures


def unique_names(pictures: list[Picture]) -> None:
    """Rename pictures so that no two have the same name: a folder in front, or a number behind."""
    seen: set[str] = set()
    for picture in pictures:
        name = picture.name
        if name in seen and picture.path is not None:
            name = f"{picture.path.parent.name}/{picture.name}"
        numbered = (name if n == 1 else f"{name}-{n}" for n in itertools.count(1))
        picture.name = next(n for n in numbered if n not in seen)
        seen.add(picture.name)


def _walk(item: Any, name: str | None) -> Iterator[Picture]:
    if isinstance(item, Picture):
        yield item
    elif isinstance(item, str | Path):
        yield from _from_path(Path(item), name)
    elif isinstance(item, Sample):
        yield Picture(name or item.name, lambda: item.image, lambda: [item.mask])
    elif isinstance(item, Scene):
        yield _from_scene(item, name)
    elif isinstance(item, Records):
        for index, own in enumerate(item.names):
            yield _from_record(item, index, own)
    elif isinstance(item, Mapping):
        for own, value in item.items():
            yield from _walk(value, str(own))
    elif isinstance(item, np.ndarray) or hasattr(item, "__array_interface__"):
        array = to_rgb8(np.asarray(item))
        yield Picture(name or "image", lambda: array)
    elif isinstance(item, list | tuple) or hasattr(item, "__getitem__"):
        for value in item:
            yield from _walk(value, name)
    else:
        kind = type(item).__name__
        raise InputError(f"an image is a path, an array or a data set's item, not a {kind}")


def _from_path(path: Path, name: str | None) -> Iterator[Picture]:
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        if not files:
            raise InputError(f"the folder {path} holds no image ({', '.join(SUFFIXES)})")
        for file in files:
            yield Picture(file.stem, lambda file=file: read_image(file), path=file)
    elif path.exists():
        yield Picture(name or path.stem, lambda: read_image(path), path=path)
    else:
        raise InputError(f"image {path} does not exist; check the path")


def _from_scene(scene: Scene, name: str | None) -> Picture:
    return Picture(
        name or scene.name,
        lambda: scene.image,
        lambda: [scene.target(i) for i in range(len(scene))],
    )


def _from_record(records: Records, index: int, name: str) -> Picture:
    def truths() -> list[np.ndarray]:
        item = records[index]
        if isinstance(item, Scene):
            return [item.target(i) for i in range(len(item))]
        return [item.mask]

    return Picture(str(name), lambda: records[index].image, truths)
