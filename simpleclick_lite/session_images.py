"""Which images a click session has, and which one of them is worked on.

Explained in notebooks/13_click_tool.ipynb. The base of `ClickSession`: what concerns whole images
and not clicks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .answers import Answers
from .clicks import Click
from .errors import InputError
from .files import read_image, read_labels, to_rgb8
from .pages import Page, Pages
from .pictures import open_pictures, unique_names
from .predictor import Predictor
from .session_files import SessionFolder


class ImageSession:
    """The images of a `ClickSession`; arguments and attributes are explained there."""

    def __init__(
        self,
        images: Any,
        predictor: Predictor | None = None,
        out_dir: str | Path | None = None,
        strict: bool = False,
    ):
        self.pictures = open_pictures(images)
        self.folder = None if out_dir is None else SessionFolder(out_dir)
        self.strict = strict
        self.index = 0
        # (image, object, its first click) -> the known object that the robot began there
        self._meant: dict[tuple[int, int, tuple[Click, ...]], int] = {}
        self._answers = Answers(predictor)
        self._pages = Pages(self.pictures, self.folder, self._answers)
        self._lock = self._pages.lock
        if self.folder:
            self.pictures += [p for path in self.folder.uploads() for p in open_pictures(path)]
        unique_names(self.pictures)
        if self.folder:
            names, last = [p.name for p in self.pictures], self.folder.last_image()
            self.index = names.index(last) if last in names else 0
        try:
            self._page()
        except InputError:
            if len(self.pictures) == 1:
                raise
            self.index = -1
            self.move(1)

    def _page(self) -> Page:
        return self._pages.open(self.index)

    @property
    def image(self) -> np.ndarray:
        """The image that is worked on, (H, W, 3) uint8 RGB."""
        return self._pages.image(self.index)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self._page().size

    @property
    def name(self) -> str:
        """The image's name."""
        return self.pictures[self.index].name

    def go_to(self, index: int) -> None:
        """Work on another image.

        Raises:
            InputError: there is no such image or it cannot be read; nothing has changed then.
        """
        with self._lock:
            if not 0 <= index < len(self.pictures):
                raise InputError(f"there are {len(self.pictures)} images, none has number {index}")
            self._pages.open(index)
            self._pages.look_again()
            self.index = index
            if self.folder:
                self.folder.set_last_image(self.name)

    def move(self, step: int) -> list[str]:
        """Go to the next (1) or previous (-1) image that can be read.

        Returns:
            what was wrong with images that were passed over.

        Raises:
            InputError: there is none in this direction; nothing has changed then.
        """
        troubles = []
        index = self.index + step
        while 0 <= index < len(self.pictures):
            try:
                self.go_to(index)
                return troubles
            except InputError as error:
                troubles.append(str(error))
                index += step
        end = "last" if step > 0 else "first"
        raise InputError("; ".join([*troubles, f"{self.name} is the {end} image"]))

    def add_image(self, name: str, data: bytes | np.ndarray) -> int:
        """Add an image, as the bytes of a file or as an array, and go to it.

        Returns:
            its index.

        Raises:
            InputError: the data is no image.
        """
        stem = Path(name).stem or "image"
        image = decode(name, data) if isinstance(data, bytes) else to_rgb8(data)
        with self._lock:
            added = self.folder.add_upload(stem, image) if self.folder else {stem: image}
            self.pictures += open_pictures(added)
            unique_names(self.pictures)
            self.go_to(len(self.pictures) - 1)
            return self.index

    def counts(self) -> list[int]:
        """How many objects each image has."""
        return self._pages.counts()


def decode(name: str, data: bytes, read: Callable[[Path], np.ndarray] = read_image) -> np.ndarray:
    """A picture from the bytes of a file.

    Args:
        name: of the file; errors name it.
        data: its contents.
        read: one of the readers in `files`; they know EXIF, 16 bits and what is broken.

    Raises:
        InputError: the data is no image.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (Path(name).name or "image")
        path.write_bytes(data)
        try:
            return read(path)
        except InputError as error:
            raise InputError(str(error).replace(str(path), name)) from error


def read_object(path: Path) -> np.ndarray:
    """A mask from elsewhere, (H, W) bool: all that is not 0, or bright in a JPEG (never exact).

    Raises:
        InputError: missing or broken file, or a file with real colors.
    """
    lossy = path.suffix.lower() in (".jpg", ".jpeg")
    return read_labels(path) > (127 if lossy else 0)
