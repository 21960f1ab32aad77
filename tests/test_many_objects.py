"""The benchmark of many objects: ways against the first one, and the tool's two ways agree."""

from __future__ import annotations

from dataclasses import replace

import torch

from simpleclick_lite.model import PRESETS, SimpleClick
from simpleclick_lite.predictor import Predictor


def test_ways_are_compared_by_medians_with_the_first(script):
    rows = script("many_objects").compared({"plain": [4.0, 2.0, 3.0], "batch": [1.0, 9.0, 1.5]})
    assert rows["plain"] == {"seconds": 3.0, "range": [2.0, 4.0], "times_faster": 1.0}
    assert rows["batch"] == {"seconds": 1.5, "range": [1.0, 9.0], "times_faster": 2.0}


def test_the_tool_answers_all_objects_of_a_photograph_as_one_after_the_other(script):
    torch.manual_seed(0)
    predictor = Predictor(SimpleClick(replace(PRESETS["micro"], image_size=64)).eval(), "cpu")
    found = script("many_objects").in_the_tool(predictor, clicks=2, rounds=1)
    assert found["objects"] >= 4, "the photograph with the most objects"
    assert found["objects"] <= found["clicks"] <= 2 * found["objects"]
    assert found["pixels_that_differ"] <= 5, "rounding at the threshold"
    assert list(found["rows"]) == ["one after the other", "together"]
