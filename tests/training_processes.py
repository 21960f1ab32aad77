"""What test_training_processes.py runs in one and in two processes; writes OUT/WORLD.pt.

    accelerate launch --multi_gpu --num_processes 2 tests/training_processes.py OUT

(--multi_gpu is accelerate's word for "start several processes"; on a CPU they talk through gloo.)
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from simpleclick_lite.checkpoint import load_model
from simpleclick_lite.distributed import full_model_state, is_sharded
from simpleclick_lite.training import Trainer, TrainResult, preset
from simpleclick_lite.training_stages import train_stages

SMALL = {
    "model": "micro",
    "image_size": 64,
    "batch_size": 8,
    "steps": 3,
    "warmup": 0,
    "threads": 1,
    "log_every": 1,
    "device": "cpu",
    "validation_objects": 5,
    "validation_clicks": 2,
}


def gradients(out: Path, **values) -> dict[str, Tensor]:
    """Gradients of the second step, whose samples got clicks on the network's mistakes."""
    trainer = Trainer(preset("scratch", out=str(out), **{**SMALL, **values}), progress=False)
    trainer.rounds.begin(0, 2)
    trainer.network.train()
    for step in (0, 1):
        trainer.network.zero_grad()
        for part in range(trainer.config.accumulate):
            with trainer.accelerator.accumulate(trainer.network):
                trainer.backward(step, part)
    return {k: p.grad.clone() for k, p in trainer.model.named_parameters() if p.grad is not None}


def whole_run(out: Path, **values) -> tuple[TrainResult, dict[str, Tensor]]:
    """A short run with everything: averaged weights, validation, checkpoint."""
    trainer = Trainer(preset("scratch", out=str(out), **{**SMALL, **values}), progress=False)
    result = trainer.run()
    if values.get("fsdp"):
        assert is_sharded(trainer.model)
        mine = sum(p.to_local().numel() for p in trainer.model.parameters())
        everything = sum(p.numel() for p in trainer.model.parameters())
        assert mine < 0.6 * everything
    return result, full_model_state(trainer.model)


def two_stages(out: Path) -> dict[str, Tensor]:
    """The weights of a recipe whose second stage has another precision than its first."""
    configs = [
        replace(preset("scratch", **SMALL), preset=name, precision=precision, seed=seed)
        for seed, (name, precision) in enumerate({"first": "no", "second": "bf16"}.items())
    ]
    train_stages(configs, out)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # the first process writes the recipe's weights
    return load_model(out).state_dict()


def main() -> None:
    out = Path(sys.argv[1])
    fresh = gradients(out / "gradients", carry=False)
    carried = gradients(out / "carried", carry=True)
    parts = gradients(out / "parts", carry=False, accumulate=2)
    world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    result, weights = whole_run(out / f"run{world}", weights="shipped")
    found = {
        "stages": two_stages(out / f"stages{world}"),
        "fresh": fresh,
        "carried": carried,
        "parts": parts,
        "weights": weights,
        "validation": result.validation,
    }
    if world > 1:
        sharded, weights = whole_run(out / "sharded", weights="shipped", fsdp=True)
        found["sharded_weights"] = weights
        found["sharded_validation"] = sharded.validation
    if world == 1 or torch.distributed.get_rank() == 0:
        torch.save(found, out / f"{world}.pt")
    if world > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
