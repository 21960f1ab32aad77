"""A laboratory for one CPU core: toy data, a toy network, and a training loop of a minute.

Used in the notebooks and in benchmarks/ wherever an idea is to be tried out rather than a good
model made: pictures of 64 pixels, patches of 8, one object to find. The real training loop is in
training.py.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from .clicks import pad_clicks
from .data.synthetic import SyntheticScenes
from .loss import normalized_focal_loss
from .model import ModelConfig, SimpleClick
from .optim import one_cycle
from .simulation import MASK_THRESHOLD, robot_click, training_clicks

TOY = ModelConfig(
    image_size=64,
    patch_size=8,
    width=64,
    depth=4,
    heads=2,
    pyramid_channels=(16, 32, 48, 64),
    head_channels=16,
    disk_radius=2,  # about the share of the side that 5 pixels take in 224
    dropout=0.0,
)


@dataclass(frozen=True)
class ToyData:
    """Pictures with one object each.

    Attributes:
        images: (N, 3, s, s) float32 in [0, 1].
        masks: (N, 1, s, s) int8, 1 object, 0 background.
    """

    images: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.images)


@functools.lru_cache(maxsize=4)
def toy_data(count: int, size: int = 64, seed: int = 0, split: str = "train") -> ToyData:
    """Drawn scenes with one object chosen in each, of 3% to 60% of the picture.

    Args:
        count: number of pictures.
        size: side in pixels.
        seed: another seed gives other scenes.
        split: "train" or "val"; no scene is in both.
    """
    scenes = SyntheticScenes(size, seed, split=split)
    rng = np.random.default_rng(seed)
    images, masks = [], []
    index = 0
    while len(images) < count:
        scene = scenes[index]
        index += 1
        shares = scene.masks.mean((1, 2))
        fitting = np.flatnonzero((shares > 0.03) & (shares < 0.6))
        if len(fitting):
            images.append(scene.image)
            masks.append(scene.mask(int(rng.choice(fitting))))
    pictures = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return ToyData(pictures, torch.from_numpy(np.stack(masks)[:, None].astype(np.int8)))


def toy_model(seed: int = 0, **changes) -> SimpleClick:
    """A SimpleClick with about 300,000 weights; `changes` are fields of ModelConfig.

    The weights depend on `seed` alone; PyTorch's own generator is left as it was.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SimpleClick(replace(TOY, **changes))


def toy_train(
    model: nn.Module,
    data: ToyData,
    steps: int,
    batch_size: int = 16,
    rate: float = 2e-3,
    rounds: int = 2,
    seed: int = 0,
) -> list[float]:
    """Train with simulated clicks: one click in the object, then up to `rounds` corrections.

    Args:
        model: called as model(image, points, labels, previous_mask) -> logits; trained in place.
        data: pictures with one object each.
        steps: optimizer steps of AdamW, with a short warm-up and a cosine to zero.
        batch_size: pictures a step.
        rate: highest learning rate.
        rounds: most correcting clicks after the first.
        seed: of the order of pictures and of the clicks.

    Returns:
        the loss of every step.
    """
    rng = np.random.default_rng(seed)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.02)
    schedule = one_cycle(optimizer, rate, steps)
    losses = []
    model.train()
    for _ in range(steps):
        chosen = rng.choice(len(data), batch_size)
        image, mask = data.images[chosen], data.masks[chosen]
        if rng.random() < 0.5:
            image, mask = image.flip(-1), mask.flip(-1)
        points, labels, previous = _simulate(model, image, mask, int(rng.integers(rounds + 1)), rng)
        logits = model(image, points, labels, previous)
        loss = normalized_focal_loss(logits, mask).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    model.eval()
    return losses


def _simulate(
    model: nn.Module, image: Tensor, mask: Tensor, corrections: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Clicks and previous mask after `corrections` rounds with the present model."""
    truth, rngs = mask.numpy(), [rng] * len(mask)
    previous = torch.zeros_like(image[:, :1])
    points, labels = map(torch.from_numpy, training_clicks(previous.numpy(), truth, rngs))
    for _ in range(corrections):
        with torch.no_grad():
            previous = torch.sigmoid(model(image, points, labels, previous))
        more = map(torch.from_numpy, training_clicks(previous.numpy(), truth, rngs))
        points, labels = (torch.cat(pair, 1) for pair in zip((points, labels), more, strict=True))
    return points, labels, previous


def toy_scores(model: nn.Module, data: ToyData, clicks: int = 3) -> list[float]:
    """Mean IoU after 1, 2, ... `clicks` clicks of the benchmark's robot.

    Args:
        model: as in `toy_train`.
        data: pictures that were not trained on.
        clicks: on each object.
    """
    truth = data.masks[:, 0].numpy()
    given: list[list] = [[] for _ in range(len(data))]
    previous = torch.zeros_like(data.images[:, :1])
    scores = []
    for _ in range(clicks):
        answers = previous[:, 0].numpy() > MASK_THRESHOLD
        for k, answer in enumerate(answers):
            given[k].append(robot_click(answer, truth[k], given[k]))
        points, labels = pad_clicks(given)
        with torch.inference_mode():
            previous = torch.sigmoid(model(data.images, points, labels, previous))
        answers = previous[:, 0].numpy() > MASK_THRESHOLD
        both = (answers & (truth == 1)).sum((1, 2))
        either = (answers | (truth == 1)).sum((1, 2))
        scores.append(float(np.mean(both / either)))
    return scores
