"""What all scripts of this folder share: the command line, and fetch - unpack - check - picture.

A script is a `Recipe`. For each archive: download to ROOT/.downloads (resumed after an
interruption, checksum where one is published), unpack into a temporary folder, move what is needed
to its place, write ROOT/.fetched/ARCHIVE.json. Only that last file says that an archive is done.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from simpleclick_lite.data.registry import DATASETS
from simpleclick_lite.disk import need_disk, size_text
from simpleclick_lite.errors import FetchError, InputError
from simpleclick_lite.fetch import fetch_file
from simpleclick_lite.files import write_json
from simpleclick_lite.unpacking import BrokenArchiveError, unpack

DOWNLOADS, DONE = ".downloads", ".fetched"
PROBLEMS = 20  # that are listed


@dataclass(frozen=True)
class Archive:
    """One file of a source.

    Attributes:
        name: of the file.
        urls: its addresses, tried one after another.
        takes: what is moved out of it, as patterns below whatever folder holds them all; nothing
            if the file itself is what is wanted.
        hash: "md5:...", "sha1:...", "sha256:...", whole or its published beginning; None where
            none is known.
        size, unpacked: bytes, roughly; None where not known.
        part: a word for --only.
        into: folder below the root that receives it.
    """

    name: str
    urls: tuple[str, ...]
    takes: tuple[str, ...] = ()
    hash: str | None = None
    size: int | None = None
    unpacked: int | None = None
    part: str = ""
    into: str = "."


@dataclass(frozen=True)
class Recipe:
    """A data set, or a set of weights.

    Attributes:
        name: as in `open_dataset`; "" for weights.
        folder: the usual root.
        source, license, by_hand: told before anything is fetched.
        archives: what is fetched; none where everything is by hand.
        split: the split that is checked and drawn; None: all of them.
        convert: called with the root and the chosen parts after everything is in place.
        verify: called with the root in place of the check; gives lines, raises InputError.
        converted: bytes that `convert` writes, roughly.
    """

    name: str
    folder: str
    source: str
    license: str
    by_hand: str = "nothing"
    archives: tuple[Archive, ...] = ()
    split: str | None = None
    convert: Callable[[Path, Sequence[str]], None] | None = None
    verify: Callable[[Path], list[str]] | None = None
    converted: int = 0


def release(name: str) -> list[str]:
    """Addresses of a file of the f-BRS release; its owner changed the name, GitHub may redirect."""
    page = "fbrs_interactive_segmentation/releases/download/v1.0"
    return [f"https://github.com/{owner}/{page}/{name}" for owner in ("saic-vul", "SamsungLabs")]


def run(recipe: Recipe, argv: Sequence[str] | None = None) -> int:
    """The whole script; returns the exit code: 0 fine, 1 the check found something, 2 a mistake."""
    args = _arguments(recipe, argv)
    print(describe(recipe))
    try:
        archives = [a for a in recipe.archives if not args.only or a.part in (*args.only, "")]
        plan = [(a, state(a, args.root) if not args.again else "to fetch") for a in archives]
        needed = _plan(plan, args.root, recipe, args.archive)
        if args.dry_run:
            return 0
        need_disk(args.root, needed, recipe.name or recipe.folder)
        for archive, what in plan:
            if what not in ("done", "there"):
                fetch(archive, args.root, args.keep_archives)
        for path in args.archive:
            take_by_hand(recipe, path, args.root)
        if recipe.convert is not None:
            recipe.convert(args.root, args.only or parts(recipe))
        if not recipe.archives and not args.root.is_dir():
            raise FetchError(f"{args.root} does not exist; put there what is to be fetched by hand")
        return check(recipe, args.root, args.only)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; run this again to go on", file=sys.stderr)
        return 130


def parts(recipe: Recipe) -> list[str]:
    """The words that --only may hold."""
    return list(dict.fromkeys(a.part for a in recipe.archives if a.part))


def _arguments(recipe: Recipe, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=describe(recipe), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path("datasets" if recipe.name else "weights") / recipe.folder
    parser.add_argument("--root", type=Path, default=default, help=f"default: {default}")
    parser.add_argument("--dry-run", action="store_true", help="tell what would happen")
    parser.set_defaults(only=[], again=False, keep_archives=False, archive=[])
    if recipe.archives:
        if parts(recipe):
            parser.add_argument("--only", nargs="+", choices=parts(recipe), help="not all of it")
        parser.add_argument("--again", action="store_true", help="fetch even what is there")
        parser.add_argument("--keep-archives", action="store_true")
    elif recipe.name:
        parser.add_argument(
            "--archive",
            type=Path,
            nargs="+",
            help="archives that you fetched by hand; they are unpacked into the root",
        )
    return parser.parse_args(argv)


def describe(recipe: Recipe) -> str:
    """Source, size, license, and what must be done by hand."""
    known = [a.size for a in recipe.archives]
    size = "see the source"
    if known:
        size = size_text(sum(s or 0 for s in known)) + " to download"
        if None in known:
            size = "not known to us" if not any(known) else f"at least {size}"
    rows = {
        "source": recipe.source,
        "size": size,
        "license": recipe.license,
        "by hand": recipe.by_hand,
    }
    width = max(map(len, rows)) + 2
    return "\n".join(
        f"{word + ':':{width}}" + text.strip().replace("\n", "\n" + " " * width)
        for word, text in rows.items()
    )


# what there is


def _stamp(archive: Archive, root: Path) -> Path:
    return root / DONE / f"{archive.name}.json"


def state(archive: Archive, root: Path) -> str:
    """ "done" by this script, "there" without it, or "to fetch"."""
    try:
        stamp = json.loads(_stamp(archive, root).read_text(encoding="utf-8"))
        found = all((root / name).exists() for name in stamp["moved"])
        return "done" if stamp["complete"] and found else "to fetch"
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError):
        return "to fetch"
    place = root / archive.into
    wanted = archive.takes or (archive.name,)
    return "there" if all(next(place.glob(p), None) for p in wanted) else "to fetch"


def _plan(
    plan: list[tuple[Archive, str]], root: Path, recipe: Recipe, by_hand: Sequence[Path]
) -> int:
    """Tell what will happen; returns the bytes of disk that it needs at its worst moment."""
    words = {
        "done": "done before, nothing to do",
        "there": "already there, not by this script; left alone (--again fetches it)",
    }
    kept = most = 0
    for archive, what in plan:
        if what in words:
            print(f"  {archive.name}: {words[what]}")
            continue
        download = root / DOWNLOADS / archive.name
        part = download.with_name(download.name + ".part")
        have = next((p.stat().st_size for p in (download, part) if p.is_file()), 0)
        arrived = f", {size_text(have)} of it are here" if have else ""
        print(f"  {archive.name}: to fetch, {size_text(archive.size)}{arrived}")
        for url in archive.urls:
            print(f"    {url}")
        checksum = archive.hash or "none is known to us; the archive's own checks must do"
        print(f"    checksum {checksum}")
        missing = max(0, (archive.size or 0) - have)
        most = max(most, kept + missing + (archive.unpacked or 0))
        kept += archive.unpacked or (0 if archive.takes else missing)
    for path in by_hand:
        if not path.is_file():
            raise FetchError(f"{path} does not exist; check the path")
        print(f"  {path}: to unpack, {size_text(path.stat().st_size)}")
        most += 2 * path.stat().st_size
    needed = max(most, kept + recipe.converted) if plan else most
    print(f"  into {root}; disk needed: about {size_text(needed)}")
    if any(a.size is None and w not in words for a, w in plan):
        print("  (without the files whose size is not known)")
    return needed


# doing it


def fetch(archive: Archive, root: Path, keep: bool = False, **options) -> None:
    """Fetch one archive and put what it holds into its place; options of `Resuming`."""
    if not archive.urls:
        raise FetchError(f"{archive.name} cannot be fetched automatically; see 'by hand' above")
    file = fetch_file(archive.urls, root / DOWNLOADS / archive.name, archive.hash, **options)
    stamp = {"archive": archive.name, "urls": archive.urls, "hash": archive.hash, "moved": []}
    if archive.takes:
        write_json(_stamp(archive, root), stamp | {"complete": False})
        place = root / archive.into
        try:
            moved = unpack_into(file, place, [archive.takes], archive.name)
        except BrokenArchiveError as error:
            file.unlink(missing_ok=True)  # else it would be taken for the archive again
            raise FetchError(f"{error}; it was removed, run this again") from error
    else:
        moved = [root / archive.into / archive.name]
        moved[0].parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, moved[0])
    stamp["moved"] = [path.relative_to(root).as_posix() for path in moved]
    write_json(_stamp(archive, root), stamp | {"complete": True})
    if not keep and archive.takes:
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something else is in it
        (root / DOWNLOADS).rmdir()


def take_by_hand(recipe: Recipe, path: Path, root: Path) -> None:
    """Unpack an archive that the user fetched; everything beside what is needed comes too."""
    unpack_into(path, root, DATASETS[recipe.name].layouts, path.name, all_of_it=True)


def unpack_into(
    file: Path,
    place: Path,
    layouts: Sequence[Sequence[str]],
    name: str,
    all_of_it: bool = False,
) -> list[Path]:
    """Unpack beside the place, then move what a layout's patterns name.

    Returns:
        What was moved, at its new place.

    Raises:
        FetchError: broken or unsafe, or nothing in it has one of the layouts.
    """
    temporary = place / f".unpacking-{name}"
    if temporary.exists():  # of a run that was killed
        shutil.rmtree(temporary)
    print(f"unpacking {file}")
    try:
        unpack(file, temporary)
        base, patterns = find_base(temporary, layouts, name)
        found = base.iterdir() if all_of_it else (f for p in patterns for f in base.glob(p))
        found = sorted(found)
        for path in found:
            _put(path, place / path.relative_to(base))
        return [place / path.relative_to(base) for path in found]
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def find_base(
    folder: Path, layouts: Sequence[Sequence[str]], name: str
) -> tuple[Path, Sequence[str]]:
    """The highest folder in which all patterns of a layout are found, and those patterns."""
    level = [folder]
    while level:
        for base in level:
            for patterns in layouts:
                if all(next(base.glob(pattern), None) for pattern in patterns):
                    return base, patterns
        level = [p for base in level for p in sorted(base.iterdir()) if p.is_dir()]
    ways = " or ".join(", ".join(patterns) for patterns in layouts)
    raise FetchError(f"{name} does not hold {ways}; it is not what was expected")


def _put(source: Path, target: Path) -> None:
    """Move; folders that exist are merged."""
    if source.is_dir() and target.is_dir():
        for path in sorted(source.iterdir()):
            _put(path, target / path.name)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)


def check(recipe: Recipe, root: Path, only: Sequence[str] = ()) -> int:
    """`data check` and a sheet of pictures, or the recipe's own look at its files."""
    if recipe.verify is not None:
        print("\n".join(recipe.verify(root)))
        return 0
    from simpleclick_lite.data.check import check_dataset
    from simpleclick_lite.data.show import show_dataset

    split = recipe.split
    if split and only and split not in only:
        split = only[0]
    report = check_dataset(recipe.name, root, split)
    for problem in report.problems[:PROBLEMS]:
        print(problem)
    if len(report.problems) > PROBLEMS:
        print(f"... and {len(report.problems) - PROBLEMS} more")
    print(report.summary)
    if report.objects:
        sheet = root / f"{recipe.name}_sheet.png"
        show_dataset(recipe.name, root, sheet, split=split)
        print(f"look at {sheet}")
    if recipe.split:
        print(
            f"only {split} was checked; the rest: simpleclick-lite data check {recipe.name} "
            f"--root {root}"
        )
    return 0 if report.ok else 1
