"""The cells of notebook 11 for a GPU, on tiny data in SBD's layout."""

from __future__ import annotations

import json
from pathlib import Path

import data_writers
import notebook_format
import notebook_style
import pytest

from simpleclick_lite.course import execute_notebook

pytestmark = pytest.mark.notebook
PATH = notebook_format.NOTEBOOKS / "11_ablations.ipynb"


def test_the_papers_grid_runs_in_the_notebook(tmp_path: Path):
    sbd = data_writers.sbd(tmp_path / "SBD")
    changes = {"model": "micro", "weights": None, "image_size": 48, "model_size": 48, "steps": 1}
    changes |= {"batch_size": 2, "workers": 0, "device": "cpu", "dropout": 0.0}
    parameters = {
        "profile": "full",
        "steps": 1,
        "sbd_root": str(sbd),
        "full_seeds": [0],
        "full_axes": ["previous mask"],
        "full_changes": changes,
        "full_objects": 1,
    }
    executed = tmp_path / PATH.name
    work = tmp_path / "work"
    execute_notebook(PATH, executed, parameters, cwd=work, cell_timeout=400)
    text = "\n".join(
        notebook_style.output_text(cell) for cell in notebook_format.read(executed).cells
    )
    assert "seed 0, without previous mask: NoC@90 {'sbd':" in text
    full = work / "outputs" / "11_ablations" / "full"
    result = json.loads((full / "ablations_sbd.json").read_text(encoding="utf-8"))
    scores = result["results"]["without previous mask"]["0"]["results"]["sbd"]
    assert len(scores["miou"]) == 20 and scores["objects"] == 1
