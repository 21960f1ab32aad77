"""Draw the README's picture: three clicks on a photograph, and the mask after each.

    python tools/readme_picture.py [--object astronaut/head] [--weights PATH] [--out FILE]

The clicks are the robot user's on an object of `photos`, the weights the shipped ones. Run it again
when the weights change.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from simpleclick_lite import Predictor, load_model, plots
from simpleclick_lite.data import open_dataset
from simpleclick_lite.evaluation import intersection_over_union
from simpleclick_lite.files import atomic_path
from simpleclick_lite.simulation import robot_click

OUT = Path(__file__).resolve().parent.parent / "docs" / "figures" / "clicks.jpg"


def main() -> None:
    """Draw and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--object", default="astronaut/head")
    parser.add_argument("--weights", help="default: the shipped weights")
    parser.add_argument("--clicks", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()

    samples = open_dataset("photos")
    names = [sample.name for sample in samples]
    if args.object not in names:
        parser.error(f"no object {args.object}; there are {', '.join(names)}")
    sample = samples[names.index(args.object)]
    predictor = Predictor(load_model(args.weights))
    predictor.set_image(sample.image)

    clicks, mask = [], np.zeros(sample.mask.shape, bool)
    figure, axes = plots.panels(args.clicks, width=10, aspect=sample.mask.shape[0] / mask.shape[1])
    for count, ax in enumerate(axes, start=1):
        clicks.append(robot_click(mask, sample.mask, clicks))
        points = [(c.x, c.y) for c in clicks]
        mask = predictor.predict(points, [int(c.positive) for c in clicks]).mask
        iou = intersection_over_union(mask, sample.mask)
        plural = "" if count == 1 else "s"
        plots.show_image(ax, sample.image, f"{count} click{plural}: IoU {iou:.2f}")
        plots.show_mask(ax, mask)
        plots.show_clicks(ax, clicks)
    with atomic_path(args.out) as temporary:
        figure.savefig(temporary, dpi=100, facecolor="white", bbox_inches="tight")
    print(f"wrote {args.out}, {args.out.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
