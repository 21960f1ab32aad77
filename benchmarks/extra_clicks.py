"""Does one more click ever destroy a good mask? Clicks where nothing is wrong, on 20 objects.

    python benchmarks/extra_clicks.py [--weights shipped] [--objects 20] [--extra 5]

The robot user clicks until an object of `photos` is found (IoU 0.80, at most 10 clicks). From that
state one more click is given, always the same state: a positive one on a pixel that is object and
in the mask, or a negative one on a pixel that is background and outside the mask, both drawn at
random. Such a click asks for nothing, so the mask should stay. Objects that are not found are
passed over and counted. Written to benchmarks/results/extra_clicks.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from shipped import weights_hash

from simpleclick_lite import Predictor, load_model
from simpleclick_lite.clicks import Click
from simpleclick_lite.data import Sample, open_dataset
from simpleclick_lite.evaluation import intersection_over_union
from simpleclick_lite.files import write_json
from simpleclick_lite.prediction import Prediction
from simpleclick_lite.simulation import robot_click

OUT = Path(__file__).resolve().parent / "results" / "extra_clicks.json"
FOUND, MOST_CLICKS = 0.80, 10  # IoU, and the robot's clicks to get there
HARM = 0.05  # a fall of the IoU that a user would mind
SEED = 0


def find(predictor: Predictor, sample: Sample) -> tuple[list[Click], Prediction, float] | None:
    """Let the robot click until the object is found.

    Returns:
        clicks, the last answer and its IoU; None if MOST_CLICKS were not enough.
    """
    predictor.set_image(sample.image)
    mask, clicks = np.zeros(sample.mask.shape, bool), []
    for _ in range(MOST_CLICKS):
        clicks.append(robot_click(mask, sample.mask, clicks))
        answer = predictor.predict([(c.x, c.y) for c in clicks], [int(c.positive) for c in clicks])
        mask = answer.mask
        iou = intersection_over_union(mask, sample.mask)
        if iou >= FOUND:
            return clicks, answer, iou
    return None


def needless_click(
    answer: Prediction,
    truth: np.ndarray,
    clicks: Sequence[Click],
    positive: bool,
    rng: np.random.Generator,
) -> Click:
    """A random click where mask and truth agree already, on no pixel that was clicked before.

    Args:
        answer: what is shown to the user.
        truth: (H, W) int8.
        clicks: so far.
        positive: on the object, else on the background.
        rng: source of randomness.
    """
    right = (truth == 1) & answer.mask if positive else (truth == 0) & ~answer.mask
    for click in clicks:
        right[round(click.y), round(click.x)] = False
    rows, columns = np.nonzero(right)
    chosen = rng.integers(len(rows))
    return Click(float(columns[chosen]), float(rows[chosen]), positive)


def measure(predictor: Predictor, samples: Sequence[Sample], objects: int, extra: int) -> dict:
    """Extra clicks on the first found objects of a random, fixed order.

    Args:
        predictor: the model.
        samples: where objects come from.
        objects: how many objects to find.
        extra: clicks of each sign on each object.

    Returns:
        what extra_clicks.json holds.
    """
    rng = np.random.default_rng(SEED)
    rows, passed_over = [], []
    for index in rng.permutation(len(samples)):
        if len(rows) == objects:
            break
        sample = samples[int(index)]
        found = find(predictor, sample)
        if found is None:
            passed_over.append(sample.name)
            continue
        clicks, answer, before = found
        row = {"name": sample.name, "clicks": len(clicks), "iou": round(before, 4)}
        for positive, key in ((True, "positive"), (False, "negative")):
            changes = []
            for _ in range(extra):
                click = needless_click(answer, sample.mask, clicks, positive, rng)
                after = predictor.continue_from(answer.state, [*clicks, click])
                changes.append(intersection_over_union(after.mask, sample.mask) - before)
            row[key] = [round(change, 4) for change in changes]
        rows.append(row)
        print(row, flush=True)
    return {"objects": rows, "passed_over": passed_over} | summary(rows)


def summary(rows: Sequence[dict]) -> dict:
    """Shares of extra clicks after which the IoU fell by less than HARM, and the largest fall."""
    found = {}
    for key in ("positive", "negative"):
        changes = np.array([change for row in rows for change in row[key]])
        found[key] = {
            "clicks": len(changes),
            "harmless": round(float((changes > -HARM).mean()), 4),
            "worst": round(float(changes.min()), 4),
            "mean": round(float(changes.mean()), 4),
        }
    count = sum(part["clicks"] for part in found.values())
    harmless = sum(part["clicks"] * part["harmless"] for part in found.values()) / count
    return {"summary": found | {"all": {"clicks": count, "harmless": round(harmless, 4)}}}


def run(weights: str | None, objects: int = 20, extra: int = 5, out: Path = OUT) -> None:
    """Measure and write the result.

    Args:
        weights: path, or None for the shipped ones.
        objects, extra: see `measure`.
        out: file for the result.
    """
    result = measure(Predictor(load_model(weights)), open_dataset("photos"), objects, extra)
    settings = {
        "command": "python benchmarks/extra_clicks.py",
        "data": "photos",
        "found_at_iou": FOUND,
        "most_clicks": MOST_CLICKS,
        "harm": HARM,
        "seed": SEED,
        **({"weights": weights} if weights else {"weights_sha256": weights_hash()}),
    }
    write_json(out, {"settings": settings} | result)
    print(result["summary"])


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="default: the shipped weights")
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--extra", type=int, default=5)
    parser.add_argument("--out", type=Path, help="default: extra_clicks.json of the results")
    args = parser.parse_args()
    if args.weights and not args.out:
        parser.error("the committed result is of the shipped weights; give --out FILE for others")
    run(args.weights, args.objects, args.extra, args.out or OUT)


if __name__ == "__main__":
    main()
