"""What the commands of the command line do, a function each; cli.py reads their arguments.

`data` and `bench` are in commands_data.py and commands_bench.py.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError
from .files import atomic_path, read_image, write_png

if TYPE_CHECKING:
    from .predictor import Predictor
    from .robot import Segmenter


def _predictor(args: argparse.Namespace) -> Predictor:
    """The predictor that --weights, --device, --flip and --crop ask for."""
    from .checkpoint import load_model
    from .predictor import Predictor, get_device

    device = get_device(args.device)
    model = load_model(None if args.weights == "shipped" else args.weights)
    return Predictor(model, device, flip=args.flip, crop=args.crop)


def train(args: argparse.Namespace) -> int:
    """`train`: a preset of TrainConfig, any field of which the command line may replace."""
    import tyro

    from .training_config import TrainConfig, part_of
    from .training_presets import PRESETS, STAGES, preset

    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--part", type=float, default=1.0)
    try:
        chosen, rest = parser.parse_known_args(args.arguments)
    except argparse.ArgumentError as error:
        raise InputError(str(error)) from error
    stages = STAGES.get(chosen.preset, (chosen.preset,))
    names = ", ".join([*PRESETS, *STAGES])
    if not 0 < chosen.part <= 1:
        raise InputError(f"--part must lie above 0 and be at most 1, not {chosen.part}")
    about = (
        f"Presets: {names}. The defaults below are of {{name}}. --part 0.25 trains a quarter of "
        "the steps, warm-up included."
    )
    if len(stages) > 1:
        about += (
            f" An option holds for all of {stages[0]} to {stages[-1]}; --seed S gives them S, "
            "S + 1, and so on, since stages of one seed meet the same samples."
        )
    configs = [
        tyro.cli(
            TrainConfig,
            prog=f"simpleclick-lite train --preset {chosen.preset}",
            description=about.format(name=name),
            default=preset(name),
            args=rest,
        )
        for name in stages
    ]
    configs = [part_of(config, chosen.part) for config in configs]
    if len(stages) > 1:
        from .training_stages import train_stages

        if len({config.seed for config in configs}) == 1:
            configs = [replace(c, seed=c.seed + number) for number, c in enumerate(configs)]
        result = train_stages(configs, configs[0].out)
    else:
        from .training import train as run  # after --help, which needs no PyTorch

        result = run(configs[0])
    print(
        f"wrote {result.folder} after {result.steps} steps, "
        f"{result.samples_per_second:.1f} samples a second"
    )
    for name, ious in result.validation.items():
        print(f"{name}: mIoU {', '.join(f'{v:.3f}@{k}' for k, v in enumerate(ious, start=1))}")
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """`evaluate`: table on the terminal, the contract's JSON, and the curve as a picture."""
    from .data import open_dataset
    from .evaluation import evaluate as run
    from .reports import click_curve

    if args.radius is not None and args.method == "model":
        raise InputError("--radius is the baselines'; give it with --method disk or grabcut")
    if not args.json.name or args.json.suffix == ".png":
        raise InputError(f"--json {args.json} is no name of a JSON file; give one, as result.json")
    curve = args.curve or args.json.with_suffix(".png")
    if curve.suffix.lower() != ".png":
        raise InputError(f"cannot write {curve}: give --curve a name that ends in .png")
    log = args.json.with_suffix(".log.jsonl")  # finished objects, until the JSON is written
    dataset = open_dataset(args.data, args.root, args.split, **dict(args.option))
    indices = None
    if args.limit is not None and args.limit < len(dataset):
        rng = np.random.default_rng(0)
        indices = sorted(rng.choice(len(dataset), args.limit, replace=False).tolist())
        print(f"only {args.limit} of {len(dataset)} objects, chosen with seed 0")
    segmenter = _segmenter(args)
    settings = {"split": args.split, "options": dict(args.option), "limit": args.limit}
    if args.method == "model":
        settings |= {"weights": args.weights, "preset": _preset_name(segmenter)}
    settings |= dict(args.note)
    # both files are opened before the work, so that an unwritable folder is refused at once
    with atomic_path(args.json) as json_file, atomic_path(curve) as curve_file:
        if not args.resume:
            log.unlink(missing_ok=True)
        try:
            result = run(
                *(segmenter, dataset, args.max_clicks, args.stop_iou),
                log=log,
                indices=indices,
                settings=settings,
                batch_size=args.batch_size,
                jobs=args.jobs,
            )
        except KeyboardInterrupt:
            print(f"\nfinished objects are in {log}; --resume goes on there", file=sys.stderr)
            raise
        result.to_json(json_file)
        miou = [result.miou(k) for k in range(1, args.max_clicks + 1)]
        click_curve({args.method: miou}, title=args.data).savefig(curve_file, format="png")
    log.unlink(missing_ok=True)
    print(result.table(range(1, args.max_clicks + 1)))
    print(f"\nwrote {args.json} and {curve}")
    for sentence in result.skipped:
        print(f"skipped: {sentence}", file=sys.stderr)
    return 0


