"""Cells of notebook 10 that the quick profile leaves out, on tiny data in real layouts."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import data_writers
import notebook_format
import pytest

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
