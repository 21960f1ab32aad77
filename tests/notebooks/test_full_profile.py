"""The cells for real data run as they stand, on tiny copies of SBD and COCO+LVIS."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import data_writers
import notebook_format
import pytest

from simpleclick_lite import cli
from simpleclick_lite.checkpoint import load_model
from simpleclick_lite.course import execute_notebook

pytestmark = pytest.mark.notebook

SMALL = {
    "model": "micro",
    "weights": None,
    "image_size": 48,
    "steps": 2,
    "batch_size": 2,
    "workers": 0,
    "device": "cpu",
    "validation_data": "synthetic",
    "validation_objects": 2,
    "validation_clicks": 2,
}
SHORT = {"side": 48, "overfit_steps": 2, "tuning_steps": 2}  # the cells that are not about it
SETS = {
    "sbd_base": data_writers.sbd,
    "cocolvis_base": data_writers.coco_lvis,
}


@pytest.mark.parametrize("recipe", SETS)
def test_the_training_notebook_trains_a_published_recipe(recipe, tmp_path: Path, monkeypatch):
    root = SETS[recipe](tmp_path / "data")
    lesson = notebook_format.NOTEBOOKS / "09_training.ipynb"
    executed, work = tmp_path / "executed.ipynb", tmp_path / "work"
    values = {"profile": "full", "full_preset": recipe, "data_root": str(root)}
    execute_notebook(
        lesson,
        executed,
        {**values, **SHORT, "full_changes": SMALL, "processes": 2},
        cwd=work,
        cell_timeout=600,
    )
    run = work / "outputs" / "09" / "main"
    settings = json.loads((run / "training.json").read_text(encoding="utf-8"))
    assert settings["preset"] == recipe and settings["root"] == str(root)
    assert settings["augmentation"] == recipe.split("_")[0]
    assert load_model(run).config.depth == 8  # micro

    # the printed command, without what starts several processes, is a complete one
    outputs = [
        output.get("text", "")
        for cell in notebook_format.read(executed).cells
        for output in cell.get("outputs", [])
    ]
    command = next(t for t in outputs if t.startswith("accelerate launch"))
    words = shlex.split(command)
    assert words[:4] == ["accelerate", "launch", "--num_processes", "2"]
    monkeypatch.chdir(work)
    assert cli.main(words[words.index("simpleclick_lite.cli") + 1 :]) == 0
    again = json.loads((work / "runs" / "full" / "training.json").read_text(encoding="utf-8"))
    assert {**again, "out": settings["out"]} == settings
