"""A hierarchical network as xtiny's teacher: its answers to the same clicks are a second target.

    python benchmarks/hierarchical.py --root DATASETS --out TEACHER --steps 700
    python benchmarks/mask_teacher.py --root DATASETS --teacher TEACHER --weights STAGE5 --out RUN
    python benchmarks/weights_experiments.py GROUP "NAME=RUN"

The teacher (benchmarks/hierarchical.py) sees what the student sees: crop, clicks, previous mask.
Beside the annotated mask, which says 0 or 1, the student learns the teacher's probabilities
(Hinton et al., 2015, arXiv:1503.02531) by their cross entropy. 500 steps at 128 pixels from
stage 5, otherwise as stage 3 without its own teacher and with EMA 0.99: the run to compare with
differs in `--weight 0` alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import safetensors.torch
import torch
import torch.nn.functional as F  # noqa: N812
from hierarchical import Hierarchical
from torch import Tensor

from simpleclick_lite.data.sampling import Batch
from simpleclick_lite.files import write_json
from simpleclick_lite.model import config_from_dict
from simpleclick_lite.training import TrainConfig, Trainer, preset


def load_hierarchical(folder: Path) -> Hierarchical:
    """What hierarchical.py has trained, in evaluation mode and frozen.

    Raises:
        SystemExit: the folder holds no finished run.
    """
    if not (folder / "model.safetensors").exists():
        raise SystemExit(f"error: {folder} holds no finished run of hierarchical.py")
    shape = json.loads((folder / "config.json").read_text(encoding="utf-8"))["config"]
    model = Hierarchical(config_from_dict(shape))
    model.load_state_dict(safetensors.torch.load_file(folder / "model.safetensors"))
    return model.eval().requires_grad_(False)


class TaughtTrainer(Trainer):
    """The training loop with a teacher's masks.

    Args:
        config: as for Trainer.
        teacher: gives logits (B, 1, H, W) for image, points, labels and previous mask.
        weight: of the cross entropy with the teacher's probabilities.
    """

    def __init__(self, config: TrainConfig, teacher: torch.nn.Module, weight: float) -> None:
        super().__init__(config)
        self.teacher, self.weight = teacher.to(self.device), weight

    def second_loss(self, batch: Batch, logits: Tensor) -> Tensor | None:
        """Cross entropy of logits (B, 1, H, W) with the teacher's answer, per counted pixel."""
        if not self.weight:
            return None
        with torch.no_grad(), self.autocast():
            told = self.teacher(batch.image, batch.points, batch.labels, batch.previous)
        wanted = torch.sigmoid(told.float())
        loss = F.binary_cross_entropy_with_logits(logits.float(), wanted, reduction="none")
        counted = batch.target != -1
        mean = (loss * counted).sum((1, 2, 3)) / counted.sum((1, 2, 3)).clamp(min=1)
        return self.weight * mean.mean()


def main() -> None:
    """Train; the run's own validation is the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder of the data sets")
    parser.add_argument("--teacher", type=Path, required=True, help="a run of hierarchical.py")
    parser.add_argument("--weights", required=True, help="where the student starts: stage 5")
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--weight", type=float, default=1.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    config = replace(
        preset("shipped_3"),
        root=args.root,
        weights=args.weights,
        out=args.out,
        steps=args.steps,
        distill=0.0,
        ema=0.99,
        threads=1,
        resume=True,
        checkpoint_every=100,
        validate_every=0,
    )
    teacher = load_hierarchical(args.teacher)
    digest = hashlib.sha256((args.teacher / "model.safetensors").read_bytes()).hexdigest()
    lesson = {"weight": args.weight, "teacher_sha256": digest}
    note = Path(args.out) / "lesson.json"  # a run's own settings do not know of it
    if note.exists() and json.loads(note.read_text(encoding="utf-8")) != lesson:
        raise SystemExit(f"error: {args.out} is a run with another lesson; give another --out")
    write_json(note, lesson)
    TaughtTrainer(config, teacher, args.weight).run()


if __name__ == "__main__":
    main()
