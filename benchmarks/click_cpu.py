"""What the click tool itself costs at each click, beside the network: time of the processor.

    python benchmarks/click_cpu.py [--clicks 40]

From the click's arrival in the kernel until the mask has left it for the browser, against the
network's part of that. One thread, time of this process alone, so that a busy machine does not
matter; what a person waits for, browser included, is measured by click_to_screen.py. Written to
benchmarks/results/click_cpu.json.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from shipped import weights_hash

import simpleclick_lite as scl
from simpleclick_lite.data import photos
from simpleclick_lite.files import write_json
from simpleclick_lite.widget import ClickTool

ROOT = Path(__file__).resolve().parent.parent
WARM = 5  # clicks that are not counted


class TimedPredictor(scl.Predictor):
    """Notes how long each answer took."""

    spent: list[float] = []  # the session works with a copy, which shares this list

    def continue_from(self, state, clicks):
        """As in `Predictor`."""
        start = time.process_time()
        answer = super().continue_from(state, clicks)
        self.spent.append(time.process_time() - start)
        return answer


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=40)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng, sent, rows = np.random.default_rng(0), [], []
    photo = cv2.resize(photos.photo("astronaut"), (640, 480), interpolation=cv2.INTER_AREA)
    with tempfile.TemporaryDirectory() as folder:
        tool = ClickTool(photo, TimedPredictor(scl.load_model(), "cpu"), folder, strict=True)
        draw = tool._photo.draw_layer
        tool._photo.draw_layer = lambda layer: (draw(layer), sent.append(time.process_time()))
        for number in range(args.clicks + WARM):
            x, y = rng.integers((40, 40), (600, 440))
            sent.clear()
            start = time.process_time()
            tool.press(x, y, button=0 if number % 2 == 0 else 2)
            if sent and number >= WARM:  # a click that changes no pixel sends nothing
                rows.append((sent[-1] - start, TimedPredictor.spent[-1]))
            if number % 5 == 4:
                tool.finish()
    total, network = 1000 * np.array(rows).T
    result = {
        "command": shlex.join(["python", "benchmarks/click_cpu.py", *sys.argv[1:]]),
        "photograph": "640 x 480",
        "weights": "shipped",
        "weights_sha256": weights_hash(),
        "clicks": len(rows),
        "seed": 0,
        "threads": 1,
        "machine": f"{os.cpu_count()} CPU cores, {platform.machine()}",
        "median_total_ms": round(float(np.median(total)), 1),
        "median_network_ms": round(float(np.median(network)), 1),
        "median_beside_network_ms": round(float(np.median(total - network)), 1),
        "90_percent_beside_network_ms": round(float(np.quantile(total - network, 0.9)), 1),
    }
    write_json(args.out / "click_cpu.json", result)
    print(result)


if __name__ == "__main__":
    main()
