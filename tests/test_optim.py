"""Parameter groups, layer-wise decay, schedules and averaged weights."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from simpleclick_lite.errors import InputError
from simpleclick_lite.model import PRESETS, SimpleClick, build_model
from simpleclick_lite.official import official_name
from simpleclick_lite.optim import (
    AveragedWeights,
    build_optimizer,
    parameter_groups,
    schedule_factor,
)


@pytest.mark.parametrize("name", ["xtiny", "base"])
def test_layer_decay_equals_the_published_one_but_for_the_click_embedding(golden, name):
    published = json.loads((golden / "layer_decay.json").read_text(encoding="utf-8"))
    theirs = published["models"][name]["parameters"]
    with torch.device("meta"):
        model = SimpleClick(PRESETS[name])
    depth = model.config.depth
    seen = set()
    for group in parameter_groups(model, depth, 1.0, 0.02, layer_decay=0.75):
        for ours in group["names"]:
            if ours.startswith("embedding.clicks."):
                # the published code never trains it; ours gives it the first layer's rate
                assert math.isclose(group["lr_scale"], 0.75 ** (depth + 1))
                continue
            expected = theirs[official_name(ours)]
            seen.add(official_name(ours))
            assert math.isclose(group["lr_scale"], expected["lr_scale"], rel_tol=1e-9), ours
            assert group["weight_decay"] == expected["weight_decay"], ours
            assert math.isclose(group["lr"], group["lr_scale"])
    never_run = ("cls_token", "fc_norm", "up_conv", "backbone.head", "backbone.norm")
    left = [k for k in theirs if k not in seen and not any(part in k for part in never_run)]
    assert not left


def test_without_layer_decay_there_is_one_rate_and_norms_do_not_decay():
    model = build_model("micro", 64)
    groups = parameter_groups(model, 8, 1e-3, 0.05)
    assert {g["lr"] for g in groups} == {1e-3}
    decays = {name: g["weight_decay"] for g in groups for name in g["names"]}
    assert len(decays) == len(list(model.parameters()))
    assert decays["backbone.blocks.0.norm1.weight"] == decays["backbone.pos_embed"] == 0
    assert decays["head.fuse.bias"] == 0 and decays["head.fuse.weight"] == 0.05


def test_frozen_parameters_are_in_no_group():
    model = build_model("micro", 64).freeze_backbone()
    names = [n for g in parameter_groups(model, 8, 1e-3) for n in g["names"]]
    assert not any(n.startswith(("backbone.", "embedding.image")) for n in names)
    assert "embedding.clicks.proj.weight" in names


def test_multistep_divides_by_ten_at_each_milestone():
    factor = schedule_factor("multistep", 100, milestones=[50, 90])
    assert factor(49) == 1 and math.isclose(factor(50), 0.1) and math.isclose(factor(99), 0.01)


def test_cosine_rises_linearly_then_falls_to_its_end():
    factor = schedule_factor("cosine", 100, warmup=10, final=0.01)
    rise = [factor(s) for s in range(11)]
    assert all(b > a for a, b in zip(rise, rise[1:], strict=False)) and math.isclose(rise[-1], 1)
    fall = [factor(s) for s in range(10, 101)]
    assert all(b < a for a, b in zip(fall, fall[1:], strict=False)) and math.isclose(fall[-1], 0.01)


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="schedule 'linear'"):
        schedule_factor("linear", 10)
    with pytest.raises(InputError, match="optimizer 'sgd'"):
        build_optimizer("sgd", [], 1.0)


def test_averaged_weights_follow_quickly_at_first_and_slowly_later():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = AveragedWeights(model, 0.99)
    nn.init.ones_(model.weight)
    average.update(model)
    assert math.isclose(float(average.values["weight"]), 0.9, rel_tol=1e-6)  # 1 - 1/10
    average.steps = 10**6
    average.values["weight"].zero_()
    average.update(model)
    assert math.isclose(float(average.values["weight"]), 0.01, rel_tol=1e-5)


def test_averaged_weights_go_through_a_checkpoint():
    model = nn.Linear(3, 2)
    average = AveragedWeights(model, 0.9)
    model.weight.data.add_(1)
    average.update(model)
    other = AveragedWeights(nn.Linear(3, 2), 0.9)
    other.load_state_dict(average.state_dict())
    assert other.steps == 1
    assert all(torch.equal(other.values[k], average.values[k]) for k in average.values)
