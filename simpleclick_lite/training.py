"""The training loop: samples, click rounds, loss, step.

Explained in notebooks/09_training.ipynb; section 3.3 of the paper. One loop for a laptop and a
cluster: Hugging Face Accelerate moves tensors, averages gradients and scales mixed precision.

All randomness is keyed: a sample's by (seed, its number), a step's by (seed, step). So a run that
was interrupted goes on exactly as if it had not been, and it does not matter how many processes
share a batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from .checkpoint import load_model, save_model
from .data import dataset_info, open_dataset
from .data.sampling import Batch, SamplingConfig, TrainingSamples, collate, parse_mixture
from .errors import InputError
from .files import write_json
from .loss import normalized_focal_loss
from .model import PRESETS as MODEL_PRESETS
from .model import SimpleClick
from .optim import AveragedWeights, build_optimizer, parameter_groups, schedule_factor
from .predictor import Predictor, get_device
from .simulation import MASK_THRESHOLD, robot_click, training_clicks
from .training_presets import PRESETS, TrainConfig, check_config, preset
from .training_state import MetricsLog, load_checkpoint, save_checkpoint

__all__ = ["PRESETS", "TrainConfig", "preset", "train", "TrainResult"]


@dataclass(frozen=True)
class TrainResult:
    """What a finished run gives back."""

    folder: Path  # holds config.json and model.safetensors
    steps: int  # finished optimizer steps
    samples_per_second: float  # over this call
    validation: dict[str, list[float]]  # data set -> mIoU after 1, 2, … clicks


def make_model(config: TrainConfig) -> SimpleClick:
    """The network to train: given weights, or random ones that depend on the seed alone.

    Raises:
        InputError: unknown names, sizes that do not fit, weights that cannot be read.
    """
    size = config.model_size or config.image_size
    if config.weights:
        path = None if config.weights == "shipped" else config.weights
        return load_model(path, image_size=size)
    if config.model not in MODEL_PRESETS:
        raise InputError(f"model {config.model!r} is not one of {', '.join(MODEL_PRESETS)}")
    shape = replace(
        MODEL_PRESETS[config.model],
        image_size=size,
        pyramid=config.pyramid,
        dropout=config.dropout,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return SimpleClick(shape)


def make_samples(config: TrainConfig) -> TrainingSamples:
    """The stream of training samples.

    Raises:
        InputError: data that cannot be opened.
    """
    side = config.image_size
    sampling = SamplingConfig(
        augmentation=config.augmentation,
        image_size=side,
        min_area=config.min_area * (side / 448) ** 2,
        merge=config.merge,
        background=config.background,
        stuff=config.stuff,
        parts=config.parts,
        max_clicks=config.max_start_clicks,
        gamma=config.start_gamma,
    )
    short = round(config.cache_scale * side) if config.cache_scale else None
    sources = parse_mixture(config.data, config.root)
    cache = config.cache_mb * 2**20 // max(1, config.workers)
    return TrainingSamples(sources, sampling, config.seed, short, cache)


class IndexPlan:
    """Which samples this process loads: step by step, part by part.

    Step s of a run uses samples s * batch … (s + 1) * batch - 1, whatever the number of processes.
    """

    def __init__(self, config: TrainConfig, start: int, stop: int, rank: int, world: int):
        share, rest = divmod(config.batch_size, world * config.accumulate)
        if rest or share < 1:
            raise InputError(
                f"batch_size {config.batch_size} is not a multiple of {world} processes times "
                f"accumulate {config.accumulate}"
            )
        self.config, self.start, self.stop = config, start, stop
        self.rank, self.world, self.share = rank, world, share

    def __len__(self) -> int:
        return (self.stop - self.start) * self.config.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.start, self.stop):
            for part in range(self.config.accumulate):
                first = step * self.config.batch_size
                first += (part * self.world + self.rank) * self.share
                yield list(range(first, first + self.share))


def load_batches(samples: TrainingSamples, plan: IndexPlan, workers: int) -> Iterator[Batch]:
    """Batches in the order of the plan, made here or by loader processes."""
    if workers == 0:
        return (collate([samples[i] for i in indices]) for indices in plan)
    return iter(
        DataLoader(
            samples,
            batch_sampler=plan,
            num_workers=workers,
            collate_fn=collate,
            multiprocessing_context="spawn",
            persistent_workers=True,
            prefetch_factor=4,
        )
    )


@torch.no_grad()
def click_rounds(
    network: nn.Module, batch: Batch, rounds: int, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Let the simulated user answer the network's mistakes, without gradients.

    Args:
        network: image, points, labels, previous mask -> logits.
        batch: on the device, image as float in [0, 1].
        rounds: how often to predict and click.
        seed: the run's.

    Returns:
        points (B, N + rounds, 2), labels (B, N + rounds), previous mask (B, 1, S, S): what the
        training forward pass is shown.
    """
    points, labels = batch.points, batch.labels
    previous = torch.zeros_like(batch.image[:, :1])
    if not rounds:
        return points, labels, previous
    training = network.training
    network.eval()
    truth = batch.target.cpu().numpy()
    rngs = [np.random.default_rng((seed, 1, i)) for i in batch.index]
    for _ in range(rounds):
        previous = torch.sigmoid(network(batch.image, points, labels, previous).float())
        new_points, new_labels = training_clicks(previous.cpu().numpy(), truth, rngs)
        points = torch.cat([points, torch.from_numpy(new_points).to(points.device)], dim=1)
        labels = torch.cat([labels, torch.from_numpy(new_labels).to(labels.device)], dim=1)
    network.train(training)
    return points, labels, previous


