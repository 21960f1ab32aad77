"""Layer-wise learning-rate decay against the published parameter groups."""

from __future__ import annotations

import json

import pytest

from simpleclick_lite.counting import meta_model
from simpleclick_lite.official import official_name
from simpleclick_lite.optim import parameter_groups


@pytest.mark.parametrize("name", ["xtiny", "base"])
def test_rates_and_weight_decay_equal_the_published_ones(golden, name, report):
    data = json.loads((golden / "layer_decay.json").read_text(encoding="utf-8"))
    theirs = data["models"][name]["parameters"]
    forgotten = set(data["models"][name]["not_in_any_group_never_updated"])
    model = meta_model(name)
    groups = parameter_groups(model, model.config.depth, 1e-4, 0.02, data["layer_decay"])
    largest, seen = 0.0, set()
    for group in groups:
        for ours in group["names"]:
            key = official_name(ours)
            seen.add(key)
            if key in forgotten:  # the click patch embedding: ours gives it the first layer's rate
                assert group["lr_scale"] == pytest.approx(0.75 ** (model.config.depth + 1))
                continue
            assert group["weight_decay"] == theirs[key]["weight_decay"], key
            largest = max(largest, abs(group["lr_scale"] - theirs[key]["lr_scale"]))
            assert group["lr"] == pytest.approx(1e-4 * theirs[key]["lr_scale"], rel=1e-9)
    assert seen == {official_name(k) for k, _ in model.named_parameters()}
    assert forgotten <= seen and largest < 1e-12
    report({"rate": largest})
