"""Archives that come from elsewhere: unpacked whole or not at all, and never outside their folder.

Refused are absolute names, names that leave the folder, links, devices, and passwords. Permissions
and owners of an archive are not taken over.
"""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from .disk import disk_errors, need_disk, open_file
from .errors import FetchError

BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    RuntimeError,  # a zip with a password
    NotImplementedError,  # a compression that Python does not know
)
CHUNK = 1 << 20  # bytes


class BrokenArchiveError(FetchError):
    """The archive is not what was sent: cut off, damaged, or no archive at all."""


def safe_name(name: str, archive: Path) -> PurePosixPath:
    """A member's name as a path below the folder.

    Raises:
        FetchError: it would lie elsewhere, on this or on another system.
    """
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or re.match(r"[A-Za-z]:", name)
        or re.search(r"[\0-\x1f]", name)
    ):
        raise FetchError(
            f"{archive} holds the name {name!r}, which could leave its folder; it was not unpacked"
        )
    return path


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or (compressed) tar into a folder that does not exist yet.

    Raises:
        BrokenArchiveError: cut off, damaged or no archive; FetchError: unsafe, or the disk is
            full. In every case the folder is removed.
    """
    if folder.exists():
        raise FetchError(f"{folder} exists; remove it first")
    try:
        with disk_errors(folder, "then run this again"):
            folder.mkdir(parents=True)
            _unpack(archive, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _unpack(archive: Path, folder: Path) -> None:
    try:
        if zipfile.is_zipfile(archive):
            members = _zip_members(archive, folder)
        elif tarfile.is_tarfile(archive):
            members = _tar_members(archive)
        else:
            raise BrokenArchiveError(f"{archive} is neither a zip nor a tar, or it is cut off")
        for name, size, source in members:
            target = folder / name
            if source is None:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with open_file(target, "wb") as file:
                if _copy(source, file) != size:
                    raise BrokenArchiveError(f"{archive} is cut off within {name}")
    except BROKEN as error:
        raise BrokenArchiveError(f"{archive} is broken: {error or type(error).__name__}") from error


def _copy(source: IO[bytes], file: IO[bytes]) -> int:
    count = 0
    while chunk := source.read(CHUNK):
        file.write(chunk)
        count += len(chunk)
    return count


Member = tuple[PurePosixPath, int, "IO[bytes] | None"]  # name, bytes, contents; None: a folder


def _zip_members(archive: Path, folder: Path) -> Iterator[Member]:
    """Every member, after all names have been looked at."""
    with zipfile.ZipFile(archive) as file:
        entries = [(safe_name(info.filename, archive), info) for info in file.infolist()]
        for name, info in entries:
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                raise FetchError(f"{archive} holds the link or device {name}; it was not unpacked")
        need_disk(folder, sum(info.file_size for _, info in entries), f"unpacking {archive.name}")
        for name, info in entries:
            if info.is_dir():
                yield name, 0, None
            else:
                with file.open(info) as source:
                    yield name, info.file_size, source


def _tar_members(archive: Path) -> Iterator[Member]:
    """Every member, one after another: a tar has no list of them."""
    with tarfile.open(archive) as file:
        for info in file:
            name = safe_name(info.name, archive)
            if not (info.isreg() or info.isdir()):
                raise FetchError(f"{archive} holds the link or device {name}; it was not unpacked")
            yield name, info.size, None if info.isdir() else file.extractfile(info)
        # Python is content with a tar that lacks its end
        file.fileobj.seek(file.offset)
        if file.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise BrokenArchiveError(f"{archive} is cut off, its end is missing")
        while file.fileobj.read(CHUNK):  # the checksum of a compressed file comes last
            pass
