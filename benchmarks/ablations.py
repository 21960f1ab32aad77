"""The ablation grid: pyramid design x frozen backbone x seed, and one thing at a time beside it.

    python benchmarks/ablations.py [--seeds 0 1 2]                      a grid for one CPU core
    python benchmarks/ablations.py --sbd DIR [--pascal-voc DIR]         the paper's, for a GPU
    python benchmarks/ablations.py --axes design "disk radius"          a part of it
    python benchmarks/ablations.py --set data=coco=DIR --benchmarks grabcut=DIR --name photographs

The grid for a CPU: the micro network, its backbone pretrained once as a masked autoencoder, trained
on drawn scenes and measured on held-out ones. Every finished run is written at once, to
simpleclick_lite/measured/NAME.json (drawn by notebook 11) and, as rows beside the paper's
(`simpleclick-lite bench --table ablation`), to benchmarks/results/table_NAME.json. An interrupted
call goes on where it stopped; delete the files to measure anew.
"""

from __future__ import annotations

import argparse
import ast
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from simpleclick_lite.ablation import Plan, full_plan, pretrain_encoder, quick_plan
from simpleclick_lite.ablation_grid import run_grid, without_folders, write_table
from simpleclick_lite.errors import InputError
from simpleclick_lite.measured import FOLDER

RESULTS = Path(__file__).parent / "results"
PRETRAIN_STEPS = 200


def _setting(text: str) -> tuple[str, object]:
    """NAME=VALUE for the base; a Python literal where it can be read as one."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def make_plan(args: argparse.Namespace) -> Plan:
    """The grid that the command line asks for; pretrains the micro network's encoder if needed."""
    changes = dict(args.set)
    if args.sbd:
        plan = full_plan(args.sbd, args.pascal_voc, **changes)
    else:
        encoder = args.out / f"encoder_{args.pretrain_steps}.pth"
        if args.pretrain_steps and not encoder.is_file():
            losses = pretrain_encoder(encoder, args.pretrain_steps)
            print(f"pretrained: loss {losses[0]:.3f} -> {losses[-1]:.3f}", flush=True)
        plan = quick_plan(str(encoder) if args.pretrain_steps else None, **changes)
    if args.benchmarks:
        plan = replace(plan, benchmarks=args.benchmarks)
    return plan if args.objects is None else replace(plan, objects=args.objects)


def main(argv: list[str] | None = None) -> None:
    """Run what is missing, seed by seed, and write the table after every seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--axes", nargs="+", default=[], help="a part of the grid (default: all)")
    parser.add_argument("--sbd", metavar="DIR", help="SBD: the paper's grid with ViT-B")
    parser.add_argument("--pascal-voc", metavar="DIR", help="measure there, too")
    parser.add_argument("--set", type=_setting, action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--benchmarks", help="mixture NAME[=DIR],… to measure on")
    parser.add_argument("--objects", type=int, help="of each benchmark; 0 takes all")
    parser.add_argument("--pretrain-steps", type=int, default=PRETRAIN_STEPS)
    parser.add_argument("--name", help="of the result (default: ablations, or ablations_sbd)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the runs' results")
    parser.add_argument("--table-folder", type=Path, default=RESULTS, help="of the table's rows")
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    args = parser.parse_args(argv)
    name = args.name or ("ablations_sbd" if args.sbd else "ablations")
    words = [
        "DIR" if Path(word).is_dir() or Path(word).is_absolute() else without_folders(word)
        for word in (sys.argv[1:] if argv is None else argv)
    ]
    facts = {
        "command": shlex.join(["python", "benchmarks/ablations.py", *words]),
        "pretraining_steps": 0 if args.sbd else args.pretrain_steps,
    }
    plan = make_plan(args)
    path = args.folder / f"{name}.json"
    for seed in args.seeds:
        result = run_grid(plan, [seed], args.out, path, args.axes, facts)
        write_table(result, args.table_folder / f"table_{name}.json")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"ablations: {error}")
