"""Step over what cannot be read, and say at the end what that was."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import InputError
from .records import Records


class Robust:
    """A data set in which a broken file costs one item, never the run. Made by `robust`.

    Attributes:
        skipped: name of the record -> why it could not be read, in the order of discovery.
    """

    def __init__(self, dataset: Records, prepare: Callable[[Any], Any] | None = None):
        self.dataset = dataset
        self.prepare = prepare
        self.skipped: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def get(self, index: int) -> Any | None:
        """The item (after `prepare`), or None where it cannot be read; then it is in `skipped`."""
        try:
            item = self.dataset[index]
            return item if self.prepare is None else self.prepare(item)
        except InputError as error:
            name = self.dataset.names[index]
            if name not in self.skipped:
                self.skipped[name] = str(error)
                warnings.warn(f"skipped {name}: {error}", stacklevel=2)
            return None

    def __getitem__(self, index: int) -> Any:
        """The item, or for a broken one the next that can be read (training needs some item).

        Raises:
            InputError: not one record of the data set can be read.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.dataset.name} has no record {index}")
        for step in range(len(self)):
            item = self.get((index + step) % len(self))
            if item is not None:
                return item
        reason = next(iter(self.skipped.values()), "it is empty")
        raise InputError(f"{self.dataset.name}: not one record can be read; the first: {reason}")

    def __iter__(self) -> Iterator[Any]:
        """Every item that can be read, in order."""
        for index in range(len(self)):
            item = self.get(index)
            if item is not None:
                yield item

    def report(self) -> str:
        """One line for the end of a run; empty when nothing was skipped."""
        if not self.skipped:
            return ""
        first = next(iter(self.skipped.values()))
        plural = "s" if len(self.skipped) > 1 else ""
        return (
            f"{self.dataset.name}: {len(self.skipped)} of {len(self)} record{plural} "
            f"could not be read and were skipped; the first: {first}"
        )


def robust(dataset: Records, prepare: Callable[[Any], Any] | None = None) -> Robust:
    """Wrap a data set so that a run survives its broken files.

    >>> items = robust(open_dataset("folder", "my_data"))
    >>> for sample in items: ...
    >>> print(items.report())

    Args:
        dataset: of Samples or Scenes.
        prepare: what is done with each item right away, for example decode a Scene's image and one
            of its masks; an `InputError` in it counts as a broken item too.
    """
    return Robust(dataset, prepare)
