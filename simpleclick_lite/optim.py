"""What is updated how fast: parameter groups, layer-wise decay, schedules, averaged weights.

Explained in notebooks/09_training.ipynb. Fine-tuning a pretrained backbone often wants small steps
in its early blocks and larger ones in the late blocks; training from scratch wants a warm-up and a
rate that falls along a cosine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .errors import InputError

OPTIMIZERS = ("adam", "adamw")
SCHEDULES = ("constant", "cosine", "multistep")


def layer_of(name: str, depth: int) -> int:
    """The layer a parameter belongs to: 0 embeddings and positions, i block i, depth + 1 the rest.

    Args:
        name: the parameter's name in `SimpleClick.named_parameters()`.
        depth: blocks of the backbone.
    """
    if name.startswith("embedding.") or name == "backbone.pos_embed":
        return 0
    if name.startswith("backbone.blocks."):
        return int(name.split(".")[2]) + 1
    return depth + 1


def rate_scale(name: str, depth: int, decay: float) -> float:
    """The factor on a parameter's learning rate: decay^(depth + 1 - layer).

    As published with `--layerwise-decay`, with one difference: the published code leaves the click
    patch embedding out of every group and so never trains it; here it gets the first layer's rate.
    """
    return decay ** (depth + 1 - layer_of(name, depth))


def weight_decay_of(name: str, parameter: Tensor, value: float, everywhere: bool) -> float:
    """The weight decay of one parameter.

    Norms, biases and positions get none. With `everywhere` (as published with layer-wise decay)
    pyramid and head get it on all of their parameters.
    """
    if everywhere and name.startswith(("pyramid.", "head.")):
        return value
    return 0.0 if parameter.ndim <= 1 or name == "backbone.pos_embed" else value


def parameter_groups(
    model: nn.Module,
    depth: int,
    lr: float,
    weight_decay: float = 0.0,
    layer_decay: float | None = None,
) -> list[dict]:
    """Groups for an optimizer: one per different pair of rate and weight decay.

    Args:
        model: a SimpleClick; parameters that do not require gradients are left out.
        depth: blocks of its backbone.
        lr: rate of the last layers.
        weight_decay: of the parameters that get one.
        layer_decay: factor from layer to layer, below 1; None: one rate for all.

    Returns:
        list of {"params", "names", "lr", "weight_decay", "lr_scale"}.
    """
    groups: dict[tuple[float, float], dict] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        scale = 1.0 if layer_decay is None else rate_scale(name, depth, layer_decay)
        decay = weight_decay_of(name, parameter, weight_decay, everywhere=layer_decay is not None)
        group = groups.setdefault(
            (scale, decay),
            {"params": [], "names": [], "lr": lr * scale, "weight_decay": decay, "lr_scale": scale},
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def build_optimizer(
    name: str, groups: list[dict], lr: float, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Optimizer:
    """Adam (weight decay as coupled L2, as published) or AdamW (decoupled), eps 1e-8.

    Raises:
        InputError: another name.
    """
    if name not in OPTIMIZERS:
        raise InputError(f"optimizer {name!r} is not one of {', '.join(OPTIMIZERS)}")
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    groups = [{k: v for k, v in g.items() if k != "names"} for g in groups]
    fused = all(p.device.type in ("cpu", "cuda") for g in groups for p in g["params"])
    return kind(groups, lr=lr, betas=betas, eps=1e-8, fused=fused)


def one_cycle(
    optimizer: torch.optim.Optimizer, lr: float, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """PyTorch's OneCycleLR for short trainings: a warm-up of a tenth, then a cosine to nearly zero.

    Args:
        optimizer: its rates are set; Adam's first momentum follows them in the other direction.
        lr: the highest rate.
        steps: length of the training.
    """
    tenth = 0.1 + 1e-9  # a warm-up of one step exactly would be a division by zero
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=tenth)


def schedule_factor(
    name: str,
    steps: int,
    warmup: int = 0,
    milestones: Sequence[int] = (),
    gamma: float = 0.1,
    final: float = 0.01,
) -> Callable[[int], float]:
    """The factor on the rate as a function of the number of finished steps.

    Args:
        name: "constant", "cosine" (down to `final`) or "multistep" (times gamma at each milestone).
        steps: length of the run.
        warmup: steps during which the rate rises linearly.
        milestones: step numbers.

    Raises:
        InputError: another name.
    """
    if name not in SCHEDULES:
        raise InputError(f"schedule {name!r} is not one of {', '.join(SCHEDULES)}")

    def factor(step: int) -> float:
        rise = min(1.0, (step + 1) / (warmup + 1))
        if name == "constant":
            return rise
        if name == "multistep":
            return rise * gamma ** sum(step >= m for m in milestones)
        done = min(1.0, max(0, step - warmup) / max(1, steps - warmup))
        return rise * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done)))

    return factor


class AveragedWeights:
    """Exponential moving average of a model's parameters (EMA): what is evaluated and saved.

    Args:
        model: the network being trained.
        decay: weight of the old average; smaller in the first steps, min(decay, (1+t)/(10+t)), so
            that the random start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.steps = 0
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the current weights."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        now = model.state_dict()
        floats = [k for k in self.values if self.values[k].is_floating_point()]
        torch._foreach_lerp_([self.values[k] for k in floats], [now[k] for k in floats], 1 - decay)
        for key in self.values.keys() - set(floats):
            self.values[key].copy_(now[key])

    def full(self) -> dict[str, Tensor]:
        """The averaged weights; sharded ones are gathered, and every process must ask for them."""
        return {
            k: v.full_tensor() if hasattr(v, "full_tensor") else v for k, v in self.values.items()
        }

    def state_dict(self) -> dict:
        """For a checkpoint."""
        return {"steps": self.steps, "values": self.full()}

    def load_state_dict(self, state: dict) -> None:
        """From a checkpoint."""
        self.steps = state["steps"]
        for key, value in state["values"].items():
            ours = self.values[key]
            if hasattr(ours, "full_tensor"):
                from torch.distributed.tensor import distribute_tensor

                value = distribute_tensor(value.to(ours.device), ours.device_mesh, ours.placements)
            ours.copy_(value)


def copied_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's weights on the CPU, name -> tensor."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def mixed(weights: dict[str, Tensor], others: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights of one network with a share of another's, name -> tensor.

    Args:
        weights: name -> tensor.
        others: the same names, or none, which changes nothing.
        share: of the others, from 0 to 1.
    """
    return weights | {
        name: torch.lerp(weights[name], other.to(weights[name]), share)
        for name, other in others.items()
    }
