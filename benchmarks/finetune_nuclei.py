"""Does fine-tuning on 20 images help on 40 others of the same kind? Microscopy, as a `folder`.

    python benchmarks/finetune_nuclei.py --root NUCLEI [--weights shipped] [--steps 100]

NUCLEI has img/*.jpg and seg/*.png, a label map per image (60 images). Twenty images, chosen with
the seed, become a `folder` data set and are fine-tuned on with the preset `folder`; on the other
forty the robot clicks on some objects of each image, with the weights before and after, under the
same settings. Reported is NoC@85: the mean number of clicks to 85% IoU, 20 for an object that never
gets there. An interval is over images, drawn again with replacement (2,000 times).

The shipped weights are no stranger to these images: some 3% of their training samples came from all
sixty of them. So what is measured with them is fine-tuning on top of that; `--weights FOLDER`
begins with weights that never saw them (`--name` tells what they are). An interrupted call goes on
where it stopped; one result per start is kept in benchmarks/results/finetune_nuclei.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import torch
from shipped import SHIPPED, weights_hash

from simpleclick_lite.checkpoint import load_model
from simpleclick_lite.data import open_dataset
from simpleclick_lite.evaluation import Result, evaluate
from simpleclick_lite.files import atomic_path, write_json
from simpleclick_lite.predictor import Predictor
from simpleclick_lite.training import preset, train
from simpleclick_lite.training_state import list_checkpoints

RESULT = Path(__file__).parent / "results" / "finetune_nuclei.json"
TRAIN = 20  # images
LEAST = 60  # pixels of the smallest object that is clicked on
CLICKS = 20


def split(root: Path, out: Path, seed: int) -> tuple[Path, Path]:
    """Two `folder` data sets of 20 images and of the rest, as copies under `out`."""
    images = sorted((root / "img").glob("*.jpg"))
    order = np.random.default_rng(seed).permutation(len(images))
    folders = out / "train", out / "test"
    for folder, numbers in zip(folders, (order[:TRAIN], order[TRAIN:]), strict=True):
        for number in numbers:
            image = images[number]
            for source, part in (
                (image, "images"),
                (root / "seg" / f"{image.stem}.png", "masks"),
            ):
                target = folder / part / source.name
                if not target.is_file():
                    with atomic_path(target) as temporary:
                        shutil.copyfile(source, temporary)
    return folders


def chosen_objects(folder: Path, each: int, seed: int) -> list[int]:
    """Numbers of `each` objects of every image, chosen with the seed among those of some size."""
    dataset = open_dataset("folder", folder)
    by_image: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(dataset.names):
        by_image[name.rsplit("_", 1)[0].split("/")[0]].append(number)
    rng = np.random.default_rng((seed, 1))
    found = []
    for numbers in by_image.values():
        taken = []
        for number in rng.permutation(numbers):
            if (dataset[int(number)].mask == 1).sum() >= LEAST:
                taken.append(int(number))
            if len(taken) == each:
                break
        found += taken
    return sorted(found)


def measured(weights: str | Path, folder: Path, objects: list[int], side: int, log: Path) -> Result:
    """The robot on the chosen objects, stopped at 85% IoU."""
    model = load_model(None if weights == "shipped" else weights)
    predictor = Predictor(model, "cpu", flip=False, crop_size=side)
    dataset = open_dataset("folder", folder)
    return evaluate(
        predictor, dataset, CLICKS, stop_iou=0.85, indices=objects, log=log, progress=False
    )


def interval(before: Result, after: Result, seed: int) -> list[float]:
    """95% of the change in NoC@85 when images are drawn again."""
    changes: dict[str, list[int]] = defaultdict(list)
    pairs = zip(before.objects, before.clicks_needed(0.85), after.clicks_needed(0.85), strict=True)
    for item, one, two in pairs:
        image = item.name.rsplit("_", 1)[0].split("/")[0]
        changes[image].append((two or CLICKS) - (one or CLICKS))
    sums = np.array([[sum(v), len(v)] for v in changes.values()])
    rng = np.random.default_rng((seed, 2))
    drawn = sums[rng.integers(len(sums), size=(2000, len(sums)))].sum(1)
    return [round(float(v), 2) for v in np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])]


def summary(result: Result) -> dict:
    """What is kept of one evaluation."""
    return {
        "noc85": round(result.noc(0.85), 3),
        "never_85": result.failures(0.85),
        "miou@1": round(result.miou(1), 4),
    }


def main() -> None:
    """Measure, fine-tune, measure again, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder with img/ and seg/")
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--name", help="what the weights are, for the table")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--side", type=int, default=112, help="pixels, of crops and predictions")
    parser.add_argument("--objects", type=int, default=1, help="of each test image")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/finetune_nuclei"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    sha = weights_hash(SHIPPED if args.weights == "shipped" else Path(args.weights))
    out = args.runs / f"{sha[:12]}_{args.steps}_{args.batch_size}_{args.side}_{args.seed}"
    train_folder, test_folder = split(args.root, out, args.seed)
    objects = chosen_objects(test_folder, args.objects, args.seed)
    before = measured(args.weights, test_folder, objects, args.side, out / "before.jsonl")
    print("before", summary(before), flush=True)
    tuned = out / "tuned"
    if not (tuned / "model.safetensors").is_file():
        config = preset(
            "folder",
            weights=args.weights,
            data=f"folder={train_folder}",
            image_size=args.side,
            batch_size=args.batch_size,
            steps=args.steps,
            seed=args.seed,
            threads=1,
            device="cpu",
            checkpoint_every=20,
            resume=bool(list_checkpoints(tuned)),
            out=str(tuned),
        )
        train(config, progress=False)
    after = measured(tuned, test_folder, objects, args.side, out / "after.jsonl")
    print("after ", summary(after), flush=True)
    results = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    weights = args.weights if args.weights == "shipped" else "FOLDER"
    results[args.name or args.weights] = {
        "command": f"python benchmarks/finetune_nuclei.py --root NUCLEI --weights {weights} "
        f"--steps {args.steps} --batch-size {args.batch_size} --side {args.side} "
        f"--objects {args.objects} --seed {args.seed}",
        "weights_sha256": sha,
        "start_has_seen_nuclei": "3% of its training samples"
        if args.weights == "shipped"
        else "no",
        "data": f"{TRAIN} images to learn from, {len(objects)} objects on the other images",
        "machine": f"1 thread of a machine with 2 CPU cores, {platform.machine()}, "
        f"torch {torch.__version__}",
        "before": summary(before),
        "after": summary(after),
        "change_of_noc85": round(after.noc(0.85) - before.noc(0.85), 3),
        "change_95_percent": interval(before, after, args.seed),
    }
    write_json(RESULT, results)


if __name__ == "__main__":
    main()
