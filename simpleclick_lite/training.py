"""The training loop: samples, click rounds, loss, step.

Explained in notebooks/09_training.ipynb; section 3.3 of the paper. One loop for a laptop and a
cluster: Hugging Face Accelerate moves tensors, averages gradients and scales mixed precision, and
`accelerate launch` starts the processes.

All randomness is keyed: a sample's by (seed, its number), a step's by (seed, step). So a run that
was interrupted goes on exactly as if it had not been, and it does not matter how many processes
share a batch.
"""

from __future__ import annotations

import math
import time
import warnings
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from .checkpoint import save_model
from .data.sampling import Batch
from .distillation import FeatureDistillation
from .distributed import make_accelerator, shard
from .errors import InputError
from .loss import normalized_focal_loss
from .model import SimpleClick
from .optim import AveragedWeights, build_optimizer, parameter_groups, schedule_factor
from .predictor import get_device
from .simulation import MASK_THRESHOLD
from .training_batches import KeyedDropout, Share
from .training_checkpoint import checkpoint_of, restore
from .training_config import TrainConfig, check_config
from .training_guard import LossWatch, StopRequest, memory_advice
from .training_presets import PRESETS, changes, preset
from .training_rounds import CarriedRounds, FreshRounds
from .training_setup import make_model, make_samples
from .training_state import RunFolder
from .training_validation import Validation, describe

__all__ = ["PRESETS", "TrainConfig", "TrainResult", "Trainer", "preset", "train"]


@dataclass(frozen=True)
class TrainResult:
    """What a finished run gives back."""

    folder: Path  # holds config.json and model.safetensors
    steps: int  # finished optimizer steps
    samples_per_second: float  # over this call
    validation: dict[str, list[float]]  # data set -> mIoU after 1, 2, … clicks


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


def batch_iou(logits: Tensor, target: Tensor) -> Tensor:
    """Mean IoU of the thresholded prediction with the target; an empty union counts as 1."""
    limit = math.log(MASK_THRESHOLD / (1 - MASK_THRESHOLD))
    found, truth, counted = logits > limit, target == 1, target != -1
    both = (found & truth).sum((1, 2, 3)).float()
    either = ((found | truth) & counted).sum((1, 2, 3)).float()
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both)).mean()


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
        self.steps = config.steps or math.ceil(
            config.epochs * (config.epoch_length or len(self.samples)) / config.batch_size
        )
        epoch = self.steps / config.epochs if config.epochs else 1
        self.factor = schedule_factor(
            config.schedule,
            self.steps,
            config.warmup,
            [round(m * epoch) for m in config.milestones],
            final=config.final_rate,
        )
        self._build_model(model or make_model(config))
        rounds = CarriedRounds if config.carry else FreshRounds
        self.rounds = rounds(self.samples, config, self.device, self.share)
        self.validation = Validation(config, self.share, self.device)
        self.watch = LossWatch(self.device, self.folder)
        self.start = 0
        self.began, self.waited = time.perf_counter(), 0.0

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
        begin = model.state_dict() if config.start_share else {}
        self.began_with = {k: v.detach().cpu().clone() for k, v in begin.items()}
        model.to(self.device)
        if config.fsdp:
            if self.share.world == 1 or config.precision == "fp16":
                raise InputError(
                    "fsdp needs several processes (accelerate launch --num_processes N) and "
                    "precision no or bf16"
                )
            shard(model)
        self.average = AveragedWeights(model, config.ema) if config.ema else None
        groups = parameter_groups(
            model, model.config.depth, config.lr, config.weight_decay, config.layer_decay
        )
        self.distillation = self._build_distillation()
        if self.distillation is not None:
            learned = dict(self.distillation.named_parameters())
            groups.append(
                {
                    "params": list(learned.values()),
                    "names": [f"distillation.{name}" for name in learned],
                    "lr": config.lr,
                    "weight_decay": 0.0,
                    "lr_scale": 1.0,
                }
            )
        optimizer = build_optimizer(config.optimizer, groups, config.lr, (0.9, config.beta2))
        if config.compile:
            model.compile()
        if config.fsdp:
            self.network, self.optimizer = model, self.accelerator.prepare(optimizer)
        else:
            self.network, self.optimizer = self.accelerator.prepare(model, optimizer)

    def _build_distillation(self) -> FeatureDistillation | None:
        """The second loss, on the tokens; None where `distill` is 0."""
        if not self.config.distill:
            return None
        if self.share.world > 1:
            raise InputError("distill works in one process only; set it to 0")
        shape = self.model.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            found = FeatureDistillation(shape.width, shape.patch_size)
        found.watch(self.model.backbone)
        return found.to(self.device)

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
        self.began, self.waited = time.perf_counter(), 0.0
        found: dict[str, list[float]] = {}
        recent: list[tuple[Tensor, Tensor]] = []
        bar = tqdm(total=self.steps, initial=self.start, disable=not self.progress, unit="step")
        with bar, StopRequest(self.share.world, self.device) as stop:
            for step in range(self.start, self.steps):
                recent.append(self.step(step))
                done, last = step + 1, step + 1 == self.steps
                bar.update()
                if done % config.log_every == 0 or last:
                    self.report(done, recent, bar)
                    recent = []
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
        seconds = time.perf_counter() - self.began
        model = self.averaged_model()
        if self.main:
            save_model(model, self.folder.path)
        self.accelerator.wait_for_everyone()  # the next run may read these weights at once
        self.folder.close()
        rate = (self.steps - self.start) * config.batch_size / max(seconds, 1e-9)
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
        before = time.perf_counter()
        batch = self.rounds.next(step, part)
        self.waited += time.perf_counter() - before
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

    def report(self, done: int, recent: list[tuple[Tensor, Tensor]], bar: tqdm) -> None:
        """Write the means since the last report to metrics.jsonl and the progress bar."""
        loss, iou = (float(torch.stack(values).mean()) for values in zip(*recent, strict=True))
        seconds = time.perf_counter() - self.began
        rate = (done - self.start) * self.config.batch_size / seconds
        bar.set_postfix(loss=f"{loss:.4f}", iou=f"{iou:.3f}", samples_s=f"{rate:.1f}")
        values = {
            "loss": loss,
            "iou": iou,
            "lr": self.config.lr * self.factor(done - 1),
            "samples_per_second": rate,
            "waiting_for_data": self.waited / seconds,
            "seconds": seconds,
        }
        if self.device.type == "cuda":
            values["memory_gb"] = torch.cuda.max_memory_allocated() / 2**30
        self.folder.log(done, values)

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
        copy = type(self.model)(self.model.config)
        values = self.average.full() if self.average else AveragedWeights(self.model, 0).full()
        for name, before in self.began_with.items():
            after = values[name]
            values[name] = torch.lerp(after, before.to(after), self.config.start_share)
        copy.load_state_dict(values)
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
