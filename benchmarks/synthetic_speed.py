"""How many synthetic scenes one core draws in a second, beside reading photographs from a disk.

    python benchmarks/synthetic_speed.py [--scenes 200] [--size 224]

The ratio compares with what a folder of photographs costs: decode a JPEG of 640 x 480, shrink it,
and decode the scene's masks from PNG.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from simpleclick_lite.data.synthetic import SyntheticScenes
from simpleclick_lite.files import write_json


def main() -> None:
    """Measure and print; with --json also write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3, help="the best round counts")
    parser.add_argument("--json", type=Path, default=None)
    settings = parser.parse_args()
    cv2.setNumThreads(1)

    scenes = SyntheticScenes(settings.size, seed=1)
    start = time.perf_counter()
    warm = [scenes[i] for i in range(8)]
    first = time.perf_counter() - start
    files = [_encode(scene) for scene in warm]

    drawn, read = [], []
    for _ in range(settings.rounds):
        start = time.process_time()
        for i in range(settings.scenes):
            scenes[i]
        drawn.append((time.process_time() - start) / settings.scenes)
        start = time.process_time()
        for i in range(settings.scenes):
            _decode(files[i % len(files)], settings.size)
        read.append((time.process_time() - start) / settings.scenes)
    result = {
        "size": settings.size,
        "scenes_per_second": round(1 / min(drawn), 1),
        "photographs_per_second": round(1 / min(read), 1),
        "drawing_over_reading": round(min(drawn) / min(read), 2),
        "seconds_for_first_8": round(first, 2),
        "objects_per_scene": float(np.mean([len(scene) for scene in warm])),
    }
    print(f"{result['scenes_per_second']} scenes of {settings.size} x {settings.size} a second")
    print(f"{result['drawing_over_reading']} times what reading a photograph costs")
    if settings.json:
        write_json(settings.json, result)


def _encode(scene) -> list[np.ndarray]:
    photograph = cv2.resize(scene.image, (640, 480), interpolation=cv2.INTER_CUBIC)
    masks = [mask.astype(np.uint8) * 255 for mask in scene.masks]
    return [cv2.imencode(".jpg", photograph)[1], *(cv2.imencode(".png", m)[1] for m in masks)]


def _decode(files: list[np.ndarray], size: int) -> None:
    photograph = cv2.imdecode(files[0], cv2.IMREAD_COLOR)
    cv2.resize(photograph, (size, size), interpolation=cv2.INTER_AREA)
    for mask in files[1:]:
        cv2.imdecode(mask, cv2.IMREAD_UNCHANGED)


if __name__ == "__main__":
    main()
