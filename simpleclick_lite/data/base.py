"""What every data set yields: a Sample for benchmarks, a Scene for training.

A scene's photograph and masks are read when they are first asked for; the data set around them is
a `Records` (records.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..errors import InputError, named_errors


@dataclass(frozen=True, eq=False)
class Sample:
    """One object to be found, as a benchmark poses it.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) int8; 1 object, 0 background, -1 ignored.
        name: unique inside its data set.

    Raises:
        InputError: another shape or type, sizes that differ, or other labels than 1, 0, -1.
    """

    image: np.ndarray
    mask: np.ndarray
    name: str

    def __post_init__(self) -> None:
        _check_image(self.image, self.name)
        mask = np.asarray(self.mask)
        if mask.ndim != 2 or mask.shape != self.image.shape[:2]:
            raise InputError(
                f"{self.name}: the mask's shape is {mask.shape}, the image is "
                f"{self.image.shape[:2]} (height, width); they must be equal"
            )
        if mask.dtype == bool:
            mask = mask.astype(np.int8)
        if mask.size and mask.dtype != np.int8:
            if not np.issubdtype(mask.dtype, np.integer):
                raise InputError(f"{self.name}: a mask holds integers, not {mask.dtype}")
            _check_labels(mask, self.name)
            mask = mask.astype(np.int8)
        _check_labels(mask, self.name)
        object.__setattr__(self, "mask", mask)

    @property
    def ignored(self) -> np.ndarray:
        """(H, W) bool, pixels that count neither for nor against a prediction."""
        return self.mask < 0


def _check_image(image: np.ndarray, name: str) -> None:
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
        shape = getattr(image, "shape", type(image).__name__)
        raise InputError(f"{name}: an image has shape (H, W, 3), this one has {shape}")
    if image.dtype != np.uint8:
        raise InputError(f"{name}: an image is uint8, this one is {image.dtype}")


def _check_labels(mask: np.ndarray, name: str) -> None:
    if mask.size and (int(mask.min()) < -1 or int(mask.max()) > 1):
        wrong = [int(v) for v in np.unique(mask) if v not in (-1, 0, 1)]
        raise InputError(
            f"{name}: a mask holds 1 (object), 0 (background) and -1 (ignored), found {wrong[:5]}"
        )


class Masks(Protocol):
    """K masks that are decoded one at a time. A (K, H, W) bool array is one too.

    It may have an attribute `names`, one per mask.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


class LabelMasks:
    """The masks inside a label map: one per number.

    Args:
        labels: (H, W) integer.
        ids: the numbers that are objects, in order; by default all that occur and are above 0.
        names: what each object is called; by default its number.
    """

    def __init__(
        self,
        labels: np.ndarray,
        ids: Sequence[int] | None = None,
        names: Sequence[object] | None = None,
    ):
        self.labels = labels
        self.ids = [int(v) for v in np.unique(labels) if v > 0] if ids is None else list(ids)
        self.names = self.ids if names is None else names

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.labels == self.ids[index]


class Scene:
    """All annotated objects of a photograph; overlaps are allowed, masks are decoded on demand.

    Args:
        name: unique inside its data set.
        image: (H, W, 3) uint8 RGB, or a function without arguments that gives it.
        masks: (K, H, W) bool, another `Masks`, or a function without arguments that gives one.
        kinds: what each object is: "thing", "stuff" or "part"; one word stands for all.
        parents: for each object the index of the object it is a part of, -1 for none.
        ignored: (H, W) bool of pixels no loss should count, None for none, or a function.
    """

    def __init__(
        self,
        name: str,
        image: np.ndarray | Callable[[], np.ndarray],
        masks: Masks | Callable[[], Masks],
        kinds: str | Sequence[str] = "thing",
        parents: Sequence[int] | None = None,
        ignored: np.ndarray | None | Callable[[], np.ndarray | None] = None,
    ):
        self.name = name
        self._image = image
        self._masks = masks
        self._kinds = kinds
        self._parents = parents
        self._ignored = ignored

    @property
    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        if callable(self._image):
            with named_errors(self.name):
                self._image = self._image()
        _check_image(self._image, self.name)
        return self._image

    def _objects(self) -> Masks:
        if callable(self._masks):
            with named_errors(self.name):
                self._masks = self._masks()
        return self._masks

    def __len__(self) -> int:
        """How many objects are annotated."""
        return len(self._objects())

    def mask(self, index: int) -> np.ndarray:
        """Decode one object.

        Returns:
            (H, W) bool, as large as the image.

        Raises:
            IndexError: no such object.
            InputError: a mask of another size than the image.
        """
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"{self.name} has {count} objects, there is no number {index}")
        with named_errors(self.name):
            mask = np.asarray(self._objects()[index % count], dtype=bool)
        if mask.shape != self.image.shape[:2]:
            raise InputError(
                f"{self.name}: the mask's shape is {mask.shape}, the image is "
                f"{self.image.shape[:2]} (height, width); they must be equal"
            )
        return mask

    @property
    def masks(self) -> np.ndarray:
        """(K, H, W) bool, every object decoded."""
        if not len(self):
            return np.zeros((0, *self.image.shape[:2]), bool)
        return np.stack([self.mask(i) for i in range(len(self))])

    @property
    def kinds(self) -> tuple[str, ...]:
        """K words: "thing", "stuff" or "part"."""
        if isinstance(self._kinds, str):
            return (self._kinds,) * len(self)
        return tuple(self._kinds)

    @property
    def parents(self) -> tuple[int, ...]:
        """K indices of the object that each is a part of, -1 for none."""
        return (-1,) * len(self) if self._parents is None else tuple(self._parents)

    @property
    def ignored(self) -> np.ndarray | None:
        """(H, W) bool of pixels that no loss should count, or None."""
        if callable(self._ignored):
            with named_errors(self.name):
                self._ignored = self._ignored()
        return self._ignored

    def target(self, index: int) -> np.ndarray:
        """One object as a training target: (H, W) int8; 1 object, 0 background, -1 ignored."""
        mask = self.mask(index)
        target = mask.astype(np.int8)
        if self.ignored is not None:
            target[self.ignored & ~mask] = -1
        return target

    def object_name(self, index: int) -> str:
        """Name of one object: the scene's name and its number in the annotation.

        The masks may have `names` for it; a name of None stands for the scene's alone.
        """
        names = getattr(self._objects(), "names", None)
        label = index if names is None else names[index]
        return self.name if label is None else f"{self.name}_{label}"

    def sample(self, index: int) -> Sample:
        """One object as a benchmark would pose it."""
        return Sample(self.image, self.target(index), self.object_name(index))
