"""What can go wrong in a long run, and what is kept of it: NaN, Ctrl-C, too little memory."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Iterator

import torch
from torch import Tensor

from .data.sampling import Batch
from .errors import InputError
from .training_config import TrainConfig
from .training_state import RunFolder


class LossWatch:
    """Stops a run whose loss is not a number, and saves the batch.

    On a CPU every loss is looked at before its gradients are used. On a GPU that would make the
    device wait, so each loss is looked at one step later, when it has arrived anyway.

    Args:
        device: of the losses.
        folder: of the run.
    """

    def __init__(self, device: torch.device, folder: RunFolder):
        self.late = device.type == "cuda"
        self.folder = folder
        self.waiting: list[tuple[int, Tensor, torch.cuda.Event | None, Batch]] = []

    def see(self, step: int, loss: Tensor, batch: Batch) -> None:
        """Look at a loss, or at the one before it.

        Raises:
            FloatingPointError: it is not a number.
        """
        if not self.late:
            self._check(step, float(loss.detach()), batch)
            return
        host = torch.empty((), pin_memory=True)
        host.copy_(loss.detach(), non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self.waiting.append((step, host, event, batch))
        while len(self.waiting) > 1:
            self._check_oldest()

    def check_all(self) -> None:
        """Look at all that were not looked at yet; before a checkpoint, for example."""
        while self.waiting:
            self._check_oldest()

    def _check_oldest(self) -> None:
        step, host, event, batch = self.waiting.pop(0)
        event.synchronize()
        self._check(step, float(host), batch)

    def _check(self, step: int, value: float, batch: Batch) -> None:
        if math.isfinite(value):
            return
        path = self.folder.save_batch(step, batch)
        raise FloatingPointError(
            f"the loss is {value} at step {step + 1}; the batch was saved as {path}. "
            "Lower lr, set clip, or train with precision no; the last checkpoint is from before"
        )


class StopRequest:
    """Turns the first Ctrl-C (and the SIGTERM of a cluster) into a request to stop after the step.

    A second Ctrl-C interrupts at once. Outside the main thread signals are left alone.

    Args:
        world: number of processes; they stop at the same step.
        device: for their agreement.
    """

    def __init__(self, world: int, device: torch.device):
        self.world, self.device = world, device
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _ask(self, number: int, frame: object) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def agreed(self, meeting: bool) -> bool:
        """Whether to stop now.

        Args:
            meeting: several processes only ask each other at steps where this is true for all.
        """
        if self.world == 1:
            return self.signal is not None
        if not meeting:
            return False
        asked = torch.tensor([self.signal or 0], device=self.device)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        self.signal = int(asked) or None
        return self.signal is not None

    def leave(self) -> None:
        """End as the signal would have: KeyboardInterrupt, or SystemExit(143) for SIGTERM."""
        if self.signal == signal.SIGTERM:
            raise SystemExit(143)
        raise KeyboardInterrupt


@contextlib.contextmanager
def memory_advice(config: TrainConfig) -> Iterator[None]:
    """Turn "out of memory" into a sentence that says which settings to lower.

    Raises:
        InputError: instead of the error of the allocator.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(
            words in text for words in ("out of memory", "can't allocate memory", "alloc_cpu")
        ):
            raise
        raise InputError(memory_sentence(config)) from error


def memory_sentence(config: TrainConfig) -> str:
    """What to change when memory runs out, with the present values."""
    ways = [f"raise accumulate (now {config.accumulate}; the result stays the same)"]
    if not config.checkpointing:
        ways.append("set checkpointing")
    if config.precision == "no":
        ways.append("set precision bf16")
    ways.append(f"lower batch_size (now {config.batch_size})")
    ways.append(f"lower image_size (now {config.image_size})")
    if config.cache_mb:
        ways.append(f"lower cache_mb (now {config.cache_mb}) if it is the host's memory")
    return f"out of memory: {', '.join(ways[:-1])} or {ways[-1]}"
