"""Training data made small keeps its names, its labels and the places of its outlines."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pack_training_data import COCO, SETS, pack, pack_picture, resized, scale_coco


def test_label_maps_are_resized_without_new_labels(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (90, 120)).astype(np.uint16) * 700
    cv2.imwrite(str(tmp_path / "a.png"), labels)
    pack_picture(tmp_path / "a.png", tmp_path / "b.png", 30, 65, labels=True)
    small = cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED)
    assert small.shape == (30, 40) and small.dtype == np.uint16
    assert set(np.unique(small)) <= {0, 700, 1400}


def test_a_small_picture_keeps_its_size():
    assert resized(np.zeros((20, 50, 3), np.uint8), 30, labels=False).shape == (20, 50, 3)


def test_coco_outlines_follow_their_photographs_and_crowds_are_left_out():
    data = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 100, "license": 3}],
        "annotations": [
            {
                "image_id": 1,
                "segmentation": [[0, 0, 200, 0, 200, 100]],
                "bbox": [0, 0, 200, 100],
                "area": 10000,
            },
            {"image_id": 1, "segmentation": {"counts": "x"}, "bbox": [0, 0, 1, 1], "area": 1},
        ],
        "categories": [],
    }
    made = scale_coco(data, 50)
    assert made["images"] == [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 50}]
    (row,) = made["annotations"]
    assert row["segmentation"] == [[0.0, 0.0, 100.0, 0.0, 100.0, 50.0]]
    assert row["bbox"] == [0.0, 0.0, 100.0, 50.0] and row["area"] == 2500


def _data(folder: Path) -> Path:
    """One photograph and one label map in each set."""
    photograph = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    for name, (pictures, maps) in SETS.items():
        for part, file, image in (
            (pictures, "a.jpg", photograph),
            (maps, "a.png", photograph[..., 0] % 3),
        ):
            (folder / name / part).mkdir(parents=True)
            cv2.imwrite(str(folder / name / part / file), image)
    for part in ("train2017", "val2017", "annotations"):
        (folder / COCO / part).mkdir(parents=True)
    cv2.imwrite(str(folder / COCO / "train2017" / "a.jpg"), photograph)
    text = json.dumps(
        {
            "images": [{"id": 1, "file_name": "a.jpg", "width": 80, "height": 60}],
            "annotations": [],
            "categories": [],
        }
    )
    (folder / COCO / "annotations" / "instances_train2017.json").write_text(text, encoding="utf-8")
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_every_set_is_packed_once_and_a_second_call_changes_nothing(tmp_path):
    data, out = _data(tmp_path / "data"), tmp_path / "out"
    original = _files(data)
    size = pack(data, out, 30, 60)
    packed = _files(out)
    assert size == sum(len(content) for content in packed.values())
    assert set(packed) == {*original, "packed.json"}
    assert cv2.imread(str(out / "pets" / "img" / "a.jpg")).shape == (30, 40, 3)
    assert pack(data, out, 30, 60) == size and _files(out) == packed
    assert _files(data) == original


def test_the_originals_are_never_overwritten(tmp_path):
    data = _data(tmp_path / "data")
    original = _files(data)
    for out in (data, data / "pets", data / COCO / "packed"):
        with pytest.raises(SystemExit, match="is the data itself"):
            pack(data, out, 30, 60)
    assert _files(data) == original


def test_two_settings_are_not_mixed_in_one_folder(tmp_path):
    data, out = _data(tmp_path / "data"), tmp_path / "out"
    pack(data, out, 30, 60)
    packed = _files(out)
    with pytest.raises(SystemExit, match="packed with"):
        pack(data, out, 20, 60)
    assert _files(out) == packed
    (out / "packed.json").unlink()
    with pytest.raises(SystemExit, match="unknown settings"):
        pack(data, out, 30, 60)


def test_what_is_missing_is_named(tmp_path):
    data = _data(tmp_path / "data")
    (data / COCO / "annotations" / "instances_train2017.json").unlink()
    with pytest.raises(SystemExit, match=r"annotations holds no instances_\*\.json"):
        pack(data, tmp_path / "out", 30, 60)
    (data / "CCP" / "labels" / "a.png").unlink()
    (data / "CCP" / "labels").rmdir()
    with pytest.raises(SystemExit, match="lacks the folder CCP/labels"):
        pack(data, tmp_path / "out", 30, 60)
    assert not (tmp_path / "out").exists()
