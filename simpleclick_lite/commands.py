"""What the commands of the command line do, a function each; cli.py reads their arguments."""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError
from .files import atomic_path, read_image, write_png

if TYPE_CHECKING:
    from .data.sampling import TrainingSamples
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


def bench(args: argparse.Namespace) -> int:
    """`bench`: milliseconds per click of each preset, also as a ratio to the first; or a table."""
    if args.table == "latency":
        return _bench_latency(args)
    if args.table is not None:
        from .tables import print_table

        print(print_table(args.table, args.results))
        return 0
    from .model import build_model
    from .predictor import Predictor

    rng = np.random.default_rng(0)
    size, models = args.image_size or 448, args.models or ["micro", "xtiny"]
    image = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
    points = rng.uniform(0, size - 1, (args.clicks, 2)).tolist()
    predictors = [Predictor(build_model(m, size), args.device) for m in models]
    times: list[list[float]] = [[] for _ in predictors]
    # in turn, so that whatever else the machine does falls on all of them; the first is warm-up
    for count in range(args.clicks + 1):
        for predictor, spent in zip(predictors, times, strict=True):
            if not count:
                predictor.set_image(image)
            answer = predictor.predict(points[: max(1, count)])
            spent.append(answer.milliseconds)
    device = predictors[0].device
    print(f"{size} pixels, mirror averaging, {device}, {args.clicks} clicks, median")
    print(f"{'model':10} {'parameters':>12} {'ms per click':>13} {'ratio':>7}")
    medians = [statistics.median(spent[1:]) for spent in times]
    for name, predictor, median in zip(models, predictors, medians, strict=True):
        count = sum(p.numel() for p in predictor.model.parameters())
        print(f"{name:10} {count:12,} {median:13.1f} {median / medians[0]:7.2f}")
    return 0


def _bench_latency(args: argparse.Namespace) -> int:
    """`bench --table latency`: beside the plain reference, with the share of the peak."""
    import shlex

    from .files import write_json
    from .latency import measure

    sizes = [args.image_size] if args.image_size else [224, 448]
    cases = [(name, size) for name in args.models or ["xtiny", "base"] for size in sizes]
    command = shlex.join(["simpleclick-lite", *sys.argv[1:]])

    def save(result: dict) -> None:
        if args.json is not None:
            write_json(args.json, {"command": command, **result})

    result = measure(cases, args.clicks, args.threads, args.options, save=save)
    print(f"{result['machine']}; {result['clock']}; peak {result['peak_gflops']} GFLOP/s in fp32")
    if args.json is not None:
        print(f"wrote {args.json}")
    return 0


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
