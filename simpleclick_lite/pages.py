"""The opened images of a click session: their objects and masks, in step with the session's folder.

Explained in notebooks/13_click_tool.ipynb. A change happens inside `Pages.changing`: it takes the
folder's lock, reads what other tools may have written, lets the change happen, and saves it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .annotation import Annotation, CutObject
from .answers import Answers
from .errors import InputError
from .pictures import Picture, fingerprint
from .rle import decode_rle
from .session_files import SessionFolder, keys


@dataclass
class Page:
    """One opened image.

    Attributes:
        picture: the image by name.
        fingerprint: tells its pixels from those of other images.
        size: (H, W).
        key: name of its files.
        annotation: its objects and their history.
        stamp: of the file the annotation was read from or written to, None before there is one.
        masks: object id -> digest of the clicks, the mask's bits: what `Pages.mask` knows.
        saved: object id -> digest of the clicks whose mask is on disk.
    """

    picture: Picture
    fingerprint: str
    size: tuple[int, int]
    key: str
    annotation: Annotation = field(default_factory=Annotation)
    stamp: tuple[int, ...] | None = None
    masks: dict[int, tuple[str, np.ndarray]] = field(default_factory=dict)
    saved: dict[int, str] = field(default_factory=dict)

    def find(self, number: int) -> CutObject:
        """An object by id.

        Raises:
            InputError: there is no such object.
        """
        if number not in self.annotation.objects:
            known = ", ".join(map(str, self.annotation.objects)) or "none yet"
            raise InputError(f"{self.picture.name} has no object {number}; it has {known}")
        return self.annotation.objects[number]


class Pages:
    """The images of a session, opened when they are first needed.

    Args:
        pictures: the images; more may be appended later.
        folder: where the state is kept; None for nowhere.
        answers: what the network said, to find masks without running it.
    """

    def __init__(self, pictures: list[Picture], folder: SessionFolder | None, answers: Answers):
        self.pictures = pictures
        self.folder = folder
        self.answers = answers
        self.lock = threading.RLock()  # held for milliseconds, never while the network runs
        self._opened: dict[int, Page] = {}
        self._images: dict[int, np.ndarray] = {}
        self._truths: dict[int, list[np.ndarray]] = {}
        self._saved_counts: dict[str, int] | None = None

    def image(self, index: int) -> np.ndarray:
        """Decode an image, (H, W, 3) uint8 RGB; the last two stay in memory.

        Raises:
            InputError: it cannot be read.
        """
        with self.lock:
            if index not in self._images:
                image = self.pictures[index].load()
                self._images = dict([*self._images.items()][-1:]) | {index: image}
            return self._images[index]

    def truths(self, index: int) -> list[np.ndarray]:
        """The known objects of an image, (H, W) int8 each; the last two lists stay in memory."""
        with self.lock:
            if index not in self._truths:
                truths = self.pictures[index].truths()
                self._truths = dict([*self._truths.items()][-1:]) | {index: truths}
            return self._truths[index]

    def open(self, index: int) -> Page:
        """The page of an image, with what was saved for it.

        Raises:
            InputError: the image or its saved state cannot be read.
        """
        with self.lock:
            if index not in self._opened:
                image = self.image(index)
                picture, code = self.pictures[index], fingerprint(image)
                key = self._key(picture.name, code)
                page = Page(picture, code, (image.shape[0], image.shape[1]), key)
                self._refresh(page)
                self._opened[index] = page
            return self._opened[index]

    def look_again(self) -> None:
        """Take over what other tools have written since."""
        with self.lock:
            self._saved_counts = None
            for page in self._opened.values():
                self._refresh(page)

    def _key(self, name: str, code: str) -> str:
        """The name of an image's files; a second image of the same name gets another."""
        if self.folder:
            return self.folder.find_key(name, code)
        used = {page.key for page in self._opened.values()}
        return next(key for key in keys(name) if key not in used)

    @contextlib.contextmanager
    def changing(self, index: int) -> Iterator[Page]:
        """Change an annotation inside of this: others' changes are read before, all is saved after.

        Nothing is saved when the change raises an error.
        """
        with self.lock:
            page = self.open(index)
            if self.folder is None:
                yield page
                return
            with self.folder.locked():
                self._refresh(page)
                yield page
                self._save(page)

    def _refresh(self, page: Page) -> None:
        """Read the annotation again if its file is not the one that was read or written last."""
        if self.folder is None:
            return
        stamp = self.folder.stamp(page.key)
        if stamp is None or stamp == page.stamp:
            return
        state = self.folder.read(page.key)
        if state is None:
            return
        if state["fingerprint"] != page.fingerprint:  # another tool took the name meanwhile
            page.key = self.folder.find_key(page.picture.name, page.fingerprint)
            page.stamp = None
            self._refresh(page)
            return
        try:
            page.annotation = Annotation.from_json(state)
            page.saved = {int(number): str(digest) for number, digest in state["masks"].items()}
        except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
            path = self.folder.clicks_path(page.key)
            raise InputError(f"{path}: {error}; move it away to start afresh") from error
        page.stamp = stamp

    def _save(self, page: Page) -> None:
        """Write masks that are known but not on disk, remove others, then write the clicks."""
        objects = page.annotation.objects
        for number in [n for n in page.saved if n not in objects or objects[n].empty]:
            self.folder.write_mask(page.key, number, None)
            del page.saved[number]
        for number, target in objects.items():
            digest = target.digest()
            if target.empty or page.saved.get(number) == digest:
                continue
            mask = self.mask(page, target)
            if mask is not None:
                self.folder.write_mask(page.key, number, mask)
                page.saved[number] = digest
        state = {
            "image": page.picture.name,
            "fingerprint": page.fingerprint,
            "size": list(page.size),
            "objects": sum(not o.empty for o in objects.values()),
            "masks": page.saved,
        }
        self.folder.write(page.key, state | page.annotation.to_json())
        page.stamp = self.folder.stamp(page.key)

    def knows(self, page: Page, target: CutObject) -> bool:
        """Whether `mask` would give one, without unpacking what it has at hand."""
        if not target.clicks or page.masks.get(target.id, ("",))[0] == target.digest():
            return True
        return self.mask(page, target) is not None

    def mask(self, page: Page, target: CutObject) -> np.ndarray | None:
        """An object's mask, (H, W) bool, or None where the network would have to run for it."""
        if target.empty:
            return np.zeros(page.size, bool)
        if not target.clicks:
            return decode_rle(target.start)
        digest = target.digest()
        with self.lock:
            if page.masks.get(target.id, ("",))[0] != digest:
                answer = self.answers.known(page.fingerprint, target)
                mask = None if answer is None else answer.mask
                if mask is None and self.folder and page.saved.get(target.id) == digest:
                    mask = self.folder.read_mask(page.key, target.id)
                if mask is None or mask.shape != page.size:
                    return None
                page.masks[target.id] = digest, np.packbits(mask)
            bits = page.masks[target.id][1]
        count = page.size[0] * page.size[1]
        return np.unpackbits(bits, count=count).astype(bool).reshape(page.size)

    def opened(self) -> dict[int, Page]:
        """The pages opened so far, by index."""
        return dict(self._opened)

    def counts(self) -> list[int]:
        """How many objects each image has; of images not opened yet, what the folder said first."""
        with self.lock:
            if self._saved_counts is None:
                self._saved_counts = self.folder.annotated() if self.folder else {}
            return [
                sum(not o.empty for o in self._opened[i].annotation.objects.values())
                if i in self._opened
                else self._saved_counts.get(picture.name, 0)
                for i, picture in enumerate(self.pictures)
            ]
