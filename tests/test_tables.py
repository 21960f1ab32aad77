"""The paper's tables: complete, labelled, and empty where nobody measured."""

from __future__ import annotations

import json

import pytest

from simpleclick_lite.counting import count_parameters, meta_model
from simpleclick_lite.errors import InputError
from simpleclick_lite.tables import TABLES, print_table, published


def _cells(text: str, row: str) -> list[list[str]]:
    """Cells of all lines whose first cell is `row`."""
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()]
    return [line for line in lines if line[0] == row]


@pytest.mark.parametrize("name", [n for n in TABLES if n != "efficiency"])
def test_a_table_without_results_holds_the_published_rows_only(name, tmp_path):
    text = print_table(name, tmp_path / "missing")
    count = len(published()["parameters_millions" if name == "parameters" else name])
    assert sum("| published" in line for line in text.splitlines()) == count
    assert "measured here" not in text


def test_shipped_numbers_are_the_given_ones(shared):
    given = json.loads((shared / "reference/published_results.json").read_text(encoding="utf-8"))
    assert published() == given


def test_efficiency_counts_and_leaves_unmeasured_speed_empty(tmp_path):
    row = _cells(print_table("efficiency", tmp_path), "ViT-B")[-1]
    assert row == ["ViT-B", "448", "96.46", "169.78", "161.51", "", "", "counted here"]


def test_evaluations_of_one_model_join_in_one_row(tmp_path):
    facts = {"model": "shipped", "training_data": "photographs", "steps": 9, "machine": "2 cores"}
    for data, noc in (("grabcut", 1.5), ("davis", 7.25)):
        result = {
            "noc85": noc,
            "noc90": noc + 1,
            "miou": [],
            "settings": facts | {"data": data, "number_of_objects": 50},
        }
        (tmp_path / f"{data}.json").write_text(json.dumps(result), encoding="utf-8")
    (tmp_path / "speed.json").write_text('{"size": 224}', encoding="utf-8")
    (tmp_path / "list.json").write_text("[1]", encoding="utf-8")
    (row,) = _cells(print_table("comparison", tmp_path), "shipped")
    assert row[3:5] == ["1.50", "2.50"] and row[9:11] == ["7.25", "8.25"]
    assert row[5:9] == ["", "", "", ""]
    assert row[-1].startswith("measured here (photographs, 9 steps, 2 cores, ")
    assert "grabcut: 50 objects" in row[-1]
    assert "shipped" not in print_table("medical", tmp_path)


def test_medical_rows_come_from_miou(tmp_path):
    result = {
        "noc90": 12.0,
        "miou": [k / 20 for k in range(1, 21)],
        "settings": {"data": "brats", "model": "shipped"},
    }
    (tmp_path / "a.json").write_text(json.dumps(result), encoding="utf-8")
    (row,) = _cells(print_table("medical", tmp_path), "shipped")
    assert row[1:6] == ["", "50.00", "100.00", "", ""]


def test_tiny_rows_are_of_tiny_presets(tmp_path):
    for preset in ("base", "xtiny"):
        settings = {"data": "sbd", "model": f"ours {preset}", "preset": preset}
        result = {"noc85": 5.0, "noc90": 7.5, "settings": settings}
        (tmp_path / f"{preset}.json").write_text(json.dumps(result), encoding="utf-8")
    text = print_table("tiny", tmp_path)
    assert "ours base" not in text
    assert _cells(text, "ours xtiny")[0][4:6] == ["5.00", "7.50"]


@pytest.mark.parametrize(
    "name, row",
    [
        ("ablation", {"design": "partial", "frozen_vit": True, "vit_b": {"sbd": 9.5}}),
        ("efficiency", {"backbone": "mine", "input": 448, "spc_ms": 123.4}),
        ("parameters", {"model": "mine", "vit": 1.25}),
        ("tiny", {"model": "mine", "noc90": 3.0}),
        ("comparison", {"method": "mine", "noc90": {"sbd": 3.0}}),
        ("medical", {"model": "mine", "brats_miou10": 3.0}),
    ],
)
def test_rows_can_be_given_by_table(name, row, tmp_path):
    file = {"table": name, "rows": [row | {"steps": 10, "machine": "one GPU"}]}
    (tmp_path / "rows.json").write_text(json.dumps(file), encoding="utf-8")
    assert "measured here (10 steps, one GPU)" in print_table(name, tmp_path)


def test_an_unknown_table_is_refused():
    with pytest.raises(InputError, match="not one of parameters"):
        print_table("speed")


def test_a_broken_results_file_is_named(tmp_path):
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="broken.json"):
        print_table("tiny", tmp_path)


def test_counting_equals_the_networks_own_parameters():
    model = meta_model("micro")
    assert count_parameters("micro").used == sum(p.numel() for p in model.parameters())
    assert all(p.is_meta for p in model.parameters())
