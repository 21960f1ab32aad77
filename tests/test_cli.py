"""The command line: one line and exit code 2 for a mistake, the contract's files otherwise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from simpleclick_lite import checkpoint, cli, commands_data
from simpleclick_lite.files import write_png
from simpleclick_lite.model import build_model


@pytest.fixture(autouse=True)
def one_thread():
    """Two test processes share two cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small picture with a bright square on a dark ground."""
    image = np.full((48, 64, 3), 40, np.uint8)
    image[12:36, 16:40] = 220
    path = tmp_path / "ein Bild mit Ümlaut.png"
    write_png(path, image)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model with random weights."""
    folder = tmp_path_factory.mktemp("weights")
    checkpoint.save_model(build_model("micro", image_size=64), folder)
    return folder


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if weights are read: what can be refused before that, must be."""

    def refuse(*_: object) -> None:
        raise AssertionError("the model was loaded before the input was checked")

    monkeypatch.setattr(checkpoint, "load_model", refuse)


def run(capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, str, list[str]]:
    """Exit code, standard output, and the lines of standard error."""
    try:
        code = cli.main([str(a) for a in arguments])
    except SystemExit as stop:  # argparse and tyro end the process themselves
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err.splitlines()


def test_help_needs_no_heavy_import():
    code = (
        "import sys; from simpleclick_lite.cli import build_parser; build_parser().format_help();"
        "print([m for m in ('torch', 'cv2', 'timm', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_needs_no_optional_library():
    """Everything of the extras, and what only some commands need, is made impossible to import."""
    code = """
import sys

for name in ("ipycanvas", "ipywidgets", "ipyevents", "IPython", "papermill", "nbformat",
        "matplotlib", "pooch", "pycocotools", "nibabel", "scipy", "skimage", "sklearn",
        "accelerate", "tyro", "onnx", "onnxruntime", "tensorboard"):
    sys.modules[name] = None  # importing it fails from here on
import numpy as np
import simpleclick_lite as scl

