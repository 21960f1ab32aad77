"""What `simpleclick-lite data` does: list the data sets, check a copy of one, look at one."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    from .data.sampling import TrainingSamples


def data_list(args: argparse.Namespace) -> int:
    """`data list`: every data set, and where it lies."""
    from .data.check import format_listing, list_datasets

    print(format_listing(list_datasets(args.root)))
    return 0


def data_check(args: argparse.Namespace) -> int:
    """`data check`: every problem on a line of its own; exit code 1 if there is one."""
    from .data.check import check_dataset

    report = check_dataset(args.name, args.root, args.split, **dict(args.option))
    for problem in report.problems:
        print(problem)
    print(report.summary)
    return 0 if report.ok else 1


def data_show(args: argparse.Namespace) -> int:
    """`data show`: a sheet of photographs with their masks, or of training samples."""
    from .data.show import show_dataset, show_training

    if args.training is not None:
        show_training(_training_samples(args), args.out, args.count or 64)
        print(f"wrote {args.out}")
        return 0
    shown = show_dataset(
        args.name, args.root, args.out, args.count or 24, args.split, **dict(args.option)
    )
    print(f"wrote {args.out}")
    if shown.skipped:
        print(shown.report(), file=sys.stderr)
    return 0


def _training_samples(args: argparse.Namespace) -> TrainingSamples:
    """The stream of samples that `train --preset PRESET --data NAME` would learn from."""
    from .training import make_samples
    from .training_presets import preset

    if args.split is not None or args.option:
        raise InputError("--training reads what training reads; leave --split and --option out")
    root = None if args.root is None else str(args.root)
    return make_samples(preset(args.training, data=args.name, root=root, seed=args.seed))