def batch_iou(logits: Tensor, target: Tensor) -> Tensor:
    """Mean IoU of the thresholded prediction with the target; an empty union counts as 1."""
    limit = math.log(MASK_THRESHOLD / (1 - MASK_THRESHOLD))
    found, truth, counted = logits > limit, target == 1, target != -1
    both = (found & truth).sum((1, 2, 3)).float()
    either = ((found | truth) & counted).sum((1, 2, 3)).float()
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both)).mean()


def train(config: TrainConfig, progress: bool = True) -> TrainResult:
    """Train a network.

    Args:
        config: all settings; `PRESETS` has complete ones.
        progress: show a progress bar.

    Returns:
        where the result lies and how it did.

    Raises:
        InputError: settings, data or folders that cannot work, in one sentence.
        FloatingPointError: the loss is not a number; the batch is saved.
    """
    from accelerate import Accelerator

    check_config(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    device = get_device(config.device)
    accelerator = Accelerator(
        mixed_precision=config.precision,
        cpu=device.type == "cpu",
        gradient_accumulation_steps=config.accumulate,
    )
    main = accelerator.is_main_process
    folder = Path(config.out)
    samples = make_samples(config)
    steps = config.steps or math.ceil(
        config.epochs * (config.epoch_length or len(samples)) / config.batch_size
    )
    per_epoch = steps / config.epochs if config.epochs else 1
    model = make_model(config)
    groups = parameter_groups(
        model, model.config.depth, config.lr, config.weight_decay, config.layer_decay
    )
    optimizer = build_optimizer(config.optimizer, groups, config.lr, (0.9, config.beta2))
    factor = schedule_factor(
        config.schedule, steps, config.warmup, [round(m * per_epoch) for m in config.milestones]
    )
    model.to(accelerator.device)
    average = AveragedWeights(model, config.ema) if config.ema else None
    start = 0
    if config.resume:
        state = load_checkpoint(folder)
        start = state["step"]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if average is not None:
            average.load_state_dict(state["average"])
    network, optimizer = accelerator.prepare(model, optimizer)
    log = None
    if main:
        write_json(folder / "training.json", asdict(config))
        log = MetricsLog(folder / "metrics.jsonl", start)

    def checkpoint(step: int) -> None:
        if main:
            state = {
                "step": step,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "average": average.state_dict() if average else None,
            }
            save_checkpoint(folder, step, state, config.keep)

    plan = IndexPlan(config, start, steps, accelerator.process_index, accelerator.num_processes)
    batches = load_batches(samples, plan, config.workers)
    network.train()
    bar = tqdm(total=steps, initial=start, disable=not (progress and main), unit="step")
    began = time.perf_counter()
    waited = 0.0
    recent: list[tuple[float, float]] = []
    validation: dict[str, list[float]] = {}
    for step in range(start, steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * group["lr_scale"] * factor(step)
        rounds = int(np.random.default_rng((config.seed, 2, step)).integers(config.rounds + 1))
        losses, ious = [], []
        for part in range(config.accumulate):
            before = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - before
            batch = to_device(batch, accelerator.device)
            with accelerator.autocast():
                points, labels, previous = click_rounds(network, batch, rounds, config.seed)
            with accelerator.accumulate(network):
                with accelerator.autocast():
                    logits = network(batch.image, points, labels, previous)
                loss = normalized_focal_loss(
                    logits.float(), batch.target.float(), stable=config.stable_loss
                ).mean()
                accelerator.backward(loss)
                if config.clip and part == config.accumulate - 1:
                    accelerator.clip_grad_norm_(network.parameters(), config.clip)
                optimizer.step()
                optimizer.zero_grad()
            losses.append(loss.detach())
            ious.append(batch_iou(logits.detach(), batch.target))
        if average is not None:
            average.update(model)
        done = step + 1
        value = float(torch.stack(losses).mean())
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value} at step {done}")
        recent.append((value, float(torch.stack(ious).mean())))
        bar.update()
        if done % config.log_every == 0 or done == steps:
            seconds = time.perf_counter() - began
            mean = np.mean(recent, axis=0)
            recent.clear()
            rate = (done - start) * config.batch_size / seconds
            bar.set_postfix(loss=f"{mean[0]:.4f}", iou=f"{mean[1]:.3f}", samples_s=f"{rate:.1f}")
            if log:
                log.write(
                    step=done,
                    loss=float(mean[0]),
                    iou=float(mean[1]),
                    lr=config.lr * factor(step),
                    samples_per_second=rate,
                    waiting_for_data=waited / seconds,
                    seconds=seconds,
                )
        if config.validate_every and done % config.validate_every == 0 or done == steps:
            if main and config.validation_objects:
                validation = validate(averaged(model, average), config)
                log.write(step=done, validation=validation)
                bar.write(f"step {done}: " + describe(validation))
        if done % config.checkpoint_every == 0 or done == steps:
            checkpoint(done)
    seconds = time.perf_counter() - began
    bar.close()
    if main:
        save_model(averaged(model, average), folder)
    return TrainResult(
        folder, steps, (steps - start) * config.batch_size / max(seconds, 1e-9), validation
    )


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move a batch; the image becomes float in [0, 1]."""
    return replace(
        batch,
        image=batch.image.to(device, non_blocking=True).float() / 255,
        target=batch.target.to(device, non_blocking=True),
        points=batch.points.to(device, non_blocking=True),
        labels=batch.labels.to(device, non_blocking=True),
    )


def averaged(model: SimpleClick, average: AveragedWeights | None) -> SimpleClick:
    """A copy of the network with the averaged weights (or the current ones), in evaluation mode."""
    copy = SimpleClick(model.config)
    copy.load_state_dict(average.values if average else model.state_dict())
    return copy.eval()


def validate(model: SimpleClick, config: TrainConfig) -> dict[str, list[float]]:
    """The benchmark's robot on a small fixed set.

    Returns:
        data set -> mean IoU after 1, 2, … clicks.
    """
    predictor = Predictor(model, config.device, flip=False, crop_size=config.image_size)
    found = {}
    for source in parse_mixture(config.validation_data, config.root):
        options = {}
        if source.name == "synthetic":
            options["length"] = config.validation_objects
        split = "val" if "val" in dataset_info(source.name).splits else None
        samples = open_dataset(source.name, source.root, split, **options)
        rows = [
            robot_ious(predictor, sample.image, sample.mask, config.validation_clicks)
            for sample in samples.limit(config.validation_objects)
        ]
        found[source.name] = [float(v) for v in np.mean(rows, axis=0)]
    return found


def robot_ious(
    predictor: Predictor, image: np.ndarray, truth: np.ndarray, clicks: int
) -> list[float]:
    """IoU after each click of the robot user."""
    predictor.set_image(image)
    made, ious = [], []
    mask = np.zeros(truth.shape, bool)
    for _ in range(clicks):
        made.append(robot_click(mask, truth, made))
        result = predictor.predict([(c.x, c.y) for c in made], [int(c.positive) for c in made])
        mask = result.mask
        counted = truth != -1
        both = np.count_nonzero(mask & (truth == 1))
        either = np.count_nonzero((mask | (truth == 1)) & counted)
        ious.append(both / either if either else 1.0)
    return ious


def describe(validation: dict[str, Sequence[float]]) -> str:
    """One line: mIoU after 1, 3 and the last click of every set."""
    parts = []
    for name, values in validation.items():
        chosen = sorted({1, 3, len(values)} & set(range(1, len(values) + 1)))
        parts.append(name + " " + " ".join(f"mIoU@{k} {values[k - 1]:.3f}" for k in chosen))
    return "; ".join(parts)


Callback = Callable[[int, dict[str, float]], None]
