"""Archives from elsewhere: whole or not at all, and never outside their folder."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from test_fetch import FullDisk

from simpleclick_lite import unpacking
from simpleclick_lite.errors import FetchError
from simpleclick_lite.unpacking import BrokenArchiveError, unpack

CONTENT = {"set/img/a.jpg": b"a" * 3000, "set/gt/a.png": bytes(range(256)) * 40, "set/é.txt": b"x"}
UNSAFE = [
    *("../out.txt", "set/../../out.txt", "/out.txt", "//host/out.txt", "C:/out.txt", "c:out.txt"),
    *("..\\out.txt", "set\\out.txt", "set/\x01.txt"),
]


def zip_of(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in content.items():
            file.writestr(name, data)
    return path


def tar_of(path: Path, content: dict[str, bytes]) -> Path:
    mode = {".tgz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as file:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


MAKERS = {
    "a.zip": zip_of,
    "a.tar": tar_of,
    "a.tgz": tar_of,
    "a.tar.xz": tar_of,
    "a.tar.bz2": tar_of,
}


def below(folder: Path) -> dict[str, bytes]:
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.mark.parametrize("name", MAKERS)
def test_everything_is_unpacked(tmp_path: Path, name: str):
    unpack(MAKERS[name](tmp_path / name, CONTENT), tmp_path / "out")
    assert below(tmp_path / "out") == CONTENT


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
@pytest.mark.parametrize("unsafe", UNSAFE)
def test_names_that_could_leave_the_folder_are_refused(tmp_path: Path, name: str, unsafe: str):
    place = tmp_path / "deep" / "er"
    place.mkdir(parents=True)
    archive = MAKERS[name](place / name, {"first.txt": b"1", unsafe: b"2"})
    with pytest.raises(FetchError, match="could leave its folder"):
        unpack(archive, place / "out")
    assert list(below(tmp_path)) == [f"deep/er/{name}"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc"
        file.addfile(info)
        through = tarfile.TarInfo("link/out.txt")
        through.size = 1
        file.addfile(through, io.BytesIO(b"x"))
    with pytest.raises(FetchError, match="link or device"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert list(below(tmp_path)) == ["a.tar"]


def test_links_in_a_zip_are_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc")
    with pytest.raises(FetchError, match="link or device"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert list(below(tmp_path)) == ["a.zip"]


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_cut_off_archive_leaves_nothing(tmp_path: Path, name: str, share: float):
    archive = MAKERS[name](tmp_path / name, CONTENT | {"end.bin": bytes(20_000)})
    data = archive.read_bytes()
    if name == "a.tar":  # its end is padded, and a cut between two members is the hardest to see
        data = data[: 512 * round(len(data) * share / 512)]
    archive.write_bytes(data[: round(len(data) * (share or 0.02))] if name != "a.tar" else data)
    with pytest.raises(BrokenArchiveError):
        unpack(archive, tmp_path / "out")
    assert list(below(tmp_path)) == [name]


def test_a_tar_that_ends_between_two_members_is_cut_off(tmp_path: Path):
    archive = tar_of(tmp_path / "a.tar", {"a": b"1" * 512, "b": b"2" * 512})
    archive.write_bytes(archive.read_bytes()[:1024])
    with pytest.raises(BrokenArchiveError, match="its end is missing"):
        unpack(archive, tmp_path / "out")
    assert list(below(tmp_path)) == ["a.tar"]


@pytest.mark.parametrize("name", ["a.zip", "a.tgz"])
def test_a_changed_byte_is_noticed(tmp_path: Path, name: str):
    archive = MAKERS[name](tmp_path / name, {"a.bin": bytes(range(256)) * 100})
    data = bytearray(archive.read_bytes())
    data[len(data) // 3] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(BrokenArchiveError):
        unpack(archive, tmp_path / "out")
    assert list(below(tmp_path)) == [name]


def test_a_web_page_is_no_archive(tmp_path: Path):
    (tmp_path / "a.zip").write_text("<html>please log in</html>", encoding="utf-8")
    with pytest.raises(BrokenArchiveError, match="neither a zip nor a tar"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("room", [0, 3000, 5000])
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch, room: int):
    archive = zip_of(tmp_path / "a.zip", CONTENT)
    left = [room]

    def open_full(path: Path, mode: str):
        file = FullDisk(path.open(mode), left[0])
        left[0] = max(0, left[0] - 3000)
        return file

    monkeypatch.setattr(unpacking, "open_file", open_full)
    with pytest.raises(FetchError, match="the disk is full"):
        unpack(archive, tmp_path / "out")
    assert list(below(tmp_path)) == ["a.zip"]


def test_a_zip_that_would_not_fit_is_refused_before(tmp_path: Path, monkeypatch):
    archive = zip_of(tmp_path / "a.zip", {"zeros": bytes(1_000_000)})
    monkeypatch.setattr("simpleclick_lite.disk.free_bytes", lambda path: 500_000)
    with pytest.raises(FetchError, match="needs 1 MB of disk"):
        unpack(archive, tmp_path / "out")
    assert list(below(tmp_path)) == ["a.zip"]
