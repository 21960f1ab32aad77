"""What is known about each data set before it is opened: splits, folders, published counts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DataSetInfo:
    """A data set's entry in `DATASETS`.

    Attributes:
        title: one line for people.
        module: the module of this package that reads it.
        offers: "samples" (open_dataset), "scenes" (open_scenes), or both.
        folders: the usual names of its folder, tried under a given root.
        splits: names of its splits; the first is what benchmarks use.
        options: names of the loader's own keyword options.
        counts: split (or "" without splits) -> (images, objects) of the complete set, where a
            number is published; None for a number that is not.
        crop_size: side of the square the published evaluation resizes its crop to, in pixels.
        function: the loader's name in its module, if it is not `samples` or `scenes`.
    """

    title: str
    module: str
    offers: tuple[str, ...] = ("samples",)
    folders: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    counts: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    crop_size: int = 448
    needs_root: bool = True
    function: dict[str, str] = field(default_factory=dict)

    def opener(self, what: str) -> str:
        """Name of the module's function that opens "samples" or "scenes"."""
        return self.function.get(what, what)


BOTH = ("samples", "scenes")

DATASETS: dict[str, DataSetInfo] = {
    "photos": DataSetInfo(
        "photographs inside scikit-image's wheel, masks drawn for this project",
        "photos",
        needs_root=False,
    ),
    "synthetic": DataSetInfo(
        "endless drawn scenes; training scenes and held-out ones never meet",
        "synthetic",
        BOTH,
        splits=("val", "train"),
        options=("seed", "length", "size"),
        needs_root=False,
    ),
}
