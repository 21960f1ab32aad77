"""README's results and the model card say what the committed measurements say, and nothing else."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import asdict, replace
from types import ModuleType

import pytest
from notebook_format import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def load(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    """A script of benchmarks/, imported as its neighbors import it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module(name)


def test_readme_shows_the_committed_results(monkeypatch):
    report, text = load(monkeypatch, "report"), load(monkeypatch, "report_text")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert report.replace_between(readme, report.MARKS, text.section(RESULTS)) == readme


def test_the_model_card_shows_the_committed_results(monkeypatch):
    card = load(monkeypatch, "model_card").card(RESULTS)
    shown = ROOT / "simpleclick_lite" / "weights" / "README.md"
    assert shown.read_text(encoding="utf-8") == card


def test_the_results_are_of_the_weights_that_are_shipped(monkeypatch):
    report = load(monkeypatch, "report")
    names = [path.stem for path in RESULTS.glob("evaluation_shipped_*.json")]
    assert len(names) >= 5
    for name in [*names, "extra_clicks", "onnx_photos"]:
        settings = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["settings"]
        assert settings["weights_sha256"] == report.weights_hash(), f"{name}: measure again"
    for name in ("shipped_training", "many_objects", "click_cpu", "click_to_screen"):
        result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        assert result["weights_sha256"] == report.weights_hash(), f"{name}: measure again"
    tuned = json.loads((RESULTS / "finetune_nuclei.json").read_text(encoding="utf-8"))["shipped"]
    assert tuned["weights_sha256"] == report.weights_hash(), "finetune_nuclei: measure again"


def test_the_presets_are_what_the_shipped_weights_were_trained_with(monkeypatch):
    presets = importlib.import_module("simpleclick_lite.training_presets")
    stages = load(monkeypatch, "model_card").training_facts(RESULTS)["stages"]
    names = presets.STAGES["shipped"]
    assert len(names) == len(stages)
    for name, stage in zip(names, stages, strict=True):
        config = presets.PRESETS[name]
        for key in sorted(stage.keys() & vars(config).keys() - {"data", "steps", "threads"}):
            if key not in ("validation_objects", "planned_steps"):
                assert getattr(config, key) == stage[key], (name, key)
        assert config.steps == stage["steps"]
        weights = re.sub("DATA/[^:]*", "", config.data.replace("=", "=DATA/"))
        assert weights == re.sub("DATA/[^:]*", "", stage["data"])


def test_published_and_measured_rows_stand_in_tables_of_their_own(monkeypatch):
    text = load(monkeypatch, "report_text")
    assert "measured" not in text.published_table()
    for data in text.SETS:
        assert "published" not in text.measured_table(RESULTS, data)


def test_a_missing_measurement_leaves_its_row_out(monkeypatch, tmp_path):
    text = load(monkeypatch, "report_text")
    assert text.evaluations(tmp_path, "photos") == {}
    assert "NoC@85" in text.section(tmp_path)  # the published table alone


