"""Fetching from a server on the loopback: what fails, and that nothing half-written remains."""

from __future__ import annotations

import errno
import hashlib
import socket
from pathlib import Path

import numpy as np
import pytest
from file_server import FileServer, serve

from simpleclick_lite import disk, fetch
from simpleclick_lite.disk import need_disk, size_text
from simpleclick_lite.errors import FetchError, InputError
from simpleclick_lite.fetch import CHUNK, fetch_file

BODY = np.random.default_rng(0).bytes(1_000_003)
QUICK = {"wait": 0, "timeout": 5, "progress": False}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with serve() as state:
        state.files["/set.bin"] = BODY
        yield state


@pytest.fixture
def url(server: FileServer) -> str:
    return server.url + "/set.bin"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "set.bin"


def md5(data: bytes) -> str:
    return "md5:" + hashlib.md5(data).hexdigest()


def names(target: Path) -> list[str]:
    """What lies where downloads go."""
    return sorted(p.name for p in target.parent.iterdir()) if target.parent.exists() else []


class FullDisk:
    """A file on a disk that has room for so many bytes."""

    def __init__(self, file, room: int):
        self.file, self.room = file, room

    def write(self, data: bytes) -> int:
        written = self.file.write(data[: max(0, self.room)])
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.file.close()


def test_a_file_is_fetched_once(server, url, target):
    fetch_file([url], target, md5(BODY), **QUICK)
    fetch_file([url], target, md5(BODY), **QUICK)
    assert target.read_bytes() == BODY
    assert names(target) == ["set.bin"]
    assert len(server.asked) == 1


def test_a_broken_connection_is_taken_up_where_it_ended(server, url, target):
    server.cuts = [5 * CHUNK, 2 * CHUNK + 7]
    fetch_file([url], target, md5(BODY), **QUICK)
    assert target.read_bytes() == BODY
    assert [part for _, part in server.asked] == [
        None,
        f"bytes={5 * CHUNK}-",
        f"bytes={7 * CHUNK}-",
    ]


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server, url, target):
    server.cuts = [6 * CHUNK, 0, 0]
    with pytest.raises(FetchError, match=r"check the network .* goes on where it stopped"):
        fetch_file([url], target, attempts=2, **QUICK)
    assert names(target) == ["set.bin.part", "set.bin.part.json"]
    server.asked.clear()
    fetch_file([url], target, **QUICK)
    assert target.read_bytes() == BODY
    assert server.asked == [("/set.bin", f"bytes={6 * CHUNK}-")]
    assert names(target) == ["set.bin"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, url, target):
    server.cuts = [400_000, 0]
    with pytest.raises(FetchError):
        fetch_file([url], target, attempts=1, **QUICK)
    server.files["/set.bin"], server.tag = BODY[::-1], '"2"'
    fetch_file([url], target, **QUICK)
    assert target.read_bytes() == BODY[::-1]


@pytest.mark.parametrize("length", [1_200_000, 300_000])
def test_without_tags_another_length_shows_that_a_file_changed(server, url, target, length):
    server.tag, server.cuts = None, [400_000, 0]
    with pytest.raises(FetchError):
        fetch_file([url], target, attempts=1, **QUICK)
    server.files["/set.bin"] = new = (BODY * 2)[:length]
    fetch_file([url], target, **QUICK)
    assert target.read_bytes() == new


def test_a_server_without_ranges_starts_again(server, url, target):
    server.ranges, server.cuts = False, [400_000]
    fetch_file([url], target, md5(BODY), **QUICK)
    assert target.read_bytes() == BODY


def test_a_busy_server_is_asked_again(server, url, target):
    server.busy = 2
    fetch_file([url], target, **QUICK)
    assert len(server.asked) == 3


@pytest.mark.parametrize("known", [md5(b"other"), "md5:123456"])
def test_another_checksum_leaves_nothing(url, target, known):
    with pytest.raises(FetchError, match=f"the checksum is not {known}"):
        fetch_file([url], target, known, **QUICK)
    assert names(target) == []


def test_the_published_beginning_of_a_checksum_is_compared(url, target):
    fetch_file([url], target, md5(BODY)[:10], **QUICK)
    assert target.read_bytes() == BODY


def test_a_file_in_place_with_another_checksum_is_fetched_again(url, target):
    target.parent.mkdir()
    for known in (md5(BODY), md5(BODY)[:10]):
        target.write_bytes(b"half")
        fetch_file([url], target, known, **QUICK)
        assert target.read_bytes() == BODY


def test_a_missing_file_names_address_and_answer(server, target):
    with pytest.raises(FetchError, match=r"/none answers 404"):
        fetch_file([server.url + "/none"], target, **QUICK)
    assert len(server.asked) == 1  # asking again would not help
    assert names(target) == []


def test_the_second_address_serves_where_the_first_fails(server, url, target):
    fetch_file([server.url + "/none", url], target, md5(BODY), **QUICK)
    assert target.read_bytes() == BODY


def test_no_network_is_one_sentence(target):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody listens
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/set.bin"
        with pytest.raises(InputError, match="cannot be reached .*check the network"):
            fetch_file([url], target, attempts=2, **QUICK)
    with pytest.raises(InputError, match="cannot be reached"):
        fetch_file(["http://no-such-host.invalid/a"], target, attempts=1, **QUICK)
    assert names(target) == []


@pytest.mark.parametrize("room", [0, 1, 65_536, 700_001, len(BODY) - 1])
def test_a_full_disk_keeps_what_came_and_the_next_run_goes_on(
    server, url, target, monkeypatch, room
):
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "open_file", lambda path, mode: FullDisk(path.open(mode), room))
        with pytest.raises(FetchError, match="the disk is full"):
            fetch_file([url, url + "?again"], target, md5(BODY), **QUICK)
    assert not target.exists()
    fetch_file([url], target, md5(BODY), **QUICK)
    assert target.read_bytes() == BODY
    assert server.asked[-1][1] == (f"bytes={room}-" if room else None)


def test_too_little_disk_is_said_before_anything_is_written(url, target, monkeypatch):
    monkeypatch.setattr(disk, "free_bytes", lambda path: 1000)
    with pytest.raises(FetchError, match="needs 1 MB of disk"):
        fetch_file([url], target, **QUICK)
    assert names(target) == []
    with pytest.raises(FetchError, match="1 kB are free"):
        need_disk(target, 5000, "this")


def test_sizes_for_people():
    assert [size_text(v) for v in (None, 0, 11_000_000, 1_420_000_000, 2.5e13)] == [
        "unknown size",
        "0 bytes",
        "11 MB",
        "1.42 GB",
        "2.5e+04 GB",
    ]
