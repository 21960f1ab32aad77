"""A data set: names in a fixed order, and one function that decodes the record asked for.

Nothing is read before it is needed, and whatever goes wrong while reading is an `InputError` that
names the file, so that a run can step over it (`robust.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np

from ..errors import InputError, named_errors

T = TypeVar("T")


class Records(Sequence[T], Generic[T]):
    """A data set: records in a fixed order, each decoded when it is asked for.

    Args:
        name: the data set's name.
        records: whatever `load` needs for one item.
        load: decodes one record; a module-level function (or a `functools.partial` of one), so that
            loader workers can be started with spawn.
        names: one name per record, known without decoding; `str(record)` by default.
        origin: the folder it was read from.
    """

    def __init__(
        self,
        name: str,
        records: Sequence,
        load: Callable[..., T],
        names: Sequence[str] | None = None,
        origin: object = None,
    ):
        self.name = name
        self.records = records
        self.load = load
        self.names = [str(record) for record in records] if names is None else names
        self.origin = origin

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index):
        """One item, or another `Records` for a slice.

        Raises:
            IndexError: no such record.
            InputError: the record's files are missing, broken or do not fit together.
        """
        if isinstance(index, slice):
            return self.subset(range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.name} has {len(self)} records, there is no number {index}")
        index = int(index) % len(self)
        with named_errors(f"{self.name}: {self.names[index]}"):
            return self.load(self.records[index])

    def __iter__(self) -> Iterator[T]:
        return (self[i] for i in range(len(self)))

    def subset(self, indices: Sequence[int]) -> Records[T]:
        """The same data set with only these records, in this order."""
        return Records(
            self.name,
            [self.records[i] for i in indices],
            self.load,
            [self.names[i] for i in indices],
            self.origin,
        )

    def limit(self, count: int, seed: int = 0) -> Records[T]:
        """A seeded choice of `count` records in their original order; all when there are fewer."""
        if count < 1:
            raise InputError(f"a limit must be at least 1, not {count}")
        if count >= len(self):
            return self
        chosen = np.random.default_rng(seed).choice(len(self), count, replace=False)
        return self.subset(sorted(int(i) for i in chosen))

    def __repr__(self) -> str:
        where = f" in {self.origin}" if self.origin else ""
        return f"{self.name}: {len(self)} records{where}"
