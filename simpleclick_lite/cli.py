"""The command line: `simpleclick-lite train | evaluate | segment | data | bench | course`.

What each command does stands in commands.py and its neighbors, imported only when a command runs,
so that `--help` answers at once. A user's mistake ends in one line on standard error and exit code
2; Ctrl-C in exit code 130.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .cli_arguments import Parser, joined, point, positive, setting, share
from .errors import InputError

PROGRAM = "simpleclick-lite"


def _flag(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """`--name` and `--no-name`, on by default."""
    parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=True, help=text)


def _add_predictor(parser: argparse.ArgumentParser) -> None:
    """The options of every command that predicts."""
    parser.add_argument(
        "--weights",
        default="shipped",
        help="shipped, a folder that `train` wrote, or an official .pth (default: shipped)",
    )
    parser.add_argument("--device", help="cpu, cuda, mps (default: the best there is)")
    _flag(parser, "flip", "average with the mirrored image")
    _flag(parser, "crop", "follow the object with a crop")


def _add_class(course: argparse.ArgumentParser) -> None:
    """The options of `course` that run it for a class."""
    course.add_argument(
        "--students", type=positive, metavar="N", help="run it for a class of N, each her own seed"
    )
    course.add_argument(
        "--parameters",
        type=Path,
        metavar="FILE",
        help="names, parameters and notebooks of the students: .csv, a line each, or .json",
    )
    course.add_argument(
        "--at-once",
        type=positive,
        metavar="K",
        help="a class's notebooks that run side by side (default: the number of processors)",
    )
    course.add_argument(
        "--time-limit",
        type=positive,
        default=1800,
        metavar="SECONDS",
        help="after which a class's notebook is stopped and counts as failed (default: 1800)",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    """The options that say which samples to open."""
    parser.add_argument("--root", type=Path, metavar="DIR", help="the data set's folder")
    parser.add_argument("--split", help="train or val, where the data set has both")
    parser.add_argument(
        "--option",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="the loader's own options, e.g. length=100 for synthetic",
    )


def _add_data_commands(data: argparse.ArgumentParser) -> None:
    """`data list`, `data check NAME`, `data show NAME`."""
    actions = data.add_subparsers(metavar="ACTION", required=True, parser_class=Parser)
    listing = actions.add_parser("list", help="every data set, and where it lies under --root")
    listing.add_argument("--root", type=Path, metavar="DIR", help="a folder of data sets")
    listing.set_defaults(run=_run("data_list", "commands_data"))
    check = actions.add_parser("check", help="read every file and list what is wrong")
    check.add_argument("name", metavar="NAME")
    _add_data(check)
    check.set_defaults(run=_run("data_check", "commands_data"))
    show = actions.add_parser("show", help="draw photographs with their masks")
    show.add_argument("name", metavar="NAME")
    _add_data(show)
    show.add_argument(
        "--training",
        nargs="?",
        const="scratch",
        metavar="PRESET",
        help="instead: training samples with their clicks, as this preset makes them",
    )
    show.add_argument("--seed", type=int, default=0, help="of the training samples")
    show.add_argument(
        "--count", type=positive, metavar="N", help="pictures (default: 24, in training 64)"
    )
    show.add_argument("--out", type=Path, default=Path("sheet.png"), metavar="OUT.png")
    show.set_defaults(run=_run("data_show", "commands_data"))


def _run(command: str, module: str = "commands") -> Callable[[argparse.Namespace], int]:
    """A function that imports a module of commands and runs one of them."""

    def run(args: argparse.Namespace) -> int:
        commands = importlib.import_module(f".{module}", __package__)
        return getattr(commands, command)(args)

    return run


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; no heavy import happens here."""
    parser = Parser(prog=PROGRAM, description="Click-based interactive segmentation.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    def add(name: str, text: str, **options: Any) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, **options)
        command.set_defaults(run=_run(name))
        return command

    # `train` reads the fields of TrainConfig with tyro, so its help is made there
    add("train", "train a model; --preset NAME --help lists every setting", add_help=False)

    evaluate = add("evaluate", "let a simulated user click on every object of a data set")
    _add_predictor(evaluate)
    evaluate.add_argument("--data", required=True, metavar="NAME", help="data set")
    _add_data(evaluate)
    evaluate.add_argument("--json", type=Path, required=True, metavar="OUT.json")
    evaluate.add_argument("--max-clicks", type=positive, default=20, metavar="N")
    evaluate.add_argument(
        "--stop-iou",
        type=share,
        metavar="IOU",
        help="stop at this IoU: 0.9 is enough for NoC and quicker; mIoU then stays empty",
    )
    evaluate.add_argument(
        "--batch-size",
        type=positive,
        default=1,
        metavar="B",
        help="objects that share a pass of the network, for a GPU (default: 1)",
    )
    evaluate.add_argument(
        "--jobs",
        type=positive,
        default=1,
        metavar="N",
        help="threads that each see one object through, for a CPU (default: 1)",
    )
    evaluate.add_argument(
        "--method", choices=("model", "disk", "grabcut"), default="model", help="what answers"
    )
    evaluate.add_argument(
        "--radius", type=float, help="of --method disk or grabcut around positive clicks, in pixels"
    )
    evaluate.add_argument(
        "--curve", type=Path, metavar="OUT.png", help="IoU over clicks (default: beside the JSON)"
    )
    evaluate.add_argument(
        "--limit", type=positive, metavar="N", help="only N objects, chosen at random but fixed"
    )
    evaluate.add_argument(
        "--resume", action="store_true", help="go on where the same command was interrupted"
    )
    evaluate.add_argument(
        "--note",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a fact to keep with the result, e.g. machine=laptop",
    )

    segment = add("segment", "turn clicks on one photograph into a mask")
    segment.add_argument("image", type=Path, metavar="IMAGE")
    for kind in ("positive", "negative"):
        segment.add_argument(
            f"--{kind}",
            type=point,
            action="append",
            default=[],
            metavar="X,Y",
            help=f"a {kind} click, column and row in pixels; may be repeated",
        )
    segment.add_argument("--out", type=Path, required=True, metavar="MASK.png", help="0/255 PNG")
    segment.add_argument(
        "--export", type=Path, metavar="DIR", help="also as cut-out, COCO, YOLO, labelme, …"
    )
    _add_predictor(segment)

    data = add("data", "list the data sets, check a copy of one, look at one")
    _add_data_commands(data)

    bench = add("bench", "seconds per click on this machine, or the paper's tables beside ours")
    bench.set_defaults(run=_run("bench", "commands_bench"))
    bench.add_argument(
        "--table",
        metavar="NAME",
        help="latency (measured now), parameters, efficiency, comparison, …",
    )
    bench.add_argument(
        "--results",
        type=Path,
        default=Path("benchmarks/results"),
        metavar="DIR",
        help="measured results for the paper's tables (default: benchmarks/results)",
    )
    bench.add_argument("--models", nargs="+", metavar="PRESET", help="micro, xtiny, base, …")
    bench.add_argument("--image-size", type=positive, metavar="PIXELS")
    bench.add_argument("--clicks", type=positive, default=5, metavar="N")
    bench.add_argument("--device", help="cpu, cuda, mps (default: the best there is)")
    bench.add_argument(
        "--threads", type=positive, default=2, metavar="N", help="of --table latency (default: 2)"
    )
    bench.add_argument(
        "--options",
        nargs="+",
        default=[],
        metavar="NAME",
        help="of --table latency, also: bf16, onnx, int8, compile (minutes)",
    )
    bench.add_argument(
        "--json", type=Path, metavar="OUT.json", help="of --table latency: write it as well"
    )

    course = add("course", "run the notebooks in order; executed copies in runs/course")
    course.add_argument("names", nargs="*", metavar="NOTEBOOK", help='e.g. "03" (default: all)')
    course.add_argument("--out", type=Path, metavar="DIR", help="default: runs/course")
    course.add_argument(
        "--parameter",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value for the notebooks' parameters cell",
    )
    _add_class(course)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments after the program's name, None for those of the process.

    Returns:
        The exit code: 0 success, 1 something ran and failed, 2 a user's mistake, 130 Ctrl-C.
    """
    argv = joined(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    try:
        args, rest = parser.parse_known_args(argv)
        if argv[:1] == ["train"]:
            args.arguments = argv[1:]
        elif rest:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        return args.run(args)
    except InputError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{PROGRAM}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # no word at exit either
        return 1


if __name__ == "__main__":
    sys.exit(main())
