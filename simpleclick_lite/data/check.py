"""`simpleclick-lite data check` and `data list`: is this copy complete, and what is where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from ..errors import InputError
from . import dataset_info, open_dataset
from .base import Sample
from .layout import MANY, Pair
from .records import Records
from .registry import DATASETS, DataSetInfo


@dataclass
class Report:
    """What a check found.

    Attributes:
        name: the data set.
        origin: the folder that was read, or None for an embedded set.
        problems: one sentence each, with the file in it; empty when the copy is sound.
        images, objects: how many could be read, over all splits.
    """

    name: str
    origin: object = None
    problems: list[str] = field(default_factory=list)
    images: int = 0
    objects: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def summary(self) -> str:
        """One line."""
        where = f" in {self.origin}" if self.origin else ""
        count = len(self.problems)
        trouble = f"{count} problem{'' if count == 1 else 's'}" if count else "no problem"
        return f"{self.name}{where}: {self.objects} objects on {self.images} images, {trouble}"


def check_dataset(
    name: str, root: str | Path | None = None, split: str | None = None, **options
) -> Report:
    """Read every image and every mask of a data set and list what is wrong with it.

    Missing partners, unreadable files, sizes that differ, empty masks, annotations without an
    image, and numbers that differ from those of the complete set.

    Args:
        name, root, options: as in `open_dataset`.
        split: one split; by default all that are there.

    Raises:
        InputError: unknown name or split; what is wrong with the folder is in the report instead.
    """
    info = dataset_info(name)
    report = Report(name, origin=root)
    if split is not None and split not in info.splits:
        raise InputError(
            f"{name} has no split {split!r}; it has {', '.join(info.splits) or 'none'}"
        )
    splits = info.splits if split is None and info.needs_root else (split,)
    if "samples" not in info.offers:
        raise InputError(f"{name} is made of another data set's files; check that one")
    splits = ("all",) if "all" in splits else splits
    opened = 0
    absent = []
    for part in splits or (None,):
        try:
            samples = open_dataset(name, root, part, **options)
        except InputError as error:
            absent.append(str(error))
            continue
        opened += 1
        _check_part(samples, part, info, report)
    if not opened or split is not None:
        report.problems += absent[:1]
    elif absent:  # for example only the validation half was downloaded
        report.problems += [f"a split is not there: {reason}" for reason in absent]
    return report


def _check_part(
    samples: Records[Sample], split: str | None, info: DataSetInfo, report: Report
) -> None:
    report.origin = samples.origin
    quiet = len(samples) < MANY or None
    failed = set()
    for index in tqdm(range(len(samples)), f"checking {samples.name}", disable=quiet):
        try:
            sample = samples[index]
        except InputError as error:
            if str(error) not in failed:
                report.problems.append(str(error))
            failed.add(str(error))
            continue
        report.objects += 1
        if not (sample.mask == 1).any():
            report.problems.append(f"{samples.name}: the mask of {sample.name} is empty")
    report.images += len(set(_images(samples)))
    report.problems += _unused(samples)
    report.problems += _counts(samples, split, info)


def _images(samples: Records[Sample]) -> Iterator[object]:
    """For each record something that is the same for objects of one photograph."""
    for record in samples.records:
        if isinstance(record, Pair):
            yield record.image if record.image is not None else record.name
        elif isinstance(record, tuple):
            yield record[0]
        else:
            yield record.partition("/")[0] if isinstance(record, str) else record


def _unused(samples: Records[Sample]) -> list[str]:
    """Scenes without an object, and annotations without an image."""
    scenes = getattr(samples.load, "scenes", None)
    if scenes is None:
        return []
    used = {record[0] for record in samples.records}
    problems = [
        f"{samples.name}: {scenes.names[i]} marks no object"
        for i in range(len(scenes))
        if i not in used
    ]
    lost = getattr(scenes, "lost", [])
    if lost:
        first = ", ".join(str(v) for v in lost[:3])
        problems.append(
            f"{scenes.source}: {len(lost)} annotations belong to images the file does not list "
            f"(ids {first} ...)"
        )
    return problems


def _counts(samples: Records[Sample], split: str | None, info: DataSetInfo) -> list[str]:
    """Differences from the published numbers of images and objects."""
    expected = info.counts.get(split or (info.splits[0] if info.splits else ""))
    if expected is None:
        return []
    found = (len(set(_images(samples))), len(samples))
    words = ("images", "objects")
    return [
        f"{samples.name}{f' {split}' if split else ''} in {samples.origin} has {have} {word}, "
        f"the complete set has {want}"
        for have, want, word in zip(found, expected, words, strict=True)
        if want is not None and have != want
    ]


@dataclass(frozen=True)
class Listing:
    """One line of `data list`: where a data set lies, None if it was not found."""

    name: str
    title: str
    where: str | None


def list_datasets(root: str | Path | None = None) -> list[Listing]:
    """What is where: every data set, and the folder under `root` that looks like it.

    Raises:
        InputError: a root that does not exist.
    """
    if root is not None and not Path(root).is_dir():
        raise InputError(f"the root {root} does not exist or is no folder")
    rows = []
    for name, info in DATASETS.items():
        where = None if info.needs_root else "inside the package"
        if info.needs_root and root is not None:
            where = _find(info, Path(root))
        rows.append(Listing(name, info.title, where))
    return rows


def _find(info: DataSetInfo, root: Path) -> str | None:
    """The usual folder of a data set below `root`, or `root` where it has that name itself."""
    below = [root / folder for folder in info.folders]
    if root.name in info.folders:
        below.append(root)
    found = (folder for folder in below if folder.is_dir() and info.layout_in(folder))
    return next((str(folder) for folder in found), None)


def format_listing(rows: list[Listing]) -> str:
    """The listing as lines of text."""
    width = max(len(row.name) for row in rows)
    return "\n".join(f"{row.name:{width}}  {row.where or '-'}  ({row.title})" for row in rows)
