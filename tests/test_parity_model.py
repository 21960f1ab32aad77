"""The network against the published implementation, stage by stage."""

from __future__ import annotations

import pytest
import torch
from parity import check_gradients, check_sizes, check_stages

from simpleclick_lite import checkpoint

NAMES = {
    "model_micro_448.npz": "simpleclick_micro.pth",
    "model_micro_224.npz": "simpleclick_micro.pth",
    "model_micro12_448.npz": "simpleclick_micro12.pth",
    "model_micro14_448.npz": "simpleclick_micro14.pth",
    "model_xtiny_448.npz": "simpleclick_xtiny448.pth",
}


@pytest.mark.parametrize("fixture", NAMES)
def test_every_stage_equals_the_published_one(golden, fixture, report):
    model = checkpoint.load_model(golden / NAMES[fixture])
    report(check_stages(golden, model, fixture))


@pytest.mark.parametrize("tag", ["320x320", "448x672", "672x672"])
def test_other_sizes_equal_the_published_ones(golden, tag, report):
    model = checkpoint.load_model(golden / "simpleclick_micro.pth")
    report(check_sizes(golden, model, (tag,)))


def test_gradients_equal_the_published_ones(golden, report):
    model = checkpoint.load_model(golden / "simpleclick_micro.pth")
    report(check_gradients(golden, model))


@pytest.mark.parametrize(
    "height, width", [(464, 464), (496, 496), (560, 528), (208, 192), (16, 32)]
)
def test_sizes_at_which_the_published_code_stops_work(golden, height, width):
    model = checkpoint.load_model(golden / "simpleclick_micro.pth")
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    points, labels = torch.tensor([[[7.0, 9.0]]]), torch.tensor([[1]])
    with torch.no_grad():
        logits = model(image, points, labels)
    assert logits.shape == (1, 1, height, width)
    assert logits.isfinite().all()
