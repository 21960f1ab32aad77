"""What the notebooks read of longer measurements is what benchmarks/results holds."""

from __future__ import annotations

import importlib
import json
from types import ModuleType

import pytest
from notebook_format import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def load(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    """A script of benchmarks/, imported as its neighbors import it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module(name)


def test_the_shipped_numbers_are_the_committed_results(monkeypatch):
    numbers = load(monkeypatch, "course_numbers")
    shipped = json.loads(numbers.MEASURED.read_text(encoding="utf-8"))
    assert shipped == json.loads(json.dumps(numbers.collected(RESULTS)))


def test_collect_writes_what_it_collected(monkeypatch, tmp_path):
    numbers = load(monkeypatch, "course_numbers")
    monkeypatch.setattr(numbers, "MEASURED", tmp_path / "evaluations.json")
    monkeypatch.setattr(numbers, "ROOT", tmp_path)
    numbers.collect(RESULTS)
    written = json.loads((tmp_path / "evaluations.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(numbers.collected(RESULTS)))
    rows = written["evaluations"]
    assert "objects" in rows["shipped_photos"] and "objects" not in rows["shipped_grabcut"]


def test_the_medical_table_has_the_rows_measured_here(monkeypatch):
    from simpleclick_lite.tables import print_table

    table = print_table("medical", RESULTS).splitlines()
    rows = [line for line in table if "measured here" in line]
    measured = [p.stem for p in RESULTS.glob("evaluation_shipped_*.json")]
    if not {f"evaluation_shipped_{name}" for name in ("sstem", "brats", "oaizib")} & {*measured}:
        pytest.fail("the medical samples are not measured: run benchmarks/course_results.py")
    assert len(rows) == 1, "the three sets of one model stand in one row"
    assert "in place of BraTS and OAIZIB" in rows[0]
