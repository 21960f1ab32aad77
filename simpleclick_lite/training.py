"""The training loop: samples, click rounds, loss, step.

Explained in notebooks/09_training.ipynb; section 3.3 of the paper. One loop for a laptop and a
cluster: Hugging Face Accelerate moves tensors, averages gradients and scales mixed precision, and
`accelerate launch` starts the processes.

All randomness is keyed: a sample's by (seed, its number), a step's by (seed, step). So a run that
was interrupted goes on exactly as if it had not been, and it does not matter how many processes
share a batch.
"""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from .checkpoint import save_model
from .data.sampling import Batch
from .distributed import check_sharding, make_accelerator, shard
from .loss import normalized_focal_loss
from .model import SimpleClick
from .optim import AveragedWeights, copied_weights, mixed
from .predictor import get_device
from .training_batches import KeyedDropout, Share, batch_iou
from .training_checkpoint import checkpoint_of, restore
from .training_config import TrainConfig, check_config
from .training_guard import LossWatch, StopRequest, memory_advice
from .training_meter import Meter
from .training_presets import PRESETS, changes, preset
from .training_rounds import CarriedRounds, FreshRounds
from .training_setup import (
    make_distillation,
    make_model,
    make_optimizer,
    make_samples,
    rate_factor,
    step_count,
)
from .training_state import RunFolder, TrainResult
from .training_validation import Validation, describe

__all__ = ["PRESETS", "TrainConfig", "TrainResult", "Trainer", "preset", "train"]


def train(config: TrainConfig, progress: bool = True) -> TrainResult:
    """Train a network; the result is `config.out`/config.json and model.safetensors.

    Args:
        config: all settings; `PRESETS` has complete ones, `preset(name, **changes)` changes them.
        progress: show a progress bar and what is saved.

    Returns:
        where the result lies and how it did.

    Raises:
        InputError: settings, data or folders that cannot work, or too little memory or disk, in one
            sentence.
        FloatingPointError: the loss is not a number; the batch is saved.
        KeyboardInterrupt: Ctrl-C; a checkpoint is saved.
    """
    with memory_advice(config):
        return Trainer(config, progress).run()


