"""Click rounds: how a training sample gets clicks on what the network still does wrong.

Explained in notebooks/09_training.ipynb; section 3.3 of the paper. Two ways to the same mixture of
0, 1, … R rounds:

`FreshRounds`, as published: every batch is new; the network predicts and the user clicks up to R
times without gradients, then comes the forward pass that is learned from. On average 1.5 of 2.5
forward passes teach nothing.

`CarriedRounds`: a sample stays for R + 1 steps. Each step learns from a prediction and uses the
same prediction to place the next click. No forward pass is spent on clicks alone, which makes a
step on a CPU nearly twice as fast; in exchange a step has fewer new pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from .data.sampling import Batch, TrainingSamples
from .distributed import gather_lists
from .errors import InputError
from .simulation import training_clicks
from .simulation_torch import training_clicks_torch
from .training_batches import CLICKS, ROUNDS, TENSORS, Share, load_batches, share_size, to_device
from .training_config import TrainConfig


class _Plan:
    """What `wanted` says for every step and part; unlike a generator it can go to a loader."""

    def __init__(self, rounds: FreshRounds | CarriedRounds, start: int, stop: int):
        self.rounds, self.start, self.stop = rounds, start, stop

    def __len__(self) -> int:
        return (self.stop - self.start) * self.rounds.parts

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.start, self.stop):
            for part in range(self.rounds.parts):
                yield self.rounds.wanted(step, part, first=step == self.start)


class FreshRounds:
    """New samples every step, 0 … R rounds of clicks without gradients first.

    Args:
        samples: the stream.
        config: batch_size, accumulate, rounds, seed and workers are read.
        device: where batches go.
        share: which part of each batch is made here.
    """

    def __init__(
        self, samples: TrainingSamples, config: TrainConfig, device: torch.device, share: Share
    ):
        self.samples, self.config, self.device, self.share = samples, config, device, share
        self.parts = config.accumulate
        self.size = share_size(config, share)

    def wanted(self, step: int, part: int, first: bool = False) -> list[int]:
        """Numbers of the samples of one part; step s uses s * batch_size and those that follow."""
        start = step * self.config.batch_size
        start += (part * self.share.world + self.share.rank) * self.size
        return list(range(start, start + self.size))

    def begin(self, start: int, stop: int) -> None:
        """Get ready for steps start … stop - 1."""
        self.batches = load_batches(self.samples, _Plan(self, start, stop), self.config.workers)

    def next(self, step: int, part: int) -> Batch:
        """The next part's samples, on the device."""
        return to_device(next(self.batches), self.device)

    def clicked(self, network: nn.Module, batch: Batch, step: int) -> Batch:
        """The batch after the step's click rounds; all processes draw the same number of them."""
        rng = np.random.default_rng((self.config.seed, ROUNDS, step))
        return click_rounds(network, batch, int(rng.integers(self.config.rounds + 1)), self.config)

    def after(self, step: int, part: int, logits: Tensor) -> None:
        """Nothing is kept from a step."""

    def state_dict(self) -> dict:
        """Nothing: a step's samples follow from its number."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Nothing to do."""


