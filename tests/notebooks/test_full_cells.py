"""Cells of notebooks 10 and 12 that the quick profile leaves out, on tiny data in real layouts."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import cv2
import data_writers
import notebook_format
import numpy as np
import pytest

from simpleclick_lite.files import write_png

pytest.importorskip("IPython")


def run_cells(name: str, wanted: list[str], parameters: dict[str, Any]) -> dict:
    """Run a notebook's set-up, imports and parameters, then the cells that hold the given code.

    Args:
        name: beginning of the notebook's name.
        wanted: code that the cells hold, in their order.
        parameters: replace the defaults; all of them must exist.

    Returns:
        the names that the cells defined.
    """
    path = next(notebook_format.NOTEBOOKS.glob(f"{name}*.ipynb"))
    cells = [c for c in notebook_format.read(path).cells if c.cell_type == "code"]
    defaults = next(c for c in cells if "parameters" in notebook_format.tags(c))
    known = {node.target.id for node in ast.parse(defaults.source).body}
    assert set(parameters) <= known, "a parameter that the notebook does not have"
    places = [next(i for i, c in enumerate(cells) if code in c.source) for code in wanted]
    assert places == sorted(places)
    names: dict[str, Any] = {"__name__": "notebook"}
    for cell in cells[: cells.index(defaults) + 1]:
        exec(compile(cell.source, str(path), "exec"), names)
    names |= parameters
    for place in places:
        exec(compile(cells[place].source, str(path), "exec"), names)
    return names


def test_notebook_10_evaluates_data_sets_in_their_real_layouts(tmp_path: Path, capsys):
    data_writers.grabcut(tmp_path / "datasets" / "GrabCut")
    data_writers.sstem(tmp_path / "datasets" / "ssTEM")
    parameters = {
        "profile": "full",
        "data_root": str(tmp_path / "datasets"),
        "full_sets": "grabcut sstem",
        "full_objects": 1,
        "out_dir": str(tmp_path / "outputs"),
    }
    wanted = ["samples = open_dataset", 'profile == "full"', 'print_table("medical"']
    names = run_cells("10", wanted, parameters)
    for name in ("grabcut", "sstem"):
        result = json.loads((names["folder"] / f"full_{name}.json").read_text(encoding="utf-8"))
        assert result["settings"]["number_of_objects"] == 1 and len(result["miou"]) == 20
    shown = capsys.readouterr().out
    assert "NoC@90" in shown and "grabcut" in shown
    from simpleclick_lite.tables import print_table

    table = print_table("comparison", names["folder"])
    assert "shipped weights, this notebook" in table


def test_notebook_12_fine_tunes_on_a_folder_of_the_readers_own(tmp_path: Path):
    for split, count in (("mine", 2), ("held_out", 1)):
        for k in range(count):
            labels = np.zeros((90, 120), np.uint8)
            for number, x in ((1, 35), (2, 85)):
                cv2.circle(labels, (x, 45), 20, number, -1)
            data_writers.jpeg(tmp_path / split / "images" / f"holiday {k}.jpg", k, (90, 120))
            write_png(tmp_path / split / "masks" / f"holiday {k}.png", labels)
    parameters = {
        "train_folder": str(tmp_path / "mine"),
        "test_folder": str(tmp_path / "held_out"),
        "own_steps": 2,
        "clicks": 1,
        "out_dir": str(tmp_path / "outputs"),
    }
    wanted = [
        "def draw_scan",
        "def write_folder",
        "few = [training",
        "def score",
        "config = preset",
    ]
    names = run_cells("12", [*wanted, "tuned = load_model"], parameters)
    assert len(names["training"]) == 4 and len(names["test"]) == 2
    assert names["config"].image_size == 448, "the recipe as it is, not the lesson's settings"
    again = run_cells("12", [*wanted, "tuned = load_model"], parameters)
    for number, run in enumerate((names["run"], again["run"]), start=1):  # nothing is overwritten
        assert run == tmp_path / "outputs" / f"weights_{number}"
        assert (run / "model.safetensors").is_file()
    assert not (tmp_path / "outputs" / "my_images").exists(), "the reader's own images were used"
    assert np.isfinite(names["after"]).all() and names["after"].shape == (1,)