class Trainer:
    """Everything a run needs, and the loop. `train` is the short way to use it.

    Args:
        config: all settings.
        progress: show a progress bar.
        model: train this network, not one that `config` describes.

    Raises:
        InputError: settings, data or folders that cannot work.
    """

    def __init__(
        self, config: TrainConfig, progress: bool = True, model: SimpleClick | None = None
    ):
        check_config(config)
        self.config = config
        if config.threads:
            torch.set_num_threads(config.threads)
        cpu = get_device(config.device).type == "cpu"
        self.accelerator = make_accelerator(config.precision, cpu, config.accumulate)
        self.device = self.accelerator.device
        self.share = Share(self.accelerator.process_index, self.accelerator.num_processes)
        self.main = self.accelerator.is_main_process
        self.progress = progress and self.main
        self.folder = RunFolder(Path(config.out), config.keep, write=self.main)

        self.samples = make_samples(config)
        self.steps = step_count(config, len(self.samples))
        self.factor = rate_factor(config, self.steps)
        self._build_model(model or make_model(config))
        rounds = CarriedRounds if config.carry else FreshRounds
        self.rounds = rounds(self.samples, config, self.device, self.share)
        self.validation = Validation(config, self.share, self.device)
        self.watch = LossWatch(self.device, self.folder)
        self.start = 0
        self.meter = Meter(self.device, config.batch_size)

    def _build_model(self, model: SimpleClick) -> None:
        """Optimizer and averaged weights, on their devices and spread over processes."""
        config = self.config
        self.model = model
        if config.freeze_backbone:
            model.freeze_backbone()
        model.backbone.checkpointing = config.checkpointing
        channels = model.config.head_channels
        self.dropout = model.head.dropout = KeyedDropout(model.head.dropout, channels)
        # before a checkpoint is read, so that a resumed run mixes in the same
        self.began_with = copied_weights(model) if config.start_share else {}
        model.to(self.device)
        if config.fsdp:
            check_sharding(self.share.world, config.precision)
            shard(model)
        self.average = AveragedWeights(model, config.ema) if config.ema else None
        self.distillation = make_distillation(config, model, self.share.world)
        if self.distillation is not None:
            self.distillation.to(self.device)
        optimizer = make_optimizer(config, model, self.distillation)
        if config.compile:
            model.compile()
        if config.fsdp:
            self.network, self.optimizer = model, self.accelerator.prepare(optimizer)
        else:
            self.network, self.optimizer = self.accelerator.prepare(model, optimizer)

    def run(self) -> TrainResult:
        """Train from the start, or from the last checkpoint, to the end."""
        config = self.config
        if config.resume:
            self.resume()
        self.folder.begin(asdict(config), self.start)
        if self.progress:
            print(f"preset {config.preset}; {changes(config)}")
        self.rounds.begin(self.start, self.steps)
        self.network.train()
        self.meter.begin(self.start)
        found: dict[str, list[float]] = {}
        bar = tqdm(total=self.steps, initial=self.start, disable=not self.progress, unit="step")
        with bar, StopRequest(self.share.world, self.device) as stop:
            for step in range(self.start, self.steps):
                self.meter.see(*self.step(step))
                done, last = step + 1, step + 1 == self.steps
                bar.update()
                if done % config.log_every == 0 or last:
                    self.report(done, bar)
                if last or config.validate_every and done % config.validate_every == 0:
                    found = self.validate(done, bar)
                if config.picture_every and (done % config.picture_every == 0 or last):
                    self.picture(done)
                stopping = stop.agreed(done % config.log_every == 0)
                if done % config.checkpoint_every == 0 or last or stopping:
                    self.watch.check_all()
                    self.save(done, must=last or stopping)
                if stopping and not last:
                    if self.progress:
                        bar.write(f"stopped after {done} steps; go on with resume (--resume)")
                    stop.leave()
        rate = self.meter.rate(self.steps)
        model = self.averaged_model()
        if self.main:
            save_model(model, self.folder.path)
        self.accelerator.wait_for_everyone()  # the next run may read these weights at once
        self.folder.close()
        return TrainResult(self.folder.path, self.steps, rate, found)

    def step(self, step: int) -> tuple[Tensor, Tensor]:
        """One optimizer step.

        Returns:
            mean loss and mean IoU of this process's share, on the device.
        """
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr * group["lr_scale"] * self.factor(step)
        losses, ious = [], []
        for part in range(config.accumulate):
            with self.accelerator.accumulate(self.network):
                loss, iou = self.backward(step, part)
                if config.clip and self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.network.parameters(), config.clip)
                self.optimizer.step()
                self.optimizer.zero_grad()
            losses.append(loss)
            ious.append(iou)
        if self.average is not None:
            self.average.update(self.model)
        return torch.stack(losses).mean(), torch.stack(ious).mean()

    def backward(self, step: int, part: int) -> tuple[Tensor, Tensor]:
        """Samples, click rounds, loss and gradients of one part of a step.

        Returns:
            loss and IoU, means over the part's samples, on the device.
        """
        with self.meter.waiting():
            batch = self.rounds.next(step, part)
        with self.autocast():
            batch = self.rounds.clicked(self.network, batch, step)
        self.dropout.draw(batch.index, step, self.config.seed, self.device)
        with self.autocast():
            logits = self.network(batch.image, batch.points, batch.labels, batch.previous)
        target = batch.target.float()
        stable = self.config.stable_loss
        loss = normalized_focal_loss(logits.float(), target, stable=stable).mean()
        second = self.second_loss(batch, logits)
        total = loss if second is None else loss + second
        self.watch.see(step, total, batch)
        self.accelerator.backward(total)
        self.rounds.after(step, part, logits)
        return loss.detach(), batch_iou(logits.detach(), batch.target)

    def second_loss(self, batch: Batch, logits: Tensor) -> Tensor | None:
        """What a teacher adds to the loss; a subclass may have another lesson.

        Args:
            batch: B samples with the clicks they were answered with.
            logits: (B, 1, H, W) with gradients.

        Returns:
            a scalar, already weighted; None where there is no teacher. A mean over samples, so that
            parts and processes average to the whole batch's.
        """
        if self.distillation is None:
            return None
        with self.autocast():
            return self.config.distill * self.distillation(batch.image, batch.index)

    def autocast(self):
        """Mixed precision where it is asked for."""
        return nullcontext() if self.config.precision == "no" else self.accelerator.autocast()

    def report(self, done: int, bar: tqdm) -> None:
        """Write the means since the last report to metrics.jsonl and the progress bar."""
        values = self.meter.report(done)
        bar.set_postfix(
            loss=f"{values['loss']:.4f}",
            iou=f"{values['iou']:.3f}",
            samples_s=f"{values['samples_per_second']:.1f}",
        )
        self.folder.log(done, values | {"lr": self.config.lr * self.factor(done - 1)})

    def validate(self, done: int, bar: tqdm) -> dict[str, list[float]]:
        """Let the benchmark's robot click on the validation set, split over all processes."""
        if not self.config.validation_objects:
            return {}
        found = self.validation.run(self.averaged_model())
        self.folder.log(done, {"validation": found})
        if self.progress:
            bar.write(f"step {done}: {describe(found)}")
        return found

    def picture(self, done: int) -> None:
        """Save what the network makes of fixed validation objects."""
        model = self.averaged_model()
        if self.main:
            self.folder.picture(done, self.validation.picture(model))

    def averaged_model(self) -> SimpleClick:
        """A copy with the averaged weights (or the current ones), in evaluation mode.

        With `start_share` they are mixed with those that the run began with, which often serves
        both what was known and what was learned (Wortsman et al., CVPR 2022, arXiv:2109.01903).
        """
        values = self.average.full() if self.average else AveragedWeights(self.model, 0).full()
        copy = type(self.model)(self.model.config)
        copy.load_state_dict(mixed(values, self.began_with, self.config.start_share))
        return copy.eval()

    def save(self, done: int, must: bool) -> None:
        """Write a checkpoint.

        Args:
            done: finished steps.
            must: raise if it cannot be written; otherwise a full disk is a warning, the last good
                checkpoint stays, and the run goes on.
        """
        self.folder.checkpoint(done, checkpoint_of(self, done), must)

    def resume(self) -> None:
        """Continue from the newest checkpoint; without one, begin (a restarted job may ask for it).

        Raises:
            InputError: the checkpoint is of another network.
        """
        state = self.folder.last_checkpoint()
        if state is None:
            warnings.warn(f"{self.folder.path} holds no checkpoint; starting anew", stacklevel=3)
            return
        restore(self, state)
        self.start = min(state["step"], self.steps)
