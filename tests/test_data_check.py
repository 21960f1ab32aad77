"""`data check`, `data list` and `data show`."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from data_writers import SPLIT, WRITERS, coco, folder, grabcut, jpeg, pascal_voc

from simpleclick_lite.data import DATASETS, open_scenes
from simpleclick_lite.data.check import check_dataset, format_listing, list_datasets
from simpleclick_lite.data.show import overlay, show_dataset, tile, training_tile
from simpleclick_lite.errors import InputError
from simpleclick_lite.files import read_image, write_png


def complete(name: str, root) -> list[str]:
    """Problems other than that a copy is smaller than the released set."""
    report = check_dataset(name, root, SPLIT.get(name))
    return [text for text in report.problems if "the complete set has" not in text]


@pytest.mark.parametrize("name", WRITERS)
def test_a_sound_copy_has_no_problem(tmp_path, name):
    writer, objects = WRITERS[name]
    root = writer(tmp_path / name)
    assert complete(name, root) == []
    assert check_dataset(name, root, SPLIT.get(name)).objects == objects


def test_embedded_sets_are_checked_without_a_root():
    report = check_dataset("synthetic", length=5, size=64)
    assert report.ok and report.objects == 5 and report.summary.startswith("synthetic: 5 objects")


def test_every_problem_is_listed_with_its_file(tmp_path):
    root = grabcut(tmp_path)
    (root / "data_GT" / "photo1.bmp").unlink()
    jpeg(root / "data_GT" / "photo0.jpg", 0, (20, 20))
    write_png(root / "boundary_GT" / "photo2.png", np.zeros((40, 56), np.uint8))
    report = check_dataset("grabcut", root)
    text = "\n".join(report.problems)
    assert not report.ok and report.objects == 1
    assert "photo0.png is 56 x 40" in text and "photo1.bmp has no image" in text
    assert "photo2.png is empty" in text
    assert "has 4 images, the complete set has 50" in text
    assert report.summary.endswith("5 problems")


def test_the_numbers_of_the_complete_set_are_compared(tmp_path):
    for i in range(50):
        jpeg(tmp_path / "data_GT" / f"{i}.jpg", i, (12, 12))
        mask = np.zeros((12, 12), np.uint8)
        mask[2:6, 2:6] = 255
        write_png(tmp_path / "boundary_GT" / f"{i}.png", mask)
    report = check_dataset("grabcut", tmp_path)
    assert report.ok, report.problems
    assert "50 objects on 50 images, no problem" in report.summary


def test_annotations_of_unknown_images_are_counted(tmp_path):
    import json

    root = coco(tmp_path)
    path = root / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["annotations"][0]["image_id"] = 12345
    path.write_text(json.dumps(content), encoding="utf-8")
    text = "\n".join(check_dataset("coco", root, "val").problems)
    assert "instances_val2017.json: 1 annotations belong to images" in text


def test_a_photograph_without_an_object_is_a_problem(tmp_path):
    root = WRITERS["ccp"][0](tmp_path)
    write_png(root / "labels" / "0001.png", np.zeros((40, 56), np.uint8))
    assert "ccp: 0001 marks no object" in check_dataset("ccp", root).problems


def test_both_splits_are_checked_and_a_missing_one_is_told(tmp_path):
    root = pascal_voc(tmp_path)
    assert check_dataset("pascal_voc", root).objects == 7
    (root / "ImageSets" / "Segmentation" / "train.txt").unlink()
    problems = check_dataset("pascal_voc", root).problems
    assert any("a split is not there" in text and "train.txt" in text for text in problems)


def test_a_folder_that_is_not_the_data_set_is_a_problem_and_a_wrong_name_an_error(tmp_path):
    report = check_dataset("davis", tmp_path)
    assert not report.ok and "is not its folder" in report.problems[0]
    with pytest.raises(InputError, match="no data set"):
        check_dataset("dawis", tmp_path)
    with pytest.raises(InputError, match="no split"):
        check_dataset("davis", tmp_path, split="train")


def test_the_listing_says_what_is_where(tmp_path):
    grabcut(tmp_path / "GrabCut")
    pascal_voc(tmp_path / "VOCdevkit" / "VOC2012")
    rows = {row.name: row.where for row in list_datasets(tmp_path)}
    assert set(rows) == set(DATASETS)
    assert rows["grabcut"] == str(tmp_path / "GrabCut")
    assert rows["pascal_voc"].endswith("VOC2012") and rows["davis"] is None
    assert rows["photos"] == "inside the package"
    assert len(format_listing(list_datasets()).splitlines()) == len(DATASETS)
    with pytest.raises(InputError, match="does not exist"):
        list_datasets(tmp_path / "absent")


@pytest.mark.filterwarnings("ignore:skipped")
def test_a_sheet_shows_objects_and_steps_over_broken_files(tmp_path):
    root = folder(tmp_path / "mine")
    (root / "images" / "my1.jpg").write_bytes(b"broken")
    items = show_dataset("folder", root, tmp_path / "sheet.png", count=6)
    assert len(items.skipped) == 2 and "2 of 6 records" in items.report()
    sheet = read_image(tmp_path / "sheet.png")
    assert sheet.shape == (240, 4 * 224, 3)
    with pytest.raises(InputError):
        show_dataset("folder", root, tmp_path / "sheet.png", count=0)


def test_the_overlay_tints_the_object_and_marks_what_is_ignored():
    from simpleclick_lite.data.base import Sample

    mask = np.zeros((60, 90), np.int8)
    mask[20:40, 20:60] = 1
    mask[:4] = -1
    sample = Sample(np.full((60, 90, 3), 100, np.uint8), mask, "näme")
    picture = overlay(sample)
    assert picture[30, 40, 2] > 150 and picture[2, 5].tolist() == [255, 220, 0]
    assert picture[50, 80].tolist() == [100, 100, 100]
    assert tile(sample).shape == (240, 224, 3)
    name = cv2.cvtColor(tile(sample), cv2.COLOR_RGB2GRAY)[
        150:166
    ]  # right below 149 rows of picture
    assert name.min() < 100 and name.max() == 255


def test_a_training_tile_shows_target_and_clicks_in_their_colors():
    from simpleclick_lite.clicks import Click
    from simpleclick_lite.data.sampling import TrainingSample
    from simpleclick_lite.palette import NEGATIVE, POSITIVE

    image, target = np.full((448, 448, 3), 100, np.uint8), np.zeros((448, 448), np.int8)
    target[100:300, 100:300] = 1
    clicks = [Click(200, 160), Click(400, 60, positive=False)]
    made = training_tile(TrainingSample(image, target, clicks, 0, "a long name of a scene"))
    assert made.shape == (240, 224, 3)
    for click, color in zip(clicks, (POSITIVE, NEGATIVE), strict=True):
        shown = made[int(click.y) // 2, int(click.x) // 2].astype(int)
        assert np.abs(shown - list(bytes.fromhex(color[1:]))).max() < 40
    assert made[120, 60, 2] > 150 and made[20, 20].tolist() == [100, 100, 100]


def test_grabcut_is_complete(shared):
    report = check_dataset("grabcut", shared / "datasets")
    assert report.ok and (report.images, report.objects) == (50, 50)


def test_a_sample_of_a_real_set_is_known_to_be_incomplete(shared):
    problems = check_dataset("davis", shared / "datasets").problems
    assert len(problems) == 2 and all("the complete set has 345" in text for text in problems)


def test_the_real_photograph_without_an_annotation_is_an_empty_scene(shared):
    scenes = open_scenes("ccp", shared / "datasets")
    assert len(scenes[scenes.names.index("0536")]) == 0
