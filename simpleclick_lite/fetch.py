"""Downloads that go on where they stopped, with checksums.

pooch compares checksums and moves a finished file to its place; it cannot resume, so `Resuming` is
plugged into it: what has arrived stays in NAME.part, beside NAME.part.json, which says of which
version of which address it is. NAME itself only ever exists complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from .disk import DiskError, disk_errors, need_disk, open_file
from .errors import FetchError, InputError
from .files import write_json

CHUNK = 1 << 16  # bytes; a broken connection loses less than this
TRY_AGAIN = (408, 429, 500, 502, 503, 504)  # answers of a server that is only busy


class _InterruptedError(Exception):
    """The connection ended early; another attempt goes on from there."""


class Resuming:
    """A downloader for pooch that goes on where the last one stopped.

    A part is continued only if the server says that its file is still the same (If-Range with the
    ETag or the date), or at least has the same length; else it starts again.

    Args:
        part: where what has arrived is kept.
        attempts: how many in a row may bring nothing before it gives up.
        wait: seconds before the second attempt, doubled for each further one.
        timeout: seconds without an answer.
    """

    def __init__(
        self,
        part: Path,
        attempts: int = 4,
        wait: float = 1.0,
        timeout: float = 30.0,
        progress: bool = True,
    ):
        self.part = part
        self.note = part.with_name(part.name + ".json")
        self.attempts, self.wait, self.timeout, self.progress = attempts, wait, timeout, progress

    def __call__(self, url: str, output_file: str, pooch: object, check_only: bool = False) -> None:
        """Fetch `url` to `output_file`, as pooch asks for it."""
        import requests

        failed = 0
        while True:
            before = self._have(url)[0]
            try:
                self._go_on(url)
                break
            except (_InterruptedError, requests.ConnectionError, requests.Timeout) as error:
                reason = error
            except requests.RequestException as error:
                raise FetchError(f"{url} cannot be fetched: {error}") from error
            failed = 0 if self._have(url)[0] > before else failed + 1
            if failed >= self.attempts:
                raise FetchError(
                    f"{url} cannot be reached ({_short(reason)}); check the network and run this "
                    "again, it goes on where it stopped"
                ) from reason
            time.sleep(self.wait * 2 ** max(0, failed - 1))
        os.replace(self.part, output_file)
        self.note.unlink(missing_ok=True)

    def _have(self, url: str) -> tuple[int, dict]:
        """Bytes that can be kept, and the note about them."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            if note["url"] == url and (note["same"] or note["total"]):
                return self.part.stat().st_size, note
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return 0, {}

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _go_on(self, url: str) -> None:
        """One connection."""
        import requests

        have, note = self._have(url)
        if have and have == note["total"]:
            return
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if note["same"]:
                headers["If-Range"] = note["same"]
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as answer:
            code = answer.status_code
            if code in TRY_AGAIN:
                raise _InterruptedError(f"the server answers {code} {answer.reason}")
            if code == 416:  # what is kept is longer than the server's file
                self._discard()
                raise _InterruptedError("the server's file has changed")
            if code not in (200, 206):
                raise FetchError(
                    f"{url} answers {code} {answer.reason}; the file is not there (any more)"
                )
            total = _number(answer.headers.get("Content-Length"))
            if code == 206:
                said = re.fullmatch(
                    r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", "")
                )
                total = said and _number(said[2])
                if not said or int(said[1]) != have or total != note["total"]:
                    self._discard()
                    raise _InterruptedError("the server's file has changed")
            else:
                have = 0
            self._receive(answer, url, have, total)

    def _receive(self, answer, url: str, have: int, total: int | None) -> None:
        """Write what comes, after the `have` bytes that are kept."""
        need_disk(self.part, (total or 0) - have, url)
        with disk_errors(self.part, "then run this again, it goes on where it stopped"):
            if not have:
                self._discard()
                write_json(self.note, {"url": url, "same": _same(answer.headers), "total": total})
            with (
                open_file(self.part, "ab") as file,
                tqdm(
                    total=total,
                    initial=have,
                    unit="B",
                    unit_scale=True,
                    desc=self.part.stem,
                    disable=None if self.progress else True,
                ) as bar,
            ):
                for chunk in _chunks(answer):
                    file.write(chunk)
                    bar.update(len(chunk))
        size = self.part.stat().st_size
        if total is not None and size != total:
            raise _InterruptedError(f"it ended after {size} of {total} bytes")


def _chunks(answer) -> Iterator[bytes]:
    """The body; an OSError in here is the network's, not the disk's."""
    try:
        yield from answer.iter_content(CHUNK)
    except OSError as error:  # requests' own errors are of this type
        raise _InterruptedError(_short(error)) from error


def _same(headers) -> str | None:
    """What If-Range may hold: a strong ETag, or the date."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _short(error: object) -> str:
    text = str(error)
    return text if len(text) < 120 else type(error).__name__


def matches(path: Path, known_hash: str) -> bool:
    """Whether a file has a checksum "algorithm:hex"; some sources publish only its beginning."""
    import pooch

    algorithm, _, digits = known_hash.partition(":")
    return pooch.file_hash(str(path), alg=algorithm).startswith(digits.lower())


def fetch_file(
    urls: Iterable[str],
    target: Path,
    known_hash: str | None = None,
    **options,
) -> Path:
    """Fetch a file from the first address that gives it; nothing is done if it is there.

    Args:
        urls: the same file at several addresses.
        known_hash: "md5:...", "sha1:..." or "sha256:...", whole or the published beginning.
        options: of `Resuming`.

    Raises:
        FetchError: no address gives it, the checksum is another, or the disk is full.
    """
    if target.is_file() and (known_hash is None or matches(target, known_hash)):
        return target
    target.unlink(missing_ok=True)  # another checksum: damaged, or fetched from elsewhere
    try:
        import pooch
        import requests  # noqa: F401  (pooch's own)
    except ImportError as error:
        raise FetchError(
            'fetching needs the package pooch: pip install "simpleclick-lite[data]"'
        ) from error
    pooch.get_logger().setLevel("WARNING")
    reasons = []
    for url in urls:
        downloader = Resuming(target.with_name(target.name + ".part"), **options)
        checked = _Checked(downloader, known_hash)
        try:
            with disk_errors(target, "then run this again"):
                target.parent.mkdir(parents=True, exist_ok=True)
                pooch.retrieve(
                    url,
                    checked.whole,
                    fname=target.name,
                    path=target.parent,
                    downloader=checked,
                )
            return target
        except DiskError:
            raise
        except InputError as error:
            reasons.append(str(error))
        except ValueError:  # pooch's word for another checksum
            reasons.append(
                f"{url}: the checksum is not {known_hash}, so the file was removed; run this "
                "again, or ask the source whether it has a new version"
            )
    raise FetchError("; ".join(reasons) or f"there is no address for {target.name}")


class _Checked:
    """A downloader that compares a checksum of which only the beginning is published."""

    def __init__(self, downloader: Callable, known_hash: str | None):
        algorithm, _, digits = (known_hash or "").partition(":")
        size = 2 * hashlib.new(algorithm).digest_size if algorithm else 0
        self.downloader, self.known_hash = downloader, known_hash
        self.whole = known_hash if len(digits) == size and size else None

    def __call__(self, url: str, output_file: str, pooch: object, check_only: bool = False) -> None:
        self.downloader(url, output_file, pooch)
        if self.known_hash and not self.whole and not matches(Path(output_file), self.known_hash):
            raise ValueError("another checksum")
