"""How batches are made, divided and judged: loader processes, shares, keyed dropout, IoU."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from .data.sampling import Batch, TrainingSamples, collate
from .errors import InputError
from .simulation import MASK_THRESHOLD
from .training_config import TrainConfig

TENSORS = ("image", "target", "points", "labels", "previous")
ROUNDS, CLICKS, DROPOUT = 1, 2, 3  # streams of randomness under one seed; 0 is the samples' own


class KeyedDropout(nn.Module):
    """Dropout of whole channels whose choice is keyed by sample and step, not by a global state.

    So an interrupted run goes on bit for bit, and several processes drop what one would.

    Args:
        dropped: the `nn.Dropout2d` it replaces.
        channels: of the maps it will see.
    """

    def __init__(self, dropped: nn.Dropout2d, channels: int):
        super().__init__()
        self.p, self.channels = dropped.p, channels
        self.kept: Tensor | None = None  # (B, C) of zeros and 1 / (1 - p)

    def draw(self, index: list[int], step: int, seed: int, device: torch.device) -> None:
        """Choose for the next training forward pass."""
        if self.p:
            rows = [
                np.random.default_rng((seed, DROPOUT, step, i)).random(self.channels) for i in index
            ]
            kept = (np.stack(rows) >= self.p).astype(np.float32) / (1 - min(self.p, 1 - 1e-6))
            self.kept = torch.from_numpy(kept).to(device, non_blocking=True)

    def forward(self, x: Tensor) -> Tensor:
        """Drop channels of (B, C, h, w) in training mode."""
        if not self.training or not self.p:
            return x
        return x * self.kept[:, :, None, None].to(x.dtype)


@dataclass(frozen=True)
class Share:
    """Which part of a step's batch this process makes."""

    rank: int = 0
    world: int = 1


def load_batches(
    samples: TrainingSamples, plan: Iterable[list[int]], workers: int
) -> Iterator[Batch | None]:
    """Batches in the order of the plan, made here or by loader processes (started with spawn)."""
    if workers == 0:
        return (_make(samples, indices) for indices in plan)
    loader = DataLoader(
        _Fetch(samples),
        batch_size=None,
        sampler=plan,
        num_workers=workers,
        multiprocessing_context="spawn",
        prefetch_factor=4,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_one_thread,
    )
    return iter(loader)


def _one_thread(_: int) -> None:
    """A loader process is one of many: OpenCV should not take all cores in each."""
    cv2.setNumThreads(1)


class _Fetch(torch.utils.data.Dataset):
    """Lets a loader process make a whole batch from a list of sample numbers."""

    def __init__(self, samples: TrainingSamples):
        self.samples = samples

    def __getitem__(self, indices: list[int]) -> Batch | None:
        return _make(self.samples, indices)


def _make(samples: TrainingSamples, indices: list[int]) -> Batch | None:
    return collate([samples[i] for i in indices]) if indices else None


def share_size(config: TrainConfig, share: Share) -> int:
    """Samples of one part of one process.

    Raises:
        InputError: the batch cannot be cut into equal parts.
    """
    size, rest = divmod(config.batch_size, share.world * config.accumulate)
    if rest or size < 1:
        raise InputError(
            f"batch_size {config.batch_size} is not a multiple of {share.world} processes times "
            f"accumulate {config.accumulate}"
        )
    return size


def moved(batch: Batch, device: torch.device) -> Batch:
    """All tensors of a batch on a device."""
    return replace(batch, **{n: getattr(batch, n).to(device, non_blocking=True) for n in TENSORS})


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move a batch; the image becomes float in [0, 1], the previous mask zeros."""
    batch = moved(replace(batch, previous=batch.image[:0]), device)
    # one memory format everywhere: convolutions round differently in another
    image = batch.image.contiguous(memory_format=torch.channels_last).float() / 255
    return replace(batch, image=image, previous=torch.zeros_like(image[:, :1]))


def batch_iou(logits: Tensor, target: Tensor) -> Tensor:
    """Mean IoU of the thresholded prediction with the target; an empty union counts as 1.

    Args:
        logits: (B, 1, H, W).
        target: (B, 1, H, W) of 1, 0 and -1; pixels of -1 do not count.
    """
    limit = math.log(MASK_THRESHOLD / (1 - MASK_THRESHOLD))
    found, truth, counted = logits > limit, target == 1, target != -1
    both = (found & truth).sum((1, 2, 3)).float()
    either = ((found | truth) & counted).sum((1, 2, 3)).float()
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both)).mean()