predictor = scl.Predictor(scl.build_model("micro", image_size=32), device="cpu")
predictor.set_image(np.zeros((32, 32, 3), np.uint8))
print(predictor.predict(points=[(3, 4)], labels=[1]).mask.shape, callable(scl.load_model))
print(callable(scl.evaluate), scl.Click(1, 2, True), scl.InputError.__name__, scl.data.__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(32, 32) True")


def test_an_unknown_public_name_is_an_attribute_error():
    import simpleclick_lite

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = simpleclick_lite.nothing
    assert "Predictor" in dir(simpleclick_lite)


@pytest.mark.parametrize(
    ("clicks", "says"),
    [
        ([], "no click was given"),
        (["--positive", "64,10"], "outside the image"),
        (["--positive", "10,48"], "outside the image"),
        (["--positive", "10,10", "--negative", "-1,5"], "outside the image"),
        (["--positive", "-0.6,5"], "outside the image"),
        (["--positive", "10,10", "--negative", "-.6,5"], "outside the image"),
        (["--positive", "nan,5"], "not a finite number"),
        (["--positive", "inf,5"], "not a finite number"),
        (["--positive", "ten,5"], "two numbers X,Y"),
        (["--positive", "10"], "two numbers X,Y"),
        (["--positive", "1,2,3"], "two numbers X,Y"),
    ],
)
def test_segment_refuses_clicks_in_one_line(clicks, says, photo, tmp_path, no_model, capsys):
    out = tmp_path / "mask.png"
    code, printed, errors = run(capsys, "segment", photo, *clicks, "--out", out)
    assert code == 2
    assert printed == ""
    assert len(errors) == 1
    assert says in errors[0]
    assert not out.exists()


def test_segment_refuses_a_missing_and_a_broken_image(tmp_path, no_model, capsys):
    click = ("--positive", "3,4", "--out", tmp_path / "mask.png")
    code, _, errors = run(capsys, "segment", tmp_path / "none.png", *click)
    assert (code, len(errors)) == (2, 1)
    assert "none.png" in errors[0]
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    code, _, errors = run(capsys, "segment", tmp_path / "broken.png", *click)
    assert (code, len(errors)) == (2, 1)
    assert "broken.png" in errors[0]


def test_segment_refuses_an_output_it_cannot_write_before_the_model_runs(
    photo, tmp_path, no_model, capsys
):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    (tmp_path / "folder.png").mkdir()
    names = ("file/mask.png", "mask.jpg", "folder.png")
    for out in (tmp_path / name for name in names):
        code, _, errors = run(capsys, "segment", photo, "--positive", "20,20", "--out", out)
        assert (code, len(errors)) == (2, 1)
        assert str(out) in errors[0]


def test_segment_does_not_overwrite_the_photograph(photo, no_model, capsys):
    before = photo.read_bytes()
    code, _, errors = run(capsys, "segment", photo, "--positive", "20,20", "--out", photo)
    assert (code, len(errors)) == (2, 1)
    assert "photograph itself" in errors[0]
    assert photo.read_bytes() == before


@pytest.mark.parametrize("command", ["segment", "evaluate", "train"])
def test_weights_of_another_model_and_truncated_ones_are_refused(
    command, photo, weights, tmp_path, capsys
):
    def copy(name: str, state: bytes) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_bytes((weights / "config.json").read_bytes())
        (folder / "model.safetensors").write_bytes(state)
        return folder

    whole = (weights / "model.safetensors").read_bytes()
    checkpoint.save_model(build_model("micro", 64, pyramid="single_scale"), tmp_path / "single")
    other = (tmp_path / "single" / "model.safetensors").read_bytes()
    torch.save({"state_dict": {}, "config": {}}, tmp_path / "foreign.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "foreign.pth").read_bytes()[:200])
    arguments = {
        "segment": ("segment", photo, "--positive", "20,20", "--out", tmp_path / "m.png"),
        "evaluate": ("evaluate", "--data", "synthetic", "--json", tmp_path / "r.json"),
        "train": ("train", "--model", "micro", "--steps", "1", "--out", tmp_path / "run"),
    }[command]
    for wrong, says in (
        (copy("truncated", whole[: len(whole) // 2]), "truncated"),
        (copy("another", other), "this model"),
        (tmp_path / "foreign.pth", "not a complete SimpleClick checkpoint"),
        (tmp_path / "cut.pth", "truncated"),
    ):
        code, _, errors = run(capsys, *arguments, "--weights", wrong)
        assert (code, len(errors)) == (2, 1), errors
        assert says in errors[0] and wrong.name in errors[0]
    assert not (tmp_path / "m.png").exists() and not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_a_mask_that_does_not_fit_and_a_broken_image_are_named(command, tmp_path, capsys):
    for name in ("small", "broken"):
        write_png(tmp_path / "images" / f"{name}.png", np.zeros((40, 60, 3), np.uint8))
        write_png(tmp_path / "masks" / f"{name}.png", np.ones((40, 60), bool))
    write_png(tmp_path / "masks" / "small.png", np.ones((40, 30), bool))
    (tmp_path / "images" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    arguments = {
        "evaluate": ("--json", tmp_path / "r.json", "--method", "disk"),
        "train": ("--out", tmp_path / "run", "--model", "micro", "--steps", "1"),
    }[command]
    code, _, errors = run(capsys, command, "--data", "folder", "--root", tmp_path, *arguments)
    sentences = [line for line in errors if line.startswith("simpleclick-lite: ")]
    assert (code, len(sentences)) == (2, 1)
    assert "broken.png" in sentences[0] or "60 x 40 pixels" in sentences[0]
    assert not any("Traceback" in line for line in errors)
    # one bad picture among good ones is left out, counted and named
    if command == "evaluate":
        write_png(tmp_path / "images" / "broken.png", np.zeros((40, 60, 3), np.uint8))
        code, printed, errors = run(
            capsys, command, "--data", "folder", "--root", tmp_path, *arguments
        )
        assert code == 0
        assert "skipped (unreadable) | 1" in printed
        assert any("skipped" in line and "small.png" in line for line in errors)


def test_segment_refuses_weights_and_devices_that_are_not_there(photo, tmp_path, capsys):
    out = tmp_path / "mask.png"
    base = ("segment", photo, "--positive", "20,20", "--out", out)
    for more in (("--weights", tmp_path / "none"), ("--device", "quantum")):
        code, _, errors = run(capsys, *base, *more)
        assert (code, len(errors)) == (2, 1)
        assert str(more[1]) in errors[0]
    assert [p.name for p in tmp_path.iterdir()] == [photo.name], "nothing half-written stays"


def test_segment_writes_a_mask_of_0_and_255(photo, weights, tmp_path, capsys):
    out = tmp_path / "new folder" / "mask.png"
    code, printed, _ = run(
        capsys,
        *("segment", photo, "--positive", "20,20", "--positive", "30.5,20", "--negative", "2,2"),
        *("--weights", weights, "--out", out, "--device", "cpu"),
    )
    assert code == 0
    assert str(out) in printed
    mask = cv2.imdecode(np.frombuffer(out.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (48, 64)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 255}


def test_the_shipped_weights_cut_out_something_on_a_photograph(tmp_path, capsys):
    import skimage.data

    write_png(tmp_path / "coffee.png", skimage.data.coffee())
    out = tmp_path / "mask.png"
    code, _, errors = run(
        capsys,
        *("segment", tmp_path / "coffee.png", "--positive", "300,150", "--out", out),
        *("--device", "cpu"),
    )
    assert (code, errors) == (0, [])
    mask = cv2.imdecode(np.frombuffer(out.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert 0.01 < (mask == 255).mean() < 0.9, "the mask must be neither black nor everything"


def test_ctrl_c_ends_in_one_line_and_code_130(monkeypatch, capsys):
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands_data, "data_list", interrupt)
    code, _, errors = run(capsys, "data", "list")
    assert code == 130
    assert [line for line in errors if line] == ["simpleclick-lite: interrupted"]


def test_the_installed_program_prints_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "simpleclick_lite.cli", "segment", "none.png", "--positive=1,1"]
        + ["--out", "mask.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["paint"],
        ["segment"],
        ["evaluate", "--data", "photos"],
        ["evaluate", "--data", "photos", "--json", "x.json", "--max-clicks", "0"],
        ["evaluate", "--data", "photos", "--json", "x.json", "--sound"],
        ["data"],
        ["data", "check"],
        ["data", "show", "photos", "--option", "3"],
        ["course", "--parameter", "seed"],
    ],
)
def test_wrong_usage_is_one_line(arguments, capsys):
    code, _, errors = run(capsys, *arguments)
    assert code == 2
    assert len(errors) == 1


def test_evaluate_writes_the_keys_of_the_contract_and_a_curve(tmp_path, capsys):
    out = tmp_path / "disk.json"
    code, printed, _ = run(
        capsys,
        *("evaluate", "--data", "synthetic", "--method", "disk", "--json", out),
        *("--option", "length=2", "--max-clicks", "3"),
    )
    assert code == 0
    result = json.loads(out.read_text(encoding="utf-8"))
    keys = {"noc80", "noc85", "noc90", "miou", "failures85", "failures90", "seconds_per_click"}
    assert keys | {"settings", "objects"} <= set(result)
    assert all(isinstance(result[f"noc{t}"], float) for t in (80, 85, 90))
    assert len(result["miou"]) == 3
    assert len(result["objects"]) == 2
    assert result["settings"]["method"] == "disk"
    rows = [line.split("|")[1].strip() for line in printed.splitlines() if line.startswith("| ")]
    assert rows[3:9] == ["NoC@80", "NoC@85", "NoC@90", "mIoU@1", "mIoU@2", "mIoU@3"]
    assert rows[9:] == [
        *("failures at IoU 0.85", "failures at IoU 0.90", "seconds per click (median)"),
    ]
    curve = cv2.imdecode(np.frombuffer((tmp_path / "disk.png").read_bytes(), np.uint8), 1)
    assert curve.std() > 1, "the curve is a picture, not an empty page"


def test_evaluate_runs_a_saved_model(weights, tmp_path, capsys):
    out = tmp_path / "model.json"
    code, _, _ = run(
        capsys,
        *("evaluate", "--data", "synthetic", "--weights", weights, "--json", out),
        *("--option", "length=1", "--max-clicks", "2", "--no-flip", "--device", "cpu"),
    )
    assert code == 0
    settings = json.loads(out.read_text(encoding="utf-8"))["settings"]
    assert settings["flip"] is False
    assert settings["weights"] == str(weights)


def test_evaluate_refuses_in_one_line_what_cannot_work(tmp_path, no_model, capsys):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    disk = ("--method", "disk")
    good = ("--json", tmp_path / "a.json")
    for arguments in (
        ("--data", "grabcat", *good, *disk),
        ("--data", "folder", "--root", tmp_path / "none", *good, *disk),
        ("--data", "synthetic", "--json", tmp_path / "file" / "a.json", *disk),
        ("--data", "synthetic", *good, *disk, "--option", "color=3"),
        ("--data", "synthetic", *good, *disk, "--option", "length=many"),
        ("--data", "synthetic", *good, "--radius", "3"),
        ("--data", "synthetic", *good, *disk, "--radius", "nan"),
        ("--data", "synthetic", *good, *disk, "--radius", "-3"),
        ("--data", "synthetic", *good, *disk, "--stop-iou", "90"),
        ("--data", "synthetic", *good, *disk, "--curve", tmp_path / "a.jpg"),
        ("--data", "synthetic", "--json", tmp_path, *disk),
        ("--data", "synthetic", "--json", tmp_path / "a.png", *disk),
        ("--data", "synthetic", "--json", "", *disk),
    ):
        code, _, errors = run(capsys, "evaluate", *arguments)
        assert (code, len(errors)) == (2, 1), arguments
    assert not (tmp_path / "a.json").exists()


def test_evaluate_stops_objects_at_an_iou_when_asked(tmp_path, capsys):
    results = []
    for more in ((), ("--stop-iou", "0.3")):
        code, _, _ = run(
            capsys,
            *("evaluate", "--data", "synthetic", "--method", "disk", "--option", "length=4"),
            *("--json", tmp_path / "r.json", "--max-clicks", "4", *more),
        )
        assert code == 0
        results.append(json.loads((tmp_path / "r.json").read_text(encoding="utf-8")))
    whole, stopped = results
    assert stopped["settings"]["stop_iou"] == 0.3
    assert stopped["miou"] == [] and len(whole["miou"]) == 4
    for a, b in zip(whole["objects"], stopped["objects"], strict=True):
        first = next((k for k, iou in enumerate(a["iou"], 1) if iou >= 0.3), 4)
        assert b["iou"] == a["iou"][:first] and b["clicks"] == a["clicks"][:first]
    assert {len(item["iou"]) for item in stopped["objects"]} > {1}, "some stop and some do not"


def test_a_reader_that_goes_away_early_gets_no_traceback():
    command = [sys.executable, "-m", "simpleclick_lite.cli", "bench", "--table", "parameters"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # as `head` does
        errors = process.stderr.read().decode()
    assert process.returncode == 1 and "Traceback" not in errors and "Broken" not in errors, errors


def test_an_interrupted_evaluation_goes_on_with_resume(monkeypatch, tmp_path, capsys):
    from simpleclick_lite import robot

    out = tmp_path / "disk.json"
    command = ("evaluate", "--data", "synthetic", "--method", "disk", "--json", out)
    command += ("--option", "length=3", "--max-clicks", "2")
    really, seen = robot.evaluate_object, []

    def interrupted(predictor, sample, *rest):
        seen.append(sample.name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return really(predictor, sample, *rest)

    monkeypatch.setattr(robot, "evaluate_object", interrupted)
    code, _, errors = run(capsys, *command)
    assert code == 130
    assert any("--resume" in line for line in errors)
    assert not out.exists()
    code, _, errors = run(capsys, *command, "--resume")
    assert code == 0
    assert len(seen) == 4, "the two finished objects are not run again"
    assert len(json.loads(out.read_text(encoding="utf-8"))["objects"]) == 3
    assert {p.name for p in tmp_path.iterdir()} == {"disk.json", "disk.png"}


def test_evaluate_takes_a_fixed_subset_and_keeps_notes(tmp_path, capsys):
    names = []
    for _ in range(2):
        out = tmp_path / "disk.json"
        code, printed, _ = run(
            capsys,
            *("evaluate", "--data", "synthetic", "--method", "disk", "--json", out),
            *("--option", "length=20", "--limit", "2", "--max-clicks", "1"),
            *("--note", "machine=a test"),
        )
        assert code == 0
        assert "only 2 of 20 objects" in printed
        result = json.loads(out.read_text(encoding="utf-8"))
        names.append([item["name"] for item in result["objects"]])
        assert result["settings"]["limit"] == 2
        assert result["settings"]["machine"] == "a test"
    assert names[0] == names[1]
    assert len(names[0]) == 2


def test_data_lists_every_data_set(capsys):
    from simpleclick_lite.data import DATASETS

    code, printed, _ = run(capsys, "data", "list")
    assert code == 0
    assert {line.split()[0] for line in printed.splitlines()} == set(DATASETS)


def test_data_show_draws_a_sheet(tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    code, _, _ = run(
        capsys,
        *("data", "show", "synthetic", "--option", "length=9", "--count", "3", "--out", sheet),
    )
    assert code == 0
    assert cv2.imdecode(np.frombuffer(sheet.read_bytes(), np.uint8), cv2.IMREAD_COLOR).std() > 1


def test_data_show_draws_training_samples(tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    command = ("data", "show", "synthetic", "--training", "quick", "--out", sheet)
    code, _, _ = run(capsys, *command, "--count", "3")
    first = cv2.imdecode(np.frombuffer(sheet.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert code == 0 and first.shape == (240, 3 * 224, 3)
    run(capsys, *command, "--count", "3", "--seed", "1")
    other = cv2.imdecode(np.frombuffer(sheet.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert (first != other).any()
    code, _, error = run(capsys, *command, "--split", "val")
    assert code == 2 and "--split" in error[0]
    code, _, error = run(capsys, *command[:-3], "nothing", "--out", sheet)
    assert code == 2 and "no preset 'nothing'" in error[0]


def test_data_check_lists_problems_and_fails_where_there_are_some(tmp_path, capsys):
    for kind in ("images", "masks"):
        for name in ("a", "b"):
            picture = np.zeros((20, 20), np.uint8)
            picture[5:9, 5:9] = 255
            write_png(tmp_path / kind / f"{name}.png", picture)
    code, printed, _ = run(capsys, "data", "check", "folder", "--root", tmp_path)
    assert code == 0
    assert "no problem" in printed
    (tmp_path / "images" / "b.png").write_bytes(b"no picture")
    code, printed, _ = run(capsys, "data", "check", "folder", "--root", tmp_path)
    assert code == 1
    assert "b.png" in printed


def test_segment_exports_what_other_programs_read(photo, weights, tmp_path, capsys):
    code, _, _ = run(
        capsys,
        *("segment", photo, "--positive", "20,20", "--out", tmp_path / "m.png"),
        *("--weights", weights, "--device", "cpu", "--export", tmp_path / "export"),
    )
    assert code == 0
    assert (tmp_path / "export" / "coco.json").is_file()


def test_bench_prints_a_table_of_the_paper(tmp_path, capsys):
    code, printed, _ = run(capsys, "bench", "--table", "comparison", "--results", tmp_path)
    assert code == 0
    assert "GrabCut" in printed
    code, _, errors = run(capsys, "bench", "--table", "prices")
    assert (code, len(errors)) == (2, 1)


def test_bench_compares_presets_side_by_side(capsys):
    code, printed, _ = run(
        capsys,
        *("bench", "--models", "micro", "micro", "--image-size", "32", "--clicks", "2"),
        *("--device", "cpu"),
    )
    assert code == 0
    rows = printed.splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["micro", "micro"]
    assert rows[0].split()[-1] == "1.00"


def test_train_replaces_values_of_the_preset(monkeypatch, tmp_path, capsys):
    from simpleclick_lite import training

    seen = []

    def pretend(config: training.TrainConfig) -> training.TrainResult:
        seen.append(config)
        return training.TrainResult(Path(config.out), config.steps, 1.0, {"synthetic": [0.5]})

    monkeypatch.setattr(training, "train", pretend)
    code, printed, _ = run(
        capsys,
        *("train", "--preset", "quick", "--model", "xtiny", "--steps", "7", "--seed", "3"),
        *("--checkpoint-every", "2", "--data", "synthetic", "--resume", "--out", tmp_path / "run"),
    )
    assert code == 0
    config = seen[0]
    assert (config.preset, config.model, config.steps, config.seed) == ("quick", "xtiny", 7, 3)
    assert (config.checkpoint_every, config.data, config.resume) == (2, "synthetic", True)
    assert str(tmp_path / "run") in printed


def test_train_refuses_an_unknown_preset_setting_or_value(capsys):
    for arguments in (("--preset", "slow"), ("--preset",), ("--paint", "3"), ("--steps", "many")):
        code, _, errors = run(capsys, "train", *arguments)
        assert code == 2
        assert errors
        assert not any("Traceback" in line for line in errors)
