"""Milliseconds per click beside the plain reference."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from simpleclick_lite import cli, latency, layer_costs
from simpleclick_lite.clicks import draw_disks
from simpleclick_lite.errors import InputError
from simpleclick_lite.model import PRESETS
from simpleclick_lite.predictor import Predictor
from simpleclick_lite.reference import PlainNetwork, PlainPredictor, whole_image_disks


def test_the_reference_draws_the_same_disks():
    rng = torch.Generator().manual_seed(0)
    points = torch.rand(3, 7, 2, generator=rng, dtype=torch.float64) * 40 - 4
    labels = torch.randint(-1, 2, (3, 7), generator=rng)
    for radius in (5, 2.5):
        expected = draw_disks(points, labels, (30, 33), radius)
        assert torch.equal(whole_image_disks(points, labels, (30, 33), radius), expected)


def test_the_reference_answers_as_the_predictor():
    model, weights = latency.make_case("micro", 64)
    assert weights == "random"
    torch.nn.init.normal_(model.head.classify.weight, std=3)  # so that every click tells
    image, points, labels = latency.make_clicks(4)
    for flip in (True, False):
        exact = Predictor(model, "cpu", flip=flip)
        plain = PlainPredictor(PlainNetwork(model), "cpu", flip=flip)
        exact.set_image(image)
        plain.set_image(image)
        for k in range(1, 5):
            a, b = (p.predict(points[:k], labels[:k]) for p in (exact, plain))
            assert np.abs(a.probability - b.probability).max() < 1e-4
            assert a.crop == b.crop
            assert a.probability.std() > 0.1
    assert not any(block.attn.fused_attn for block in plain.model.model.backbone.blocks)
    assert all(block.attn.fused_attn for block in model.backbone.blocks)


def test_clicks_are_on_and_beside_the_object():
    _, points, labels = latency.make_clicks(6)
    assert labels[0] == 1 and set(labels) == {0, 1} and len(points) == 6


def test_parts_have_all_operations_of_the_network():
    counts = layer_costs.count_parts(latency.make_case("micro", 64)[0])
    whole = counts.pop("whole click")
    assert sum(counts.values()) == whole
    assert all(counts[part] > 0 for part in counts if part != "norms")


def test_measure_compares_in_turns_and_says_where_time_goes():
    lines = []
    result = latency.measure([("micro", 32)], clicks=2, options=["bf16"], say=lines.append)
    row = result["rows"][0]
    assert row["largest_difference"] < 1e-4
    assert row["ratio"]["quartiles"][0] <= row["ratio"]["median"] <= row["ratio"]["quartiles"][1]
    assert {part["part"] for part in row["layers"]} == {*layer_costs.PARTS, "the rest"}
    assert sum(part["share_of_time"] for part in row["layers"]) == pytest.approx(1, abs=0.01)
    assert sum(part["share_of_loss"] for part in row["layers"]) == pytest.approx(1, abs=0.01)
    assert all(0 <= part["share_of_loss"] <= 1 for part in row["layers"])
    assert 0 < row["share_of_peak"] < 1.1 and row["weights"] == "random"
    option = result["options"][0]
    assert option.get("skipped") or 0 < option["largest_difference"] < 0.5
    assert len(lines) == 2
    json.dumps(result)


def test_an_option_that_is_not_there_is_skipped_with_its_reason(monkeypatch):
    def missing(*_):
        raise InputError("no such processor")

    monkeypatch.setattr(latency, "make_option", missing)
    result = latency.measure([("micro", 32)], 1, options=["bf16"], say=lambda line: None)
    assert result["options"][0]["skipped"] == "no such processor"


@pytest.mark.parametrize("option", ["onnx", "int8"])
def test_onnxruntime_answers_like_the_network(option, tmp_path):
    model = latency.make_case("micro", 32)[0]
    torch.nn.init.normal_(model.head.classify.weight, std=3)
    made = latency.make_option(option, model, tmp_path, 1)
    inputs = (
        torch.rand(1, 3, 32, 32),
        torch.tensor([[[10.0, 12.0], [20, 20]]]),
        torch.tensor([[1, 0]]),
        torch.rand(1, 1, 32, 32),
    )
    with torch.no_grad():
        answer, expected = made(*inputs), model(*inputs)
    difference = float((answer - expected).abs().max() / expected.std())
    assert expected.std() > 1
    assert difference < 1e-4 if option == "onnx" else 1e-4 < difference < 0.5


def test_compiling_needs_no_compiler_until_it_runs():
    assert latency.make_option("compile", latency.make_case("micro", 32)[0], None, 1) is not None


def test_wrong_names_are_refused():
    with pytest.raises(InputError, match="giant"):
        latency.make_case("giant", 32)
    with pytest.raises(InputError, match="fp4"):
        latency.measure([("micro", 32)], 1, options=["fp4"])


def test_bench_prints_and_writes_the_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(PRESETS, "xtiny", PRESETS["micro"])
    out = tmp_path / "latency.json"
    command = ["bench", "--table", "latency", "--models", "xtiny", "--image-size", "32"]
    assert cli.main([*command, "--clicks", "1", "--threads", "1", "--json", str(out)]) == 0
    assert "ratio" in capsys.readouterr().out
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["rows"][0]["size"] == 32 and written["command"].startswith("simpleclick-lite")
    assert cli.main(["bench", "--table", "latency", "--options", "fp4"]) == 2
