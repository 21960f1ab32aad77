"""Trials of the shipped weights' recipe: a hierarchical network, its masks as a second target, and
crops for a masked autoencoder; small stand-ins for the network trained on ImageNet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from simpleclick_lite.checkpoint import load_model, save_model
from simpleclick_lite.data.sampling import Batch
from simpleclick_lite.mae import MaskedAutoencoder, pretrain, save_encoder
from simpleclick_lite.model import PRESETS, SimpleClick
from simpleclick_lite.training import train
from simpleclick_lite.training_presets import preset
from simpleclick_lite.training_setup import make_model

SIDE = 64
SMALL = {
    "model": "micro",
    "image_size": SIDE,
    "batch_size": 4,
    "steps": 2,
    "warmup": 0,
    "log_every": 1,
    "device": "cpu",
    "validation_objects": 0,
    "ema": 0.0,
}


class ImageNetStandIn(nn.Module):
    """The parts of EfficientNet-Lite0, one convolution in place of each of its blocks."""

    def __init__(self):
        super().__init__()
        strides = {1: 2, 3: 2, 5: 2, 11: 2}
        widths = [16] + [24] * 2 + [40] * 2 + [80] * 3 + [112] * 3 + [192] * 4 + [320]
        self._conv_stem = nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False)
        self._bn0, self._swish = nn.BatchNorm2d(32), nn.ReLU6()
        self._blocks = nn.ModuleList()
        for i, width in enumerate(widths):
            before = widths[i - 1] if i else 32
            self._blocks.append(nn.Conv2d(before, width, 3, strides.get(i, 1), padding=1))


@pytest.fixture
def hierarchical(script, monkeypatch):
    """The hierarchical network's module, without its ImageNet weights."""
    module = script("hierarchical")
    monkeypatch.setattr(module, "load_teacher", lambda: ImageNetStandIn().eval())
    return module


def _shape(width: int):
    return replace(PRESETS["micro"], image_size=SIDE, pyramid_channels=(width,) * 4)


