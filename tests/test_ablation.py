"""Ablations: the grid, one real run of it, resuming, the table's rows, a pretrained encoder."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import data_writers
import pytest
import torch

from simpleclick_lite import ablation_grid
from simpleclick_lite.ablation import (
    axes,
    base_label,
    full_plan,
    pretrain_encoder,
    quick_plan,
    run,
    spread,
)
from simpleclick_lite.ablation_grid import axis_runs, run_grid, table_rows, write_table
from simpleclick_lite.checkpoint import load_model
from simpleclick_lite.errors import InputError
from simpleclick_lite.model import ModelConfig, SimpleClick
from simpleclick_lite.plots import curve_axes, spread_dots
from simpleclick_lite.tables import print_table
from simpleclick_lite.training import make_model
from simpleclick_lite.training_config import TrainConfig
from simpleclick_lite.training_presets import preset

TINY = {"image_size": 48, "model_size": 48, "batch_size": 4, "steps": 1, "warmup": 0}


def tiny_plan(weights: str | None = None, **changes):
    """One step on tiny drawn scenes, one object, two clicks."""
    return replace(quick_plan(weights, **{**TINY, **changes}), objects=1, clicks=2)


def fake_run(noc: float, data: str = "synthetic"):
    """What `ablation.run` returns."""
    scores = {"noc80": noc, "noc85": noc, "noc90": noc, "failures90": 0, "miou": [0.5, 0.6]}
    return {"results": {data: scores | {"objects": 1}}, "cpu_seconds": 1.0}


@pytest.mark.parametrize("plan", [quick_plan(None), full_plan("SBD", "VOC")])
def test_every_setting_changes_the_base_and_nothing_twice(plan):
    names = {f.name for f in fields(TrainConfig)}
    seen = []
    for axis, settings in axes(plan).items():
        assert base_label(plan, axis) not in set(settings) - {"simple"}, axis
        for label, changes in settings.items():
            assert set(changes) <= names, label
            changed = replace(plan.base, **changes)
            assert (changed == plan.base) == (label == "simple"), label
            seen.append(tuple(sorted(changes.items())))
    assert len(seen) == len(set(seen))
    assert len(axes(plan)["design"]) == len(axes(plan)["frozen design"]) == 4


def test_the_papers_grid_starts_from_the_published_recipe():
    plan = full_plan("data/SBD", "data/VOC")
    same = {"data": "sbd", "validation_objects": plan.base.validation_objects}
    assert replace(plan.base, data="sbd") == preset("sbd_base", **same)
    assert plan.benchmarks == "sbd=data/SBD,pascal_voc=data/VOC"
    assert plan.flip and plan.clicks == 20 and plan.objects == 0


def test_a_run_trains_the_changed_network_and_measures_it(tmp_path: Path):
    changes = {"previous_mask": False, "disk_radius": 2.0, "pyramid": "parallel"}
    found = run(tiny_plan(), changes, 0, tmp_path / "run")
    scores = found["results"]["synthetic"]
    assert len(scores["miou"]) == 2 and scores["objects"] == 1
    assert found["cpu_seconds"] > 0
    config = load_model(tmp_path / "run").config
    assert (config.previous_mask, config.disk_radius, config.pyramid) == (False, 2.0, "parallel")
    again = run(tiny_plan(), changes, 0, tmp_path / "run")  # the training is there already
    assert again["results"] == found["results"]
    other = run(tiny_plan(), changes, 1, tmp_path / "other")
    assert other["results"] != found["results"]


def test_an_interrupted_grid_goes_on(tmp_path: Path, monkeypatch):
    calls = []

    def stop_at_third(plan, changes, seed, out, progress):
        if len(calls) == 2:
            calls.append("stop")
            raise KeyboardInterrupt
        calls.append((seed, changes["pyramid"]))
        return fake_run(10.0 + seed)

    monkeypatch.setattr(ablation_grid, "run", stop_at_third)
    path = tmp_path / "grid.json"
    with pytest.raises(KeyboardInterrupt):
        run_grid(tiny_plan(), [0], tmp_path, path, ["design"])
    assert len(json.loads(path.read_text(encoding="utf-8"))["results"]) == 2
    result = run_grid(tiny_plan(), [0, 1], tmp_path, path, ["design"])
    runs = [call for call in calls if call != "stop"]
    assert len(runs) == len(set(runs)) == 8, "nothing ran twice"
    assert result["seeds"] == [0, 1]
    assert json.loads(path.read_text(encoding="utf-8")) == result
    assert list(axis_runs(result, "design")) == ["simple", "single_scale", "parallel", "partial"]
    assert list(axis_runs(result, "disk radius")) == ["disks of radius 5"], "what ran, no more"


def test_a_grid_refuses_foreign_results_and_unknown_axes(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(ablation_grid, "run", lambda *a: fake_run(9.0))
    path = tmp_path / "grid.json"
    run_grid(tiny_plan(), [0], tmp_path, path, ["previous mask"])
    with pytest.raises(InputError, match="measured with other settings"):
        run_grid(tiny_plan(steps=2), [0], tmp_path, path, ["previous mask"])
    with pytest.raises(InputError, match="there is no axis 'size'"):
        run_grid(tiny_plan(), [0], tmp_path, path, ["size"])


def test_rows_stand_beside_the_papers_with_their_range(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(ablation_grid, "run", lambda p, c, seed, *a: fake_run(10.0 + 2 * seed))
    result = run_grid(tiny_plan(), [0, 1], tmp_path, tmp_path / "grid.json", ["design"])
    rows = table_rows(result)
    assert [row["design"] for row in rows] == ["simple FP", "single-scale", "parallel", "partial"]
    write_table(result, tmp_path / "results" / "table.json")
    text = print_table("ablation", tmp_path / "results")
    ours = [line for line in text.splitlines() if "measured here (synthetic, 1 steps" in line]
    assert len(ours) == 4
    assert "11.00 (10.00 to 12.00, 2 runs)" in ours[0] and "| micro" in ours[0]
    assert sum("| published" in line for line in text.splitlines()) == 5


def test_no_folder_of_this_machine_gets_into_a_result(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(ablation_grid, "run", lambda *a: fake_run(9.0))
    plan = full_plan(str(tmp_path / "SBD"), model="micro", weights=None, device="cpu")
    result = run_grid(plan, [0], tmp_path, tmp_path / "grid.json", ["previous mask"])
    assert str(tmp_path) not in (tmp_path / "grid.json").read_text(encoding="utf-8")
    assert result["data"] == "sbd" and result["plan"]["benchmarks"] == ["sbd"]


def test_a_pretrained_encoder_gives_the_backbone_and_the_seed_the_rest(tmp_path: Path):
    losses = pretrain_encoder(tmp_path / "encoder.pth", 11, image_size=48, count=16)
    assert len(losses) == 11
    with pytest.warns(UserWarning, match="fresh and must be trained"):
        assert load_model(tmp_path / "encoder.pth").backbone_only
    plan = tiny_plan(str(tmp_path / "encoder.pth"), pyramid="parallel", disk_radius=3.0)
    first, second = (make_model(replace(plan.base, seed=seed)) for seed in (1, 2))
    assert first.config.pyramid == "parallel" and first.config.disk_radius == 3.0
    assert first.config.image_size == 48
    for name, value in first.backbone.state_dict().items():
        assert torch.equal(value, second.backbone.state_dict()[name]), name
    assert torch.equal(first.embedding.image.proj.weight, second.embedding.image.proj.weight)
    assert not torch.equal(first.embedding.clicks.proj.weight, second.embedding.clicks.proj.weight)
    fresh = make_model(replace(plan.base, weights=None, seed=1))
    name = "blocks.0.attn.qkv.weight"
    assert not torch.equal(first.backbone.state_dict()[name], fresh.backbone.state_dict()[name])


def test_a_whole_network_keeps_its_own_shape(tmp_path: Path):
    from simpleclick_lite.checkpoint import save_model

    shape = ModelConfig(
        image_size=48, width=32, depth=2, heads=2, head_channels=8, pyramid_channels=(8, 8, 8, 8)
    )
    saved = SimpleClick(replace(shape, pyramid="single_scale", disk_radius=7.0))
    save_model(saved, tmp_path)
    loaded = make_model(preset("scratch", weights=str(tmp_path), pyramid="simple"))
    assert loaded.config == saved.config


def test_the_command_writes_runs_and_table(tmp_path: Path, monkeypatch, root: Path, capsys):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    monkeypatch.setattr(ablation_grid, "run", lambda *a: fake_run(9.0, "sbd"))
    import ablations

    sbd = data_writers.sbd(tmp_path / "SBD")
    command = ["--sbd", str(sbd), "--set", "model='micro'", "--set", "weights=None"]
    command += ["--seeds", "0", "1", "--axes", "frozen design", "--out", str(tmp_path / "out")]
    ablations.main([*command, "--folder", str(tmp_path), "--table-folder", str(tmp_path)])
    result = json.loads((tmp_path / "ablations_sbd.json").read_text(encoding="utf-8"))
    assert {label: list(runs) for label, runs in result["results"].items()} == {
        f"{design}, frozen": ["0", "1"] for design in axes(full_plan("x"))["design"]
    }
    assert str(tmp_path) not in json.dumps(result)
    table = json.loads((tmp_path / "table_ablations_sbd.json").read_text(encoding="utf-8"))
    assert [row["runs"] for row in table["rows"]] == [2] * 4


def test_spread_and_its_dots():
    assert spread(iter([3.0, 1.0, 2.0])) == (2.0, 1.0, 3.0)
    with pytest.raises(InputError, match="no runs"):
        spread([])
    _, (ax,) = curve_axes(1)
    spread_dots(ax, {"base": [1.0, 2.0], "other": [4.0]})
    assert [text.get_text() for text in ax.get_yticklabels()] == ["base", "other"]
    assert [len(line.get_xdata()) for line in ax.lines] == [2, 1, 1, 1]
    assert ax.lines[1].get_xdata()[0] == 1.5
