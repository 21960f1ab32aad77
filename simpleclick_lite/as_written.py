"""When every layer must run as PyTorch and timm wrote it: on demand, or because somebody watches.

inference.py and learning.py have quicker ways to the same numbers; both ask here first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import nn
from torch.nn.modules import module as torch_module

_wanted: ContextVar[bool] = ContextVar("as_written", default=False)


@contextmanager
def as_written() -> Iterator[None]:
    """Run every layer as it is, inside this block: for comparisons.

    Where activations are recomputed in the backward pass (checkpointing), that belongs in the
    block, too.
    """
    token = _wanted.set(True)
    try:
        yield
    finally:
        _wanted.reset(token)


def wanted() -> bool:
    """Whether this is inside a block of `as_written`."""
    return _wanted.get()


def touched(module: nn.Module) -> bool:
    """Whether somebody watches the calls of one module with hooks, or has replaced them."""
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    watched = not all(getattr(hook, "keeps_nothing", False) for hook in hooks)
    backward = module._backward_hooks or module._backward_pre_hooks
    return watched or bool(backward) or "forward" in vars(module)


def untouched(module: nn.Module) -> bool:
    """Whether a module and all its parts are called as they are, and nobody keeps their results.

    A hook may keep a result, which must then stay as it was. One with an attribute `keeps_nothing`
    (a stopwatch, say) is no obstacle.
    """
    everywhere = (
        torch_module._global_forward_hooks
        or torch_module._global_forward_pre_hooks
        or torch_module._global_backward_hooks
        or torch_module._global_backward_pre_hooks
    )
    return not everywhere and not any(touched(part) for part in module.modules())
