"""A compact index of many scenes on the disk, for training sets of millions of masks.

Nothing of it is held in memory: the tables are memory-mapped, so opening takes no time, costs next
to nothing, and loader workers share the same pages. A folder with

* `index.json`: version, number of images and objects, what it was made from;
* `images.npy`: per image id, height, width, where its objects begin, where its file name begins;
* `objects.npy`: per object kind, parent in the image (-1: none), box, area, where its runs begin;
* `names.bin`: file names, UTF-8; `runs.bin`: run lengths, uint16, row by row inside the box,
  starting with zeros; a run above 65,535 is cut by a run of length 0.
"""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import write_json
from .base import Scene
from .layout import check_image_size
from .records import Records

VERSION = 1
KINDS = ("thing", "stuff", "part")
LONGEST = 65_535  # a run that uint16 can hold

IMAGE = np.dtype([("id", "<i8"), ("size", "<i4", 2), ("objects", "<i8"), ("name", "<i8")])
OBJECT = np.dtype(
    [("kind", "u1"), ("parent", "<i4"), ("box", "<i4", 4), ("area", "<i4"), ("runs", "<i8")]
)


@dataclass
class IndexedObject:
    """One object as the index keeps it.

    Attributes:
        box: x0, y0, x1, y1 in pixels, the last two not included.
        runs: uint16 run lengths inside the box.
        area: pixels.
    """

    box: tuple[int, int, int, int]
    runs: np.ndarray
    area: int
    kind: str = "thing"
    parent: int = -1

    @functools.cached_property
    def inside(self) -> np.ndarray:
        """(y1 - y0, x1 - x0) bool, the mask inside its box."""
        return decode_runs(self.runs, self.box)


@dataclass
class IndexedImage:
    """One image and its objects, on the way into an index."""

    id: int
    name: str
    height: int
    width: int
    objects: list[IndexedObject] = field(default_factory=list)


