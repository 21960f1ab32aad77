"""Ten minutes of training against the best disk of one fixed radius, on 100 held-out scenes.

    python benchmarks/quick_preset.py [--out runs/quick_preset] [--machine "2 CPU cores"]

Trains `--preset quick` (an interrupted run goes on), whose last validation is the robot's mIoU on
100 synthetic scenes that training never sees, and compares its mIoU after three clicks with the
disk around the first click whose radius fits these very scenes best. Written to
benchmarks/results/quick_preset.json.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from disk_radius import best_radius
from model_card import steps_and_seconds

from simpleclick_lite.data import open_dataset
from simpleclick_lite.files import write_json
from simpleclick_lite.training_presets import PRESETS
from simpleclick_lite.training_state import read_metrics

ROOT = Path(__file__).resolve().parent.parent
SCENES = PRESETS["quick"].validation_objects


def compare(folder: Path, scenes: int = SCENES) -> dict[str, Any]:
    """A finished run's last validation beside the best disk.

    Args:
        folder: of the run.
        scenes: how many held-out scenes the run was validated on.
    """
    metrics = read_metrics(folder)
    steps, seconds = steps_and_seconds(metrics)
    miou = [row["validation"]["synthetic"] for row in metrics if "validation" in row][-1]
    disk = best_radius(open_dataset("synthetic", split="val", length=scenes), False)
    return {
        "steps": steps,
        "minutes": round(seconds / 60, 1),
        "held_out_scenes": scenes,
        "miou": [round(value, 4) for value in miou],
        "disk_radius": disk["radius"],
        "disk_miou": disk["miou"],
        "beats_the_disk_at_3_clicks": bool(miou[2] > disk["miou"]),
    }


def main() -> None:
    """Train, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "quick_preset", metavar="DIR")
    parser.add_argument("--machine", default="2 CPU cores", help="what it ran on, for people")
    args = parser.parse_args()
    command = ["train", "--preset", "quick"]
    print("simpleclick-lite", *command, flush=True)
    run = [sys.executable, "-m", "simpleclick_lite.cli", *command, "--out", str(args.out)]
    subprocess.run([*run, "--resume"], check=True)
    facts = {"command": f"simpleclick-lite {' '.join(command)}", "machine": args.machine, "seed": 0}
    found = facts | compare(args.out)
    write_json(ROOT / "benchmarks" / "results" / "quick_preset.json", found)
    print(found)


if __name__ == "__main__":
    main()
