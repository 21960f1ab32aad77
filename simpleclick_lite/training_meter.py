"""What a running training says of itself: loss, IoU, samples a second, waiting, memory.

Explained in notebooks/09_training.ipynb, which reads curves.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import torch
from torch import Tensor


class Meter:
    """Collects the steps between two reports, without waiting for the device.

    Args:
        device: that the network runs on.
        batch_size: samples of a step.
    """

    def __init__(self, device: torch.device, batch_size: int):
        self.device, self.batch_size = device, batch_size
        self.begin(0)

    def begin(self, start: int) -> None:
        """Count the time from now on; `start` steps were finished before."""
        self.start, self.began, self.waited = start, time.perf_counter(), 0.0
        self.recent: list[tuple[Tensor, Tensor]] = []

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Time spent in here is spent waiting for data."""
        before = time.perf_counter()
        yield
        self.waited += time.perf_counter() - before

    def see(self, loss: Tensor, iou: Tensor) -> None:
        """Take a step's mean loss and mean IoU: 0-d, on the device."""
        self.recent.append((loss, iou))

    def rate(self, done: int) -> float:
        """Samples a second since the beginning, after `done` steps."""
        seconds = time.perf_counter() - self.began
        return (done - self.start) * self.batch_size / max(seconds, 1e-9)

    def report(self, done: int) -> dict[str, float]:
        """Means over the steps since the last report.

        Args:
            done: finished steps.

        Returns:
            loss, iou, samples_per_second, waiting_for_data (share of the time), seconds, and on a
            GPU memory_gb, the most it held.
        """
        loss, iou = (float(torch.stack(values).mean()) for values in zip(*self.recent, strict=True))
        self.recent = []
        seconds = time.perf_counter() - self.began
        values = {
            "loss": loss,
            "iou": iou,
            "samples_per_second": self.rate(done),
            "waiting_for_data": self.waited / seconds,
            "seconds": seconds,
        }
        if self.device.type == "cuda":
            values["memory_gb"] = torch.cuda.max_memory_allocated() / 2**30
        return values