def test_the_best_start_of_grabcut_is_compared_whoever_wins(monkeypatch, tmp_path):
    text = load(monkeypatch, "report_text")
    assert text.other_starts(tmp_path) == ""

    def write(name: str, value: dict) -> None:
        (tmp_path / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")

    write("evaluation_shipped_grabcut", {"noc85": 3.0, "noc90": 4.0})
    start = {"0.1": {"noc85": 3.5, "noc90": 3.8}, "0.25": {"noc85": 5.0, "noc90": 6.0}}
    write("grabcut_seeds", start)
    said = text.other_starts(tmp_path)
    assert "0.1: 3.50 and 3.80; 0.25: 5.00 and 6.00" in said
    assert said.endswith("need 3.50 and 3.80, more than the shipped weights at 85% alone.")
    write("grabcut_seeds", {"0.25": start["0.25"]})
    assert text.other_starts(tmp_path).endswith("more than the shipped weights at both.")
    write("grabcut_seeds", {"0.1": {"noc85": 2.0, "noc90": 3.8}})
    assert text.other_starts(tmp_path).endswith("no more than the shipped weights at either.")
    settings = {"max_clicks": 3, "data": "grabcut"}
    clicks = {"a": [0.0, 0.0, 0.95], "b": [0.95] * 3}
    ours = {
        "settings": settings,
        "objects": [{"name": name, "iou": iou} for name, iou in clicks.items()],
    }
    theirs = {**ours, "objects": [{**row, "iou": [0.95] * 3} for row in ours["objects"]]}
    assert text.standard_error(ours, theirs, 90) == 1.0  # differences of 2 and 0 clicks
    assert text.standard_error(ours, ours, 90) == 0.0
    write("evaluation_shipped_grabcut", {"noc85": 3.0, "noc90": 4.0, **ours})
    write("evaluation_opencv_grabcut_grabcut", theirs)
    write("grabcut_seeds", {"0.1": {"noc85": 4.5, "noc90": 4.05, "objects": 50}})
    assert text.other_starts(tmp_path).endswith(
        "at both; 0.05 clicks at 90% are within chance on 50 objects."
    )


def test_needless_clicks_are_held_against_the_aim(monkeypatch):
    text = load(monkeypatch, "report_text")

    def aim(positive: float, negative: float) -> str:
        shares = {"positive": positive, "negative": negative, "all": (positive + negative) / 2}
        return text._aim({kind: {"harmless": share} for kind, share in shares.items()})

    assert aim(0.9, 1.0) == "the aim, 95% of all, is just met, clicks on the object alone are below"
    assert aim(1.0, 1.0) == "the aim, 95% of all, is met"
    assert "is missed, clicks on the object alone are below" in aim(0.8, 1.0)


def test_seconds_of_an_interrupted_run_add_up(monkeypatch):
    card = load(monkeypatch, "model_card")
    rows = [{"step": s, "seconds": t} for s, t in ((10, 5.0), (20, 9.0), (30, 4.0), (40, 8.0))]
    assert card.steps_and_seconds(rows) == (40, 17.0)


def test_the_command_of_a_stage_names_no_folder_of_one_machine(monkeypatch):
    card = load(monkeypatch, "model_card")
    presets = importlib.import_module("simpleclick_lite.training_presets")
    config = presets.preset(
        "scratch", data="synthetic:1,coco_mval=/somewhere/deep/COCO_MVal:3", weights="/else/where"
    )
    command = card.command(config, "runs/stage2", "runs/stage1")
    assert "/somewhere" not in command and "/else" not in command
    assert "coco_mval=DATA/COCO_MVal:3" in command and "--weights runs/stage1" in command


def test_stages_that_go_on_from_the_shipped_weights_keep_the_stages_before(monkeypatch, tmp_path):
    card = load(monkeypatch, "model_card")
    monkeypatch.setattr(card, "stage_facts", lambda folder, number: {"run": f"{number} {folder}"})
    card.keep_training_facts(["a", "b"], "2 CPU cores", "0", tmp_path)
    card.keep_training_facts(["c"], "2 CPU cores", "1", tmp_path, first=3)
    stages = card.training_facts(tmp_path)["stages"]
    assert [stage["run"] for stage in stages] == ["1 a", "2 b", "3 c"]


def test_an_experiment_keeps_what_a_run_reached_at_a_step(monkeypatch, tmp_path):
    experiments = load(monkeypatch, "weights_experiments")
    saved = {"preset": "scratch", "image_size": 64, "steps": 9, "batch_size": 4, "seed": 1}
    (tmp_path / "training.json").write_text(json.dumps(saved), encoding="utf-8")
    lines = [
        {"step": 3, "seconds": 36.0},
        {"step": 3, "validation": {"photos": [0.1, 0.2]}},
        {"step": 6, "seconds": 72.0},
        {"step": 6, "validation": {"photos": [0.3, 0.4]}},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text, encoding="utf-8")
    row = experiments.row("quarter", "seed 1", tmp_path, 3)
    assert (row["group"], row["samples"], row["hours"]) == ("quarter", 12, 0.01)
    assert row["miou"] == [0.1, 0.2]
    assert experiments.row("quarter", "seed 1", tmp_path, None)["miou"] == [0.3, 0.4]
    with pytest.raises(SystemExit, match="no validation at step 5"):
        experiments.row("quarter", "seed 1", tmp_path, 5)


def test_the_stages_of_a_recipe_are_one_row(monkeypatch, tmp_path):
    experiments = load(monkeypatch, "weights_experiments")
    presets = importlib.import_module("simpleclick_lite.training_presets")
    part_of = importlib.import_module("simpleclick_lite.training_config").part_of
    for number, stage in enumerate(presets.STAGES["shipped"]):
        config = replace(part_of(presets.PRESETS[stage], 0.25), seed=100 + number)
        lines = [
            {"step": config.steps, "seconds": 360.0},
            {"step": config.steps, "validation": {"coco_mval": [0.1 * number] * 10}},
        ]
        (tmp_path / stage).mkdir()
        path = tmp_path / stage / "training.json"
        path.write_text(json.dumps(asdict(config)), encoding="utf-8")
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / stage / "metrics.jsonl").write_text(text, encoding="utf-8")
        if number < 8:
            (tmp_path / stage / "model.safetensors").touch()
    with pytest.raises(SystemExit, match="shipped_9 is no finished stage"):
        experiments.recipe_row("recipe", "a quarter", tmp_path, None)
    (tmp_path / "shipped_9" / "model.safetensors").touch()
    row = experiments.recipe_row("recipe", "a quarter", tmp_path, None)
    assert (row["samples"], row["hours"], row["miou"]) == (32 * 3101, 0.9, [0.8] * 10)
    command = "simpleclick-lite train --preset shipped --root DATA --part 0.25 --seed 100 --out "
    assert row["command"] == f"{command}runs/{tmp_path.name}"
    path.write_text(json.dumps(asdict(replace(config, lr=1.0))), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"shipped_9 has lr 1\.0, not 0\.0004"):
        experiments.recipe_row("recipe", "a quarter", tmp_path, None)