def _clicks(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((count, 1, 2), 30.0), torch.ones(count, 1, dtype=torch.long)


def test_the_hierarchical_network_answers_clicks_at_the_images_size(hierarchical):
    torch.manual_seed(0)
    model = hierarchical.Hierarchical(_shape(hierarchical.WIDTH)).eval()
    image = torch.rand(2, 3, SIDE, 48)
    points, labels = _clicks(2)
    with torch.no_grad():
        first = model(image, points, labels)
        other = model(image, points / 3, labels)
    assert first.shape == (2, 1, SIDE, 48)
    assert not torch.equal(first, other), "the clicks reach the answer"


def test_the_hierarchical_networks_statistics_stay_those_of_imagenet(hierarchical):
    model = hierarchical.Hierarchical(_shape(hierarchical.WIDTH)).train()
    before = model.backbone.norm.running_mean.clone()
    model(torch.rand(2, 3, SIDE, SIDE), *_clicks(2)).sum().backward()
    assert torch.equal(model.backbone.norm.running_mean, before)
    assert model.backbone.blocks[0].weight.grad.abs().max() > 0, "its blocks learn"


def test_a_saved_hierarchical_network_comes_back_as_a_frozen_teacher(
    hierarchical, script, tmp_path: Path
):
    torch.manual_seed(0)
    model = hierarchical.Hierarchical(_shape(hierarchical.WIDTH)).eval()
    save_model(model, tmp_path)
    teacher = script("mask_teacher").load_hierarchical(tmp_path)
    assert not any(p.requires_grad for p in teacher.parameters())
    image = torch.rand(1, 3, SIDE, SIDE)
    with torch.no_grad():
        torch.testing.assert_close(teacher(image, *_clicks(1)), model(image, *_clicks(1)))


class Answer(nn.Module):
    """A teacher that gives the same logit everywhere and remembers what it was asked."""

    def __init__(self, logit: float):
        super().__init__()
        self.logit = logit
        self.asked: list[tuple] = []

    def forward(self, image, points, labels, previous):
        self.asked.append((image, points, labels, previous))
        return torch.full_like(image[:, :1], self.logit)


def _taught(script, out: Path, teacher: nn.Module, weight: float):
    config = preset("quick", **SMALL, out=str(out))
    return script("mask_teacher").TaughtTrainer(config, teacher, weight)


def test_the_masks_lesson_is_each_samples_cross_entropy_over_counted_pixels(script, tmp_path: Path):
    teacher = Answer(1.0)
    trainer = _taught(script, tmp_path / "run", teacher, 0.5)
    points, labels = _clicks(2)
    target = torch.zeros(2, 1, 2, 2, dtype=torch.int8)
    target[0, 0, 0] = -1  # one sample counts half as many pixels and as much as the other
    batch = Batch(
        torch.rand(2, 3, 2, 2), target, points, labels, [0, 1], ["", ""], torch.rand(2, 1, 2, 2)
    )
    logits = torch.tensor([[[[50.0, 9.0], [2.0, -1.0]]], [[[0.0, 1.0], [-2.0, 3.0]]]])
    p, q = torch.sigmoid(torch.tensor(1.0)), torch.sigmoid(logits)[:, 0]
    told = -(p * torch.log(q) + (1 - p) * torch.log(1 - q))
    expected = 0.5 * (told[0, 1].mean() + told[1].mean()) / 2
    torch.testing.assert_close(trainer.second_loss(batch, logits), expected)
    seen = (batch.image, batch.points, batch.labels, batch.previous)
    assert all(a is b for a, b in zip(teacher.asked[0], seen, strict=True)), "what the student sees"


def test_the_masks_lesson_is_added_to_the_annotated_masks(script, tmp_path: Path, monkeypatch):
    totals = []
    for name, weight in (("silent", 0.0), ("taught", 1.0)):
        trainer = _taught(script, tmp_path / name, Answer(2.0), weight)
        lessons = []
        second = trainer.second_loss

        def kept(batch, logits, second=second, lessons=lessons):
            lessons.append(second(batch, logits))
            return lessons[-1]

        monkeypatch.setattr(trainer, "second_loss", kept)
        monkeypatch.setattr(trainer.watch, "see", lambda _, total, __: totals.append(total.item()))
        trainer.rounds.begin(0, 2)
        trainer.step(0)
    assert totals[1] == pytest.approx(totals[0] + lessons[0].item(), rel=1e-5)
    assert lessons[0].item() > 0


def test_a_masks_lesson_changes_what_is_learned_and_weight_zero_does_not(script, tmp_path: Path):
    plain = train(preset("quick", **SMALL, out=str(tmp_path / "plain")), progress=False)
    silent = _taught(script, tmp_path / "silent", Answer(5.0), 0.0)
    silent.progress = False
    silent.run()
    taught = _taught(script, tmp_path / "taught", Answer(5.0), 10.0)
    taught.progress = False
    taught.run()
    models = [
        load_model(p).state_dict() for p in (plain.folder, tmp_path / "silent", tmp_path / "taught")
    ]
    assert all(torch.equal(models[0][k], models[1][k]) for k in models[0])
    bias = [m["head.classify.bias"] for m in models]
    assert bias[2] > bias[0], "told that all is object, it says so more"


def test_crops_for_pretraining_lie_inside_the_photograph_and_follow_the_seed(script):
    module = script("masked_pretraining")
    height, width = 200, 300
    boxes = [module.random_box(height, width, np.random.default_rng(i)) for i in range(300)]
    for x, y, w, h in boxes:
        assert 0 <= x <= width - w and 0 <= y <= height - h
        assert w * h > 0.95 * module.LEAST * height * width, "before the cut, up to rounding"
        assert w / h < 1.4 and h / w < 1.4
    assert max(x + w for x, _, w, _ in boxes) == width and min(x for x, *_ in boxes) == 0
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    crops = [module.random_crop(image, np.random.default_rng(i % 2)) for i in range(3)]
    assert crops[0].shape == (module.SIDE, module.SIDE, 3)
    assert np.array_equal(crops[0], crops[2]) and not np.array_equal(crops[0], crops[1])


def _autoencoder(seed: int = 0) -> tuple[SimpleClick, MaskedAutoencoder]:
    torch.manual_seed(seed)
    network = SimpleClick(replace(PRESETS["micro"], image_size=SIDE))
    return network, MaskedAutoencoder(network.embedding.image, network.backbone)


def test_pretraining_learns_from_the_crops_that_a_function_gives():
    def crops(step: int) -> torch.Tensor:
        asked.append(step)
        return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(step))

    found = {}
    for name, give in {"noise": crops, "gray": lambda step: 0 * crops(step) + step / 8}.items():
        asked: list[int] = []
        network, mae = _autoencoder()
        before = network.backbone.blocks[0].mlp.fc1.weight.detach().clone()
        found[name] = pretrain(mae, give, steps=4)
        assert asked == [0, 1, 2, 3]
        assert not torch.equal(network.backbone.blocks[0].mlp.fc1.weight, before), "it learned"
    assert found["noise"][0] != pytest.approx(found["gray"][0], rel=1e-3), "it saw what was given"


def test_a_saved_encoder_starts_a_training_at_the_crops_size(tmp_path: Path):
    network, mae = _autoencoder()
    with torch.no_grad():
        for weight in mae.parameters():
            weight += 0.01 * torch.randn_like(weight)
    save_encoder(mae, tmp_path / "encoder.pth")
    start = preset("scratch", image_size=SIDE, weights=str(tmp_path / "encoder.pth"))
    model = make_model(start)
    assert model.config.image_size == SIDE, "positions are not resampled in vain"
    for ours, theirs in (
        (model.backbone, network.backbone),
        (model.embedding.image, network.embedding.image),
    ):
        for name, value in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[name], value), name
    assert make_model(replace(start, model_size=96)).config.image_size == 96