def _preset_name(predictor: Predictor) -> str | None:
    """The preset with this network's shape, whatever its input size."""
    from dataclasses import replace

    from .model import PRESETS

    config = predictor.model.config
    same = {"image_size": config.image_size, "pyramid": config.pyramid, "dropout": config.dropout}
    return next((name for name, p in PRESETS.items() if replace(p, **same) == config), None)


def _segmenter(args: argparse.Namespace) -> Segmenter:
    """What --method asks for."""
    from .baselines import DiskPredictor, GrabCutPredictor

    if args.method == "disk":
        return DiskPredictor(args.radius)
    if args.method == "grabcut":
        return GrabCutPredictor(radius=args.radius)
    return _predictor(args)


def segment(args: argparse.Namespace) -> int:
    """`segment`: everything that can be wrong is refused before the model is loaded."""
    from .clicks import check_clicks

    if args.out.suffix.lower() != ".png":
        raise InputError(f"cannot write {args.out}: give a name that ends in .png")
    image = read_image(args.image)
    if args.out.exists() and args.out.samefile(args.image):
        raise InputError(f"{args.out} is the photograph itself; give --out another name")
    points = args.positive + args.negative
    labels = [1] * len(args.positive) + [0] * len(args.negative)
    if not points:
        raise InputError("no click was given; add at least one --positive X,Y")
    check_clicks(points, labels, image.shape[:2])
    with atomic_path(args.out) as temporary:
        predictor = _predictor(args)
        predictor.set_image(image)
        result = predictor.predict(points, labels)
        write_png(temporary, result.mask)
        if args.export:
            _export(args.export, args.image, image, result.mask)
    count = int(result.mask.sum())
    print(
        f"wrote {args.out}: {count} pixels, {count / result.mask.size:.1%} of the image, "
        f"in {result.milliseconds:.0f} ms"
    )
    if not count:
        print("the mask is empty: try another click, on the middle of the object", file=sys.stderr)
    return 0


def _export(folder: Path, path: Path, image: np.ndarray, mask: np.ndarray) -> None:
    """Write one object in every format of export.py."""
    from .export import AnnotatedImage, MaskedObject, export, file_from

    target = MaskedObject(1, "object", mask)
    export([AnnotatedImage(path.stem, image, [target], file_from(folder, path))], folder)


def course(args: argparse.Namespace) -> int:
    """`course`: exit code 1 if a notebook failed."""
    from .course import find_notebooks, run_course, summary

    if args.students is None and args.parameters is not None:
        raise InputError("--parameters is for a class: give --students N, too")
    folder = find_notebooks()
    if args.students is not None:
        return _class(args, folder)
    out = args.out or folder.parent / "runs" / "course"
    runs = run_course(out, args.names, dict(args.parameter), folder=folder)
    print("\n" + summary(runs))
    print(f"\nopen {_short(out / 'index.html')} in a browser")
    return 1 if any(run.error for run in runs) else 0


def _class(args: argparse.Namespace, folder: Path) -> int:
    """`course --students N`: every student's notebooks, and a table of all results."""
    from .classroom import TABLE, run_class, tasks_of, write_pages
    from .students import make_class

    out = args.out or folder.parent / "runs" / "class"
    students = make_class(args.students, args.parameters)
    tasks = tasks_of(students, out, args.names, folder, dict(args.parameter))
    records = run_class(tasks, out, args.at_once, args.time_limit)
    write_pages(tasks)
    failed = sum(record["error"] is not None for record in records)
    print(f"\n{len(records)} notebooks of {len(students)} students, {failed or 'none'} failed")
    print(f"the results are in {_short(out / TABLE)}")
    return 1 if failed else 0


def _short(path: Path) -> Path:
    """A path as seen from here, if it lies below."""
    path = path.resolve()
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
