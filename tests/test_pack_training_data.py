"""Training data made small keeps its names, its labels and the places of its outlines."""

from __future__ import annotations

import cv2
import numpy as np
from pack_training_data import pack_picture, resized, scale_coco


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