def encode_mask(mask: np.ndarray) -> IndexedObject | None:
    """(H, W) bool -> box and runs; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    flat = mask[y0:y1, x0:x1].ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]]))
    if flat[0]:
        runs = np.concatenate([[0], runs])
    if runs.max() > LONGEST:
        pieces = [[LONGEST, 0] * ((int(r) - 1) // LONGEST) + [_rest(int(r))] for r in runs]
        runs = np.concatenate(pieces)
    area = int(np.count_nonzero(flat))
    return IndexedObject((x0, y0, x1, y1), runs.astype("<u2"), area)


def _rest(run: int) -> int:
    return run - LONGEST * ((run - 1) // LONGEST) if run else 0


def decode_runs(runs: np.ndarray, box: Sequence[int]) -> np.ndarray:
    """Run lengths -> (y1 - y0, x1 - x0) bool.

    Raises:
        InputError: they do not fill the box.
    """
    x0, y0, x1, y1 = (int(v) for v in box)
    values = np.arange(len(runs)) % 2 == 1
    flat = np.repeat(values, runs)
    if flat.size != (x1 - x0) * (y1 - y0):
        raise InputError(f"the runs of an object fill {flat.size} pixels, not its box {list(box)}")
    return flat.reshape(y1 - y0, x1 - x0)


def write_index(folder: Path, images: Iterable[IndexedImage], sources: Sequence[str]) -> dict:
    """Write an index; `folder` appears when it is complete, and not before.

    Args:
        images: in the order in which the index will have them.
        sources: what it is made from, for people.

    Returns:
        The content of its index.json.

    Raises:
        InputError: the folder exists already, or cannot be written.
    """
    if folder.exists():
        raise InputError(f"the index {folder} exists already; remove it to build it again")
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        content = _write_tables(building, images)
        content |= {"version": VERSION, "sources": list(sources)}
        write_json(building / "index.json", content)
        building.chmod(0o755)
        building.replace(folder)
    except OSError as error:
        raise InputError(f"cannot write the index {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return content


def _write_tables(folder: Path, images: Iterable[IndexedImage]) -> dict:
    """Stream the blobs to the disk; the tables, 33 bytes an object, are written at the end."""
    image_rows, object_rows = bytearray(), bytearray()
    objects = runs = names = 0
    with (
        (folder / "runs.bin").open("wb") as run_file,
        (folder / "names.bin").open("wb") as name_file,
    ):
        for image in images:
            row = np.array((image.id, (image.height, image.width), objects, names), IMAGE)
            image_rows += row.tobytes()
            text = image.name.encode("utf-8")
            names += name_file.write(text)
            rows = np.zeros(len(image.objects), OBJECT)
            for i, entry in enumerate(image.objects):
                kind = KINDS.index(entry.kind)
                rows[i] = (kind, entry.parent, entry.box, entry.area, runs)
                run_file.write(entry.runs.astype("<u2", copy=False))
                runs += len(entry.runs)
            object_rows += rows.tobytes()
            objects += len(image.objects)
    # one row more, so that row i + 1 always says where row i ends
    image_rows += np.array((-1, (0, 0), objects, names), IMAGE).tobytes()
    object_rows += np.array((0, -1, (0, 0, 0, 0), 0, runs), OBJECT).tobytes()
    image_table = np.frombuffer(image_rows, IMAGE)
    np.save(folder / "images.npy", image_table)
    np.save(folder / "objects.npy", np.frombuffer(object_rows, OBJECT))
    return {"images": len(image_table) - 1, "objects": objects, "runs": runs}


class Index:
    """A memory-mapped index; sending it to another process sends its path alone."""

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            content = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            if content["version"] != VERSION:
                raise InputError(f"the index {folder} has version {content['version']}; rebuild it")
            self.images = np.load(folder / "images.npy", mmap_mode="r")
            self.objects = np.load(folder / "objects.npy", mmap_mode="r")
            self.names = np.memmap(folder / "names.bin", np.uint8, "r")
            self.runs = np.memmap(folder / "runs.bin", "<u2", "r")
            sizes = (len(self.images) - 1, len(self.objects) - 1, len(self.runs))
            if sizes != (content["images"], content["objects"], content["runs"]):
                raise ValueError("its files do not fit together")
        except InputError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"the index {folder} is incomplete ({error}); rebuild it") from error

    def __reduce__(self):
        return Index, (self.folder,)

    def __len__(self) -> int:
        return len(self.images) - 1

    def name(self, index: int) -> str:
        """File name of an image, as it was released."""
        first, last = self.images["name"][index], self.images["name"][index + 1]
        return self.names[first:last].tobytes().decode("utf-8")


class _Names(Sequence):
    """The stems of all images, read when asked for."""

    def __init__(self, index: Index):
        self.index = index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number):
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        return Path(self.index.name(range(len(self))[number])).stem


class _IndexedMasks:
    """The masks of one image of an index."""

    def __init__(self, index: Index, number: int):
        self.index = index
        row = index.images[number]
        self.size = tuple(int(v) for v in row["size"])
        self.first = int(row["objects"])
        self.rows = index.objects[self.first : int(index.images["objects"][number + 1])]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> np.ndarray:
        row = self.rows[number]
        end = int(self.index.objects["runs"][self.first + number + 1])
        x0, y0, x1, y1 = (int(v) for v in row["box"])
        mask = np.zeros(self.size, bool)
        mask[y0:y1, x0:x1] = decode_runs(self.index.runs[int(row["runs"]) : end], row["box"])
        return mask


def _scene(number: int, index: Index, folders: Sequence[Path]) -> Scene:
    masks = _IndexedMasks(index, number)
    name = index.name(number)
    ways = [folder / way for folder in folders for way in (name, Path(name).name)]
    path = next((way for way in ways if way.is_file()), ways[0])
    image = functools.partial(check_image_size, path, masks.size, index.folder)
    kinds = [KINDS[k] for k in masks.rows["kind"]]
    return Scene(Path(name).stem, image, masks, kinds, masks.rows["parent"].tolist())


def open_index(name: str, folder: Path, folders: Sequence[Path]) -> Records[Scene]:
    """The scenes of an index.

    Args:
        name: the data set's name.
        folder: the index.
        folders: where its images may lie, in order.

    Raises:
        InputError: no index there, an incomplete one, or one of another version.
    """
    index = Index(folder)
    load = functools.partial(_scene, index=index, folders=list(folders))
    return Records(name, range(len(index)), load, _Names(index), folder)
