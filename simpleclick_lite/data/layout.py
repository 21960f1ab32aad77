"""What all loaders share: finding a data set's folders, pairing files by stem, checking sizes."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ..errors import InputError
from ..files import read_image
from .base import Sample, Scene
from .records import Records
from .registry import DATASETS

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MASKS = (".png", ".bmp", ".tif", ".tiff")  # lossless, so no .jpg
MANY = 300  # records; a scan of more shows its progress


def locate(name: str, root: Path) -> Path:
    """The folder that holds a data set: `root` itself, or one of its usual names below it.

    Raises:
        InputError: nothing of the kind under `root`; the message says what is missing.
    """
    info = DATASETS[name]
    for folder in places(name, root):
        if info.layout_in(folder) is not None:
            return folder
    ways = " or ".join(", ".join(layout) for layout in info.layouts)
    raise InputError(f"{name}: {root} is not its folder, that would have {ways}")


def places(name: str, root: Path) -> list[Path]:
    """Where a data set may lie: `root`, and what exists of the usual folders below it."""
    below = (root / folder for folder in DATASETS[name].folders)
    return [root, *(folder for folder in below if folder.is_dir())]


def files_by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Stem -> file, sorted by stem; hidden files are left out.

    Of two files with one stem the one whose suffix stands first in `suffixes` counts.
    """
    rank = {suffix: i for i, suffix in enumerate(suffixes)}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        suffix = path.suffix.lower()
        if suffix not in rank or path.name.startswith(".") or not path.is_file():
            continue
        other = found.get(path.stem)
        if other is None or rank[suffix] < rank[other.suffix.lower()]:
            found[path.stem] = path
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Pair:
    """A photograph and the file that annotates it; the missing one of an incomplete pair is None.

    Attributes:
        folder: where the missing file was looked for.
    """

    name: str
    image: Path | None
    mask: Path | None
    folder: Path

    def __str__(self) -> str:
        return self.name

    def both(self) -> tuple[Path, Path]:
        """Image and mask.

        Raises:
            InputError: one of them is missing.
        """
        if self.image is None:
            raise InputError(f"{self.mask} has no image of the same name in {self.folder}")
        if self.mask is None:
            raise InputError(f"{self.image} has no mask of the same name in {self.folder}")
        return self.image, self.mask


def pair_folders(
    images: Path,
    masks: Path,
    image_suffixes: Sequence[str] = PICTURES,
    mask_suffixes: Sequence[str] = MASKS,
    image_of: Callable[[str], str] | None = None,
) -> list[Pair]:
    """Pair two folders by stem, sorted; a file without its partner makes an incomplete pair.

    Args:
        image_of: gives the stem of a mask's photograph where the two differ.
    """
    pictures = files_by_stem(images, image_suffixes)
    labels = files_by_stem(masks, mask_suffixes)
    pairs, used = [], set()
    for stem, path in labels.items():
        key = stem if stem in pictures or image_of is None else image_of(stem)
        used.add(key)
        pairs.append(Pair(stem, pictures.get(key), path, images))
    pairs += [Pair(s, path, None, masks) for s, path in pictures.items() if s not in used]
    return sorted(pairs, key=lambda pair: pair.name)


def check_size(image: np.ndarray, image_path: Path, mask: np.ndarray, mask_path: Path) -> None:
    """Refuse a (H, W) mask of another size than its (H, W, 3) image; both files are named."""
    if image.shape[:2] != mask.shape[-2:]:
        (h, w), (mh, mw) = image.shape[:2], mask.shape[-2:]
        raise InputError(
            f"the mask {mask_path} is {mw} x {mh} pixels and its image {image_path} is {w} x {h}; "
            "they must be equal"
        )


def check_8bit(mask: np.ndarray, path: Path) -> None:
    """Refuse a (H, W) mask of 16 bits where a data set has 8."""
    if mask.dtype not in (np.uint8, bool):
        raise InputError(f"mask {path} is {mask.dtype}, this data set has masks of 8 bits")


def check_image_size(path: Path, size: tuple[int, int], owner: Path) -> np.ndarray:
    """Read an image that `owner` says to be `size` = (height, width).

    Raises:
        InputError: it is not, or the image cannot be read.
    """
    image = read_image(path)
    if image.shape[:2] != size:
        raise InputError(
            f"image {path} is {image.shape[1]} x {image.shape[0]} pixels, "
            f"{owner} says {size[1]} x {size[0]}"
        )
    return image


def need_package(module: str, extra: str = "data") -> object:
    """Import an optional package.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"this data set needs the package {module.split('.')[0]}; "
            f'install it with: pip install "simpleclick-lite[{extra}]"'
        ) from error


def not_empty(dataset: Records, what: str = "images") -> Records:
    """The data set itself.

    Raises:
        InputError: it has no record at all.
    """
    if not len(dataset):
        raise InputError(f"{dataset.name}: no {what} in {dataset.origin}")
    return dataset


class _ObjectOf:
    """Loads object j of scene i; remembers the last scene, whose objects come one after another."""

    def __init__(self, scenes: Records[Scene]):
        self.scenes = scenes
        self.last: tuple[int, Scene] | None = None

    def __call__(self, record: tuple[int, int | None]) -> Sample:
        index, number = record
        if self.last is None or self.last[0] != index:
            self.last = (index, self.scenes[index])
        scene = self.last[1]
        if number is None:  # the scan could not read it, and now says so again
            len(scene)
            raise InputError(f"{scene.name} cannot be read")
        return scene.sample(number)

    def __getstate__(self) -> dict:
        return {"scenes": self.scenes, "last": None}


def samples_of(
    scenes: Records[Scene], keep: Callable[[Scene, int], bool] | None = None
) -> Records[Sample]:
    """Every object of every scene as a Sample, in order.

    The scenes are looked through once to learn how many objects they have. One that cannot be read
    becomes one record that raises when it is asked for.

    Args:
        keep: says whether object j of a scene belongs to the benchmark.
    """
    records: list[tuple[int, int | None]] = []
    names = []
    quiet = len(scenes) < MANY or None  # None: tqdm shows itself on a terminal only
    for index in tqdm(range(len(scenes)), f"looking through {scenes.name}", disable=quiet):
        try:
            scene = scenes[index]
            numbers = [j for j in range(len(scene)) if keep is None or keep(scene, j)]
            labels = [scene.object_name(j) for j in numbers]
        except InputError:
            numbers, labels = [None], [scenes.names[index]]
        records += [(index, j) for j in numbers]
        names += labels
    dataset = Records(scenes.name, records, _ObjectOf(scenes), names, scenes.origin)
    return not_empty(dataset, "objects")


def components(mask: np.ndarray) -> np.ndarray:
    """Number the 4-connected components of (H, W) bool from 1, in raster order: (H, W) int32."""
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]


def reader(path: Path) -> Callable[[], np.ndarray]:
    """A function without arguments that reads an image, as `Scene` wants it."""
    return functools.partial(read_image, path)
