"""The best disk of one fixed radius around the first click: what a model's first answer must beat.

    python benchmarks/disk_radius.py NAME [--root DIR]

The first robot click does not depend on a model, so every radius can be tried on every object. The
radius is chosen on the very objects it is then measured on, which flatters the disk. Written to
benchmarks/results/disk_radius.json, an entry per data set.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simpleclick_lite.baselines import paint_disks
from simpleclick_lite.data import Sample, open_dataset
from simpleclick_lite.evaluation import intersection_over_union
from simpleclick_lite.files import write_json
from simpleclick_lite.simulation import robot_click

OUT = Path(__file__).resolve().parent / "results" / "disk_radius.json"
RADII = range(5, 305, 5)


def best_radius(samples: Sequence[Sample], over_photographs: bool) -> dict:
    """Try every radius around the robot's first click.

    Args:
        samples: the objects.
        over_photographs: average the objects of a photograph first (name before '/').

    Returns:
        the best radius in pixels (the smaller of two equal ones) and its mean IoU.
    """
    groups: dict[str, list[list[float]]] = {}
    for number, sample in enumerate(samples):
        click = robot_click(np.zeros(sample.mask.shape, bool), sample.mask, [])
        size = sample.mask.shape
        ious = [
            intersection_over_union(paint_disks(size, [click], radius), sample.mask)
            for radius in RADII
        ]
        group = sample.name.split("/")[0] if over_photographs else str(number)
        groups.setdefault(group, []).append(ious)
    means = np.mean([np.mean(ious, axis=0) for ious in groups.values()], axis=0)
    best = int(np.argmax(means))
    return {"radius": RADII[best], "miou": round(float(means[best]), 4)}


def run(name: str, root: Path | None) -> int:
    """Measure one data set, write the result, return the radius in pixels."""
    found = best_radius(open_dataset(name, root), name == "photos")
    known = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    write_json(OUT, known | {name: found})
    print(f"{name}: {found}")
    return found["radius"]


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", metavar="NAME", help="photos or grabcut")
    parser.add_argument("--root", type=Path, metavar="DIR", help="the data set's folder")
    args = parser.parse_args()
    run(args.name, args.root)


if __name__ == "__main__":
    main()
