"""Recipes of several runs: each starts from the one before, and finished ones are not repeated."""

from __future__ import annotations

import json

import pytest
import torch

from simpleclick_lite import load_model
from simpleclick_lite.cli import main
from simpleclick_lite.errors import InputError
from simpleclick_lite.training import train
from simpleclick_lite.training_presets import PRESETS, STAGES, preset
from simpleclick_lite.training_stages import train_stages

TINY = {"steps": 2, "batch_size": 2, "validation_objects": 0, "warmup": 0, "lr": 1e-5}


def stages(**changes):
    sizes = {"first": 32, "second": 64}
    made = [preset("quick", image_size=side, **(TINY | changes)) for side in sizes.values()]
    return [type(c)(**{**vars(c), "preset": name}) for c, name in zip(made, sizes, strict=True)]


def test_each_stage_starts_from_the_one_before(tmp_path):
    result = train_stages(stages(), tmp_path)
    assert result.folder == tmp_path
    first, second = (load_model(tmp_path / name) for name in ("first", "second"))
    saved = json.loads((tmp_path / "second" / "training.json").read_text(encoding="utf-8"))
    assert saved["weights"] == str(tmp_path / "first")
    last = load_model(tmp_path).state_dict()
    for name, value in second.state_dict().items():
        assert torch.equal(value, last[name])
    moved = [
        (a - b).abs().max()
        for a, b in zip(first.head.parameters(), second.head.parameters(), strict=True)
    ]
    assert 0 < max(moved) < 1e-3  # two tiny steps from the first stage, not from random weights


def test_a_finished_stage_is_passed_over_on_resume(tmp_path, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(
        "simpleclick_lite.training_stages.train", lambda c: ran.append(c.preset) or train(c, False)
    )
    first, second = stages()
    train(type(first)(**{**vars(first), "out": str(tmp_path / "first")}), False)
    train_stages(stages(resume=True), tmp_path)
    assert ran == ["second"]
    assert "first: done before" in capsys.readouterr().out


def test_of_a_finished_stage_it_is_said_which_settings_would_be_others_now(tmp_path, capsys):
    first, _ = stages()
    train(type(first)(**{**vars(first), "out": str(tmp_path / "first")}), False)
    train_stages(stages(resume=True, threads=1, keep=1, data="synthetic:2"), tmp_path)
    out = capsys.readouterr().out
    assert "first: done before with data synthetic:1 (now synthetic:2)\n" in out
    train_stages(stages(resume=True, data="synthetic:1.0"), tmp_path)
    assert "first: done before\n" in capsys.readouterr().out
    train_stages(stages(resume=True, lr=1e-3, seed=3), tmp_path)
    told = "first: done before with lr 1e-05 (now 0.001), seed 0 (now 3)\n"
    assert told in capsys.readouterr().out
    path = tmp_path / "first" / "training.json"
    saved = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(saved | {"data": "gone:1"}), encoding="utf-8")
    train_stages(stages(resume=True), tmp_path)
    assert "done before with data gone:1 (now synthetic:1)" in capsys.readouterr().out
    path.write_text("{", encoding="utf-8")
    train_stages(stages(resume=True), tmp_path)
    assert "training.json does not tell" in capsys.readouterr().out


def test_a_teacher_that_is_missing_is_told_before_the_first_stage(tmp_path, monkeypatch):
    def missing() -> None:
        raise InputError("two more packages")

    monkeypatch.setattr("simpleclick_lite.training_stages.load_teacher", missing)
    first, second = stages()
    taught = type(second)(**{**vars(second), "distill": 1.0})
    with pytest.raises(InputError, match="two more packages"):
        train_stages([first, taught], tmp_path)
    assert not (tmp_path / "first").exists(), "nothing was trained in vain"


def test_what_a_later_stage_cannot_do_is_told_before_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr("simpleclick_lite.training_stages.load_teacher", lambda: None)
    first, second = stages()
    taught = type(second)(**{**vars(second), "distill": 1.0})
    wrong = type(second)(**{**vars(second), "lr": -1.0})
    with pytest.raises(InputError, match="lr must be above 0"):
        train_stages([first, wrong], tmp_path)
    lost = type(first)(**{**vars(first), "data": "folder", "root": str(tmp_path / "nowhere")})
    with pytest.raises(InputError, match="nowhere"):
        train_stages([lost, taught], tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="one process only"):
        train_stages([first, taught], tmp_path)
    assert not (tmp_path / "first").exists(), "nothing was trained in vain"


def test_stages_of_one_recipe_get_seeds_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setitem(STAGES, "two", ("quick", "scratch"))
    arguments = ["train", "--preset", "two", "--out", str(tmp_path / "out"), "--seed", "5"]
    for name, value in (TINY | {"image_size": 32}).items():
        arguments += [f"--{name.replace('_', '-')}", str(value)]
    assert main(arguments) == 0
    saved = [
        json.loads((tmp_path / "out" / name / "training.json").read_text(encoding="utf-8"))
        for name in ("quick", "scratch")
    ]
    assert [settings["seed"] for settings in saved] == [5, 6]


def test_a_part_of_a_recipe_is_a_part_of_every_stage(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(STAGES, "two", ("quick", "scratch"))
    arguments = ["train", "--preset", "two", "--out", str(tmp_path / "out"), "--part", "0.25"]
    for name, value in (TINY | {"image_size": 32, "steps": 7, "warmup": 4}).items():
        arguments += [f"--{name.replace('_', '-')}", str(value)]
    assert main(arguments) == 0
    for name in ("quick", "scratch"):
        path = tmp_path / "out" / name / "training.json"
        saved = json.loads(path.read_text(encoding="utf-8"))
        assert (saved["steps"], saved["warmup"]) == (2, 1)
    assert main([*arguments[:-2], "--part", "1.5"]) == 2
    assert "--part must lie above 0" in capsys.readouterr().err


def test_a_stage_that_resume_begins_does_so_without_a_warning(tmp_path, recwarn):
    first, second = stages()
    train(type(first)(**{**vars(first), "out": str(tmp_path / "first")}), False)
    train_stages(stages(resume=True), tmp_path)
    assert not [w for w in recwarn if "holds no checkpoint" in str(w.message)]


def test_the_recipe_for_a_gpu_repeats_no_sample():
    seeds = [PRESETS[name].seed for name in STAGES["shipped_gpu"]]
    assert len(set(seeds)) == len(seeds)


def test_recipes_name_presets_and_one_command_trains_them(tmp_path, monkeypatch, capsys):
    assert all(name in PRESETS for names in STAGES.values() for name in names)
    monkeypatch.setitem(STAGES, "two", ("quick", "scratch"))
    arguments = ["train", "--preset", "two", "--out", str(tmp_path / "out")]
    for name, value in (TINY | {"image_size": 32}).items():
        arguments += [f"--{name.replace('_', '-')}", str(value)]
    assert main(arguments) == 0
    assert load_model(tmp_path / "out").config.depth > 0
    assert "stage 2 of 2" in capsys.readouterr().out


def test_a_recipe_is_no_single_preset():
    with pytest.raises(InputError, match="several runs, shipped_1"):
        preset("shipped")
