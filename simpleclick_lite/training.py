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
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .checkpoint import load_model, save_model
from .data import dataset_info, open_dataset
from .data.sampling import SamplingConfig, TrainingSamples, parse_mixture
from .errors import InputError
from .files import write_json
from .loss import normalized_focal_loss
from .model import PRESETS as MODEL_PRESETS
from .model import SimpleClick
from .optim import AveragedWeights, build_optimizer, parameter_groups, schedule_factor
from .predictor import Predictor, get_device
from .simulation import MASK_THRESHOLD, robot_click
from .training_presets import PRESETS, TrainConfig, check_config, preset
from .training_rounds import CarriedRounds, FreshRounds, KeyedDropout, Share
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
    dropout = model.head.dropout = KeyedDropout(model.head.dropout, model.config.head_channels)
    model.to(accelerator.device)
    average = AveragedWeights(model, config.ema) if config.ema else None
    share = Share(accelerator.process_index, accelerator.num_processes)
    rounds = (CarriedRounds if config.carry else FreshRounds)(
        samples, config, accelerator.device, share
    )
    start = 0
    if config.resume:
        state = load_checkpoint(folder)
        start = state["step"]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if average is not None:
            average.load_state_dict(state["average"])
        rounds.load_state_dict(state["rounds"])
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
                "rounds": rounds.state_dict(),
            }
            save_checkpoint(folder, step, state, config.keep)

    rounds.begin(start, steps)
    network.train()
    bar = tqdm(total=steps, initial=start, disable=not (progress and main), unit="step")
    began = time.perf_counter()
    waited = 0.0
    recent: list[tuple[float, float]] = []
    validation: dict[str, list[float]] = {}
    for step in range(start, steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * group["lr_scale"] * factor(step)
        losses, ious = [], []
        for part in range(config.accumulate):
            before = time.perf_counter()
            batch = rounds.next(step, part)
            waited += time.perf_counter() - before
            with accelerator.autocast():
                batch = rounds.clicked(network, batch, step)
            with accelerator.accumulate(network):
                dropout.draw(batch.index, step, config.seed, accelerator.device)
                with accelerator.autocast():
                    logits = network(batch.image, batch.points, batch.labels, batch.previous)
                loss = normalized_focal_loss(
                    logits.float(), batch.target.float(), stable=config.stable_loss
                ).mean()
                accelerator.backward(loss)
                if config.clip and part == config.accumulate - 1:
                    accelerator.clip_grad_norm_(network.parameters(), config.clip)
                optimizer.step()
                optimizer.zero_grad()
            rounds.after(step, part, logits)
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
        due = config.validate_every and done % config.validate_every == 0 or done == steps
        if due and main and config.validation_objects:
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