class CarriedRounds(FreshRounds):
    """Samples that stay for R + 1 steps and get a click after each of them.

    Slot g of the batch holds its k-th sample, number k * batch_size + g. The slots take turns, so
    that every step has as many samples in round 0 as in round R.
    """

    def __init__(
        self, samples: TrainingSamples, config: TrainConfig, device: torch.device, share: Share
    ):
        super().__init__(samples, config, device, share)
        self.held: list[Batch | None] = [None] * self.parts
        self.room = 2 * config.max_start_clicks + config.rounds

    def slots(self, part: int) -> range:
        """Numbers in the whole batch of the slots of one part."""
        start = (part * self.share.world + self.share.rank) * self.size
        return range(start, start + self.size)

    def life(self, step: int, slot: int) -> tuple[int, int]:
        """Which sample of the slot a step uses, and how many clicks it got before this step."""
        length = self.config.rounds + 1
        shift = self.config.rounds - slot % length
        life, age = divmod(step + shift, length)
        return life, age if life else step

    def wanted(self, step: int, part: int, first: bool = False) -> list[int]:
        """Numbers of the samples that enter at this step (all of them at the very first)."""
        entering = []
        for slot in self.slots(part):
            life, age = self.life(step, slot)
            if age == 0:
                entering.append(life * self.config.batch_size + slot)
        return entering

    def next(self, step: int, part: int) -> Batch:
        """The part's samples with those that enter put in place, on the device."""
        new = next(self.batches)
        if new is not None:
            new = self._with_room(to_device(new, self.device))
            places = [i for i, slot in enumerate(self.slots(part)) if self.life(step, slot)[1] == 0]
            held = self.held[part]
            if len(places) == self.size:
                self.held[part] = new
            else:
                where = torch.tensor(places, device=self.device)
                for name in TENSORS:
                    getattr(held, name)[where] = getattr(new, name)
                for place, index, source in zip(places, new.index, new.source, strict=True):
                    held.index[place], held.source[place] = index, source
        return self.held[part]

    def _with_room(self, batch: Batch) -> Batch:
        """Pad the clicks to the most that a sample can ever have: start set, then one per round."""
        size, count = batch.labels.shape
        points = batch.points.new_zeros(size, self.room, 2)
        labels = batch.labels.new_full((size, self.room), -1)
        points[:, :count], labels[:, :count] = batch.points, batch.labels
        return replace(batch, points=points, labels=labels)

    def clicked(self, network: nn.Module, batch: Batch, step: int) -> Batch:
        """The clicks are there already."""
        if self.device.type != "cpu":
            return batch  # looking which columns are empty would wait for the device
        used = (batch.labels >= 0).any(0)
        return replace(batch, points=batch.points[:, used], labels=batch.labels[:, used])

    def after(self, step: int, part: int, logits: Tensor) -> None:
        """Place the next click of every sample from the prediction that was just learned from."""
        held = self.held[part]
        if not self.config.rounds:
            return
        ages = [self.life(step, slot)[1] for slot in self.slots(part)]
        probability = torch.sigmoid(logits.detach().float())
        points, labels = next_clicks(probability, held.target, held.index, ages, self.config)
        column = torch.tensor(
            [2 * self.config.max_start_clicks + min(age, self.config.rounds - 1) for age in ages],
            device=self.device,
        )
        row = torch.arange(self.size, device=self.device)
        held.points[row, column] = points[:, 0]
        held.labels[row, column] = labels[:, 0]
        held.previous = probability

    def state_dict(self) -> dict:
        """The samples in flight of all processes, slot by slot."""
        items = []
        for part, held in enumerate(self.held):
            for place, slot in enumerate(self.slots(part)):
                row = {name: getattr(held, name)[place].cpu() for name in TENSORS}
                row["image"] = (row["image"] * 255).round().to(torch.uint8)
                items.append((slot, row, held.index[place], held.source[place]))
        return {"slots": gather_lists(items, self.share.world)}

    def load_state_dict(self, state: dict) -> None:
        """Go on with the samples in flight, also with another number of processes.

        Raises:
            InputError: they belong to a run with another batch.
        """
        items = {item[0]: item for item in state.get("slots", [])}
        if set(items) != set(range(self.config.batch_size)):
            raise InputError("cannot resume: carried samples belong to a run of another batch_size")
        for part in range(self.parts):
            chosen = [items[slot] for slot in self.slots(part)]
            tensors = {n: torch.stack([item[1][n] for item in chosen]) for n in TENSORS}
            if tensors["points"].shape[1] != self.room:
                raise InputError("cannot resume carried samples with another number of clicks")
            previous = tensors["previous"].to(self.device)
            batch = Batch(
                **tensors, index=[item[2] for item in chosen], source=[item[3] for item in chosen]
            )
            self.held[part] = replace(to_device(batch, self.device), previous=previous)


def next_clicks(
    probability: Tensor, target: Tensor, index: list[int], rounds: list[int], config: TrainConfig
) -> tuple[Tensor, Tensor]:
    """One click for every sample, keyed by (seed, sample, round).

    Returns:
        points (B, 1, 2) and labels (B, 1) on the device of `probability`.
    """
    rngs = [
        np.random.default_rng((config.seed, CLICKS, i, r))
        for i, r in zip(index, rounds, strict=True)
    ]
    if probability.device.type != "cpu":
        uniform = torch.tensor([rng.random() for rng in rngs], dtype=torch.float32)
        uniform = uniform.to(probability.device, non_blocking=True)
        return training_clicks_torch(probability, target, uniform)
    points, labels = training_clicks(probability.numpy(), target.numpy(), rngs)
    return torch.from_numpy(points), torch.from_numpy(labels)


@torch.no_grad()
def click_rounds(network: nn.Module, batch: Batch, rounds: int, config: TrainConfig) -> Batch:
    """Let the simulated user answer the network's mistakes, without gradients.

    Args:
        network: image, points, labels, previous mask -> logits; evaluated in evaluation mode.
        batch: on the device.
        rounds: how often to predict and click.
        config: the seed is read.

    Returns:
        the batch with one more click per round, and the last answer as previous mask.
    """
    if not rounds:
        return batch
    training = network.training
    network.eval()
    points, labels, previous = batch.points, batch.labels, batch.previous
    for done in range(rounds):
        previous = torch.sigmoid(network(batch.image, points, labels, previous).float())
        more = next_clicks(previous, batch.target, batch.index, [done] * len(batch.index), config)
        points = torch.cat([points, more[0]], dim=1)
        labels = torch.cat([labels, more[1]], dim=1)
    network.train(training)
    return replace(batch, points=points, labels=labels, previous=previous)
