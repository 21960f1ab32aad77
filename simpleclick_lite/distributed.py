"""Several processes: what is split, what is gathered, and how huge models are sharded.

`accelerate launch` starts the processes; nothing here starts any. Explained in docs/scaling.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .errors import InputError

if TYPE_CHECKING:
    from accelerate import Accelerator


def sharding_plan(model: nn.Module) -> list[nn.Module]:
    """The parts of a SimpleClick that are sharded one by one, in forward order.

    Each part's weights are gathered when it runs and let go again afterwards, so a part should be
    a fair share of the model: every block of the backbone, every branch of the pyramid, the head.
    What is left (embeddings, positions) belongs to the whole model.
    """
    return [*model.backbone.blocks, *model.pyramid.branches, model.head]


def check_sharding(processes: int, precision: str) -> None:
    """Refuse a run that cannot be sharded.

    Raises:
        InputError: one process alone, or precision fp16.
    """
    if processes == 1 or precision == "fp16":
        raise InputError(
            "fsdp needs several processes (accelerate launch --num_processes N) and "
            "precision no or bf16"
        )


def shard(model: nn.Module, **options: Any) -> nn.Module:
    """Shard parameters, gradients and optimizer state over all processes (FSDP, `fully_shard`).

    Args:
        model: a SimpleClick; changed in place.
        options: passed to `fully_shard`, for example mp_policy.

    Returns:
        the same model; its parameters are DTensors now.
    """
    from torch.distributed.fsdp import fully_shard

    for part in sharding_plan(model):
        fully_shard(part, **options)
    return fully_shard(model, **options)


def is_sharded(model: nn.Module) -> bool:
    """Whether `shard` was applied."""
    from torch.distributed.tensor import DTensor

    return any(isinstance(p, DTensor) for p in model.parameters())


def full_model_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """The complete weights, gathered from all processes if they are sharded.

    Every process must call it; only the first gets the tensors of a sharded model.
    """
    if not is_sharded(model):
        return dict(model.state_dict())
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_model_state_dict(model, options=options)


def full_optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The complete optimizer state; see `full_model_state`."""
    if not is_sharded(model):
        return optimizer.state_dict()
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_optimizer_state_dict(model, optimizer, options=options)


def load_full_state(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    model_state: dict[str, torch.Tensor],
    optimizer_state: dict[str, Any],
) -> None:
    """Undo `full_model_state` and `full_optimizer_state`; every process has the complete state."""
    if not is_sharded(model):
        model.load_state_dict(model_state)
        optimizer.load_state_dict(optimizer_state)
        return
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        set_model_state_dict,
        set_optimizer_state_dict,
    )

    options = StateDictOptions(full_state_dict=True)
    set_model_state_dict(model, model_state, options=options)
    set_optimizer_state_dict(model, optimizer, optimizer_state, options=options)


def make_accelerator(precision: str, cpu: bool, accumulate: int) -> Accelerator:
    """Accelerate's object for one run.

    Accelerate remembers device and precision of the first run in a process and refuses others. A
    notebook trains more than once, and a recipe of several stages changes the precision, so what it
    remembers is dropped; of several processes their connection stays.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    return Accelerator(mixed_precision=precision, cpu=cpu, gradient_accumulation_steps=accumulate)


def gather_lists(items: list[Any], world: int) -> list[Any]:
    """The items of all processes in one list on each of them, rank after rank."""
    if world == 1:
        return items
    found: list[list[Any]] = [[] for _ in range(world)]
    torch.distributed.all_gather_object(found, items)
    return [item for part in found for item in part]
