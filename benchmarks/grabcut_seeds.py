"""How many clicks OpenCV's grabCut needs on GrabCut with other starts than the report's.

    python benchmarks/grabcut_seeds.py DATA/GrabCut --shares 0.07 0.1 [--jobs 2]

grabCut wants a first guess; `baselines.GrabCutPredictor` gives it a disk of a sixth of the longer
side around each positive click. Another share may serve it better: it is tried here, chosen on the
very objects that it is measured on, which flatters grabCut. Written to
benchmarks/results/grabcut_seeds.json, an entry per share; shares found there are not run again. A
share takes six minutes of one core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from simpleclick_lite.baselines import GrabCutPredictor
from simpleclick_lite.data import open_dataset
from simpleclick_lite.evaluation import evaluate
from simpleclick_lite.files import write_json

OUT = Path(__file__).resolve().parent / "results" / "grabcut_seeds.json"
SHARES = [0.04, 0.055, 0.07, 0.085, 0.1, 0.125]


class ShareOfTheSide(GrabCutPredictor):
    """grabCut whose first guess is a disk of this share of the longer side."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share

    def set_image(self, image: np.ndarray) -> None:
        """Take a new (H, W, 3) uint8 RGB image."""
        super().set_image(image)
        self.radius = self.share * max(image.shape[:2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, metavar="DATA/GrabCut")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    dataset = open_dataset("grabcut", args.root)
    for share in args.shares:
        known = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
        if f"{share:g}" in known:
            continue
        result = evaluate(ShareOfTheSide(share), dataset, stop_iou=0.9, jobs=args.jobs)
        row = {f"noc{t}": round(result.noc(t / 100), 3) for t in (85, 90)}
        row |= {f"failures{t}": result.failures(t / 100) for t in (85, 90)}
        row["objects"] = len(result.objects)
        print(f"{share:g} of the longer side: {row}")
        write_json(OUT, {**known, f"{share:g}": row})


if __name__ == "__main__":
    main()
