"""What a checkpoint of a running training holds, and how a run takes it up again.

Explained in notebooks/09_training.ipynb. All of it together makes a resumed run the one that it
would have been; training_state.py writes and finds the files.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn
from torch.optim import Optimizer

from .distillation import FeatureDistillation
from .distributed import full_model_state, full_optimizer_state, load_full_state
from .errors import InputError
from .optim import AveragedWeights
from .training_config import TrainConfig
from .training_rounds import CarriedRounds, FreshRounds
from .training_state import RunFolder

if TYPE_CHECKING:
    from accelerate import Accelerator

# a run that is resumed with other values of these is no longer the one that was begun
SAME = ("data", "seed", "batch_size", "image_size", "rounds", "carry", "precision")


class Resumable(Protocol):
    """What of a `Trainer` goes into a checkpoint, and out of it again."""

    config: TrainConfig
    model: nn.Module
    optimizer: Optimizer
    average: AveragedWeights | None
    accelerator: Accelerator
    rounds: FreshRounds | CarriedRounds
    distillation: FeatureDistillation | None
    folder: RunFolder


def checkpoint_of(trainer: Resumable, done: int) -> dict[str, Any]:
    """Everything that the next steps depend on.

    Args:
        trainer: between two steps; with several processes all of them must call this.
        done: finished steps.

    Returns:
        what `restore` reads, on the CPU.
    """
    scaler = trainer.accelerator.scaler
    return {
        "step": done,
        "config": asdict(trainer.config),
        "model": full_model_state(trainer.model),
        "optimizer": full_optimizer_state(trainer.model, trainer.optimizer),
        "average": trainer.average.state_dict() if trainer.average else None,
        "scaler": scaler.state_dict() if scaler is not None else None,
        "rounds": trainer.rounds.state_dict(),
        "distillation": trainer.distillation.state_dict() if trainer.distillation else None,
    }


def restore(trainer: Resumable, state: dict[str, Any]) -> None:
    """Put a checkpoint into a trainer that has just been built.

    Args:
        trainer: changed in place.
        state: from `checkpoint_of`.

    Raises:
        InputError: the checkpoint is of another network, or its samples in flight of another
            batch size or number of clicks.
    """
    now = asdict(trainer.config)
    different = [name for name in SAME if state["config"].get(name) != now[name]]
    if different:
        warnings.warn(
            f"resuming with another {', '.join(different)}: not the run it would have been",
            stacklevel=4,  # who called run(): restore, resume, run, that line
        )
    try:
        load_full_state(trainer.model, trainer.optimizer, state["model"], state["optimizer"])
        if trainer.average is not None and state["average"] is not None:
            trainer.average.load_state_dict(state["average"])
        if trainer.distillation is not None and state.get("distillation") is not None:
            trainer.distillation.load_state_dict(state["distillation"])
        if trainer.accelerator.scaler is not None and state["scaler"] is not None:
            trainer.accelerator.scaler.load_state_dict(state["scaler"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"cannot resume: the checkpoint in {trainer.folder.path} is of another network "
            f"({str(error).splitlines()[0]})"
        ) from error
    trainer.rounds.load_state_dict(state["rounds"])
