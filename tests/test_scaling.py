"""docs/scaling.md says what benchmarks/training_scale.py counts."""

from __future__ import annotations

import importlib
import json

import pytest
from notebook_format import ROOT


@pytest.fixture
def scale(monkeypatch):
    """The script, imported."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("training_scale")


def test_the_page_shows_the_tables_of_the_committed_count(scale):
    page = scale.PAGE.read_text(encoding="utf-8")
    assert scale.page_with_tables(page) == page


@pytest.mark.parametrize("checkpointing", [False, True])
def test_counting_with_fake_tensors_finds_what_computing_keeps(scale, checkpointing):
    counted, kept = (
        scale.kept_bytes("micro", checkpointing, 1, side=64, fake=fake) for fake in (True, False)
    )
    assert counted == pytest.approx(kept, rel=1e-3)


def test_the_committed_count_is_of_the_present_network(scale):
    rows = json.loads(scale.MEMORY.read_text(encoding="utf-8"))["results"]
    one, two = (scale.kept_bytes("base", False, batch) for batch in (1, 2))
    assert rows["base"]["kept_per_sample"] == two - one


def test_a_batch_is_cut_into_equal_parts(scale):
    assert [scale.whole_batch(140, gpus) for gpus in (1, 4, 8, 64)] == [140, 140, 144, 128]
    assert scale.whole_batch(32, 64) == 0


def test_many_gpus_wait_for_gradients_and_one_for_arithmetic(scale):
    one = scale.step_parts("base", 140, 1, 157e9, 97e6)
    assert one["gradients"] == 0 and one["arithmetic"] > one["loaders"]
    many = scale.step_parts("base", 2, 64, 157e9, 97e6)
    assert many["gradients"] > many["arithmetic"]
