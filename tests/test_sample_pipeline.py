"""The benchmark of the sample pipeline compares like with like."""

from __future__ import annotations

import importlib

import pytest
from notebook_format import ROOT

from simpleclick_lite.data import open_scenes


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("sample_pipeline")


@pytest.mark.parametrize("recipe", ["cocolvis", "sbd"])
def test_the_plain_pipeline_makes_the_same_samples(benchmark, recipe):
    found = benchmark.compare(open_scenes("photos"), recipe, 6)
    assert found["median_overlap_of_targets"] > 0.85
    for row in found["milliseconds"].values():
        assert set(row) == {*benchmark.STEPS, "all"} and min(row.values()) >= 0 < row["all"]