def test_the_command_of_a_recipe_repeats_its_seeds(monkeypatch):
    experiments = load(monkeypatch, "weights_experiments")
    presets = importlib.import_module("simpleclick_lite.training_presets")
    own = [presets.PRESETS[stage] for stage in presets.STAGES["shipped"]]
    start = "simpleclick-lite train --preset shipped --root DATA"
    assert experiments.recipe_command(own) == start
    counted = [replace(config, seed=number) for number, config in enumerate(own)]
    assert experiments.recipe_command(counted) == f"{start} --seed 0"


def test_two_runs_of_the_recipe_are_compared(monkeypatch, tmp_path):
    tried, card = load(monkeypatch, "tried"), load(monkeypatch, "model_card")
    assert "not run again" in card._again(tmp_path)
    blank = {"group": "recipe", "samples": 32, "hours": 0.1, "image_size": 448}
    rows = [
        {**blank, "name": name, "miou": [0.5] * 9 + [last], "command": "simpleclick-lite train"}
        for name, last in zip(tried.SEEDS[0], (0.7, 0.8), strict=True)
    ]
    for count, how in ((1, "run once,"), (2, "run twice, from two seeds")):
        text = json.dumps({"rows": rows[:count]})
        (tmp_path / f"{tried.RESULT}.json").write_text(text, encoding="utf-8")
        assert how in card._again(tmp_path)
    found = "\n".join(tried.part(tmp_path))
    assert "differ by 0.010 in the mean of ten clicks" in found
    assert "at most 0.100 (click 10)." in found
    assert "Two seeds of one recipe differed by 0.010 in the mean" in found


def test_clicks_are_compared_object_by_object(monkeypatch):
    text = load(monkeypatch, "report_text")
    settings = {"max_clicks": 20, "data": "grabcut"}

    def result(*ious: list[float]) -> dict:
        rows = [{"name": str(k), "iou": v} for k, v in enumerate(ious)]
        mean = [sum(v) / len(ious) for v in zip(*ious, strict=True)]
        return {"settings": settings, "objects": rows, "miou": mean}

    ours = result([0.1, 0.95], [0.9, 0.95], [0.2, 0.3])
    theirs = result([0.95, 0.95], [0.5, 0.6], [0.3, 0.3])
    assert text.clicks_needed(ours, 90) == {"0": 2, "1": 1, "2": 20}
    told = text._by_object(ours, theirs)
    assert "to 90% fewer clicks on 1, as many or never on 1, more on 1 (medians 2 and" in told
    assert "after click 1 grabCut's mean IoU is higher" in told


def test_the_table_of_what_was_tried_says_whether_a_change_was_better(monkeypatch, tmp_path):
    tried = load(monkeypatch, "tried")
    blank = {"group": "ingredients", "samples": 32, "hours": 0.1, "image_size": 128}

    def section(*ious: float) -> str:
        rows = [{**blank, "name": f"run {i}", "miou": [v] * 10} for i, v in enumerate(ious)]
        text = json.dumps({"rows": rows})
        (tmp_path / f"{tried.RESULT}.json").write_text(text, encoding="utf-8")
        return "\n".join(tried.part(tmp_path))

    stages = [{"miou": [0.6] * 10}]
    lower, higher = [{"miou": [v] * 10} for v in (0.5, 0.4)], [{"miou": [0.7] * 10}]
    assert "(0.600) stay: these means are 0.100 to 0.200 lower" in tried._further(lower, stages)[0]
    assert "0.700, is above the shipped 0.600" in tried._further(higher, stages)[0]
    assert tried.part(tmp_path) == []
    assert "Each of the 2 changes gave a lower mean, by 0.100 to 0.200" in section(0.7, 0.6, 0.5)
    assert "1 of 2 changes gave a higher mean" in section(0.7, 0.8, 0.5)
    assert "| run 1 | 32 | 0.10 | 0.800 | 0.800 | 0.800 | 0.800 | 0.800 |" in section(0.7, 0.8)


def test_a_run_is_compared_with_the_best_disk_on_its_own_held_out_scenes(monkeypatch, tmp_path):
    quick = load(monkeypatch, "quick_preset")
    rows = [
        {"step": 1, "seconds": 60.0, "loss": 1.0},
        {"step": 2, "validation": {"synthetic": [0.1, 0.2, 0.3]}},
        {"step": 3, "seconds": 120.0, "loss": 0.5},
        {"step": 3, "validation": {"synthetic": [0.1, 0.5, 0.99]}},
    ]
    lines = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "metrics.jsonl").write_text(lines + "\n", encoding="utf-8")
    found = quick.compare(tmp_path, scenes=2)
    assert (found["steps"], found["minutes"], found["held_out_scenes"]) == (3, 2.0, 2)
    assert found["miou"][2] == 0.99 and found["beats_the_disk_at_3_clicks"] is True
    assert 0 < found["disk_miou"] < 0.99 and found["disk_radius"] in range(5, 305, 5)


def test_onnx_gives_the_same_masks_on_all_photographs():
    result = json.loads((RESULTS / "onnx_photos.json").read_text(encoding="utf-8"))
    assert len(result["objects"]) == 42
    assert max(share for shares in result["objects"].values() for share in shares) <= 0.001
