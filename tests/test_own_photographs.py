"""The README's way from a folder of photographs to masks that training reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import data_writers
from fake_predictor import FakePredictor

from simpleclick_lite.data import open_dataset, open_scenes
from simpleclick_lite.data.check import check_dataset
from simpleclick_lite.session import ClickSession


def test_label_maps_of_the_click_tool_are_the_masks_of_a_folder(tmp_path: Path):
    images = tmp_path / "my_photos" / "images"
    for i in range(2):
        data_writers.jpeg(images / f"holiday-{i}.jpg", i)
    session = ClickSession(images, FakePredictor(), out_dir=tmp_path / "my_clicks")
    for i in range(2):
        session.go_to(i)
        session.add_click(12 + 10 * i, 14)
        session.finish()
    session.export()
    shutil.copytree(tmp_path / "my_clicks" / "export" / "labels", images.parent / "masks")
    assert check_dataset("folder", images.parent).ok
    samples = open_dataset("folder", images.parent)
    assert [sample.name for sample in samples] == ["holiday-0", "holiday-1"]
    assert all((sample.mask == 1).any() for sample in samples)
    assert len(open_scenes("folder", images.parent)) == 2
