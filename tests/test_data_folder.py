"""Your own data: mask files by the documented rules, COCO files, labelme files."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from data_writers import SIZE, coco_content, folder, jpeg, labelme, labels, palette_png, picture

from simpleclick_lite.data import open_dataset, open_scenes
from simpleclick_lite.errors import InputError
from simpleclick_lite.files import write_png


@pytest.fixture
def one(tmp_path):
    """`one(array)` makes a folder of one image with this mask, and opens it."""

    def make(array: np.ndarray, palette: bool = False):
        write_png(tmp_path / "images" / "a.png", picture(0, array.shape[:2]))
        if palette:
            palette_png(tmp_path / "masks" / "a.png", array)
        else:
            write_png(tmp_path / "masks" / "a.png", array)
        return open_dataset("folder", tmp_path)

    return make


@pytest.mark.parametrize("value", [1, 255])
def test_a_binary_mask_is_one_object_with_the_images_name(one, value):
    samples = one(labels(0, 1) * np.uint8(value))
    assert samples.names == ["a"]
    assert np.array_equal(samples[0].mask == 1, labels(0, 1) > 0)


def test_sixteen_bit_black_and_white_is_binary_too(one):
    samples = one(labels(0, 1).astype(np.uint16) * 65535)
    assert len(samples) == 1 and samples[0].mask.max() == 1


def test_128_between_black_and_white_is_ignored(one):
    array = labels(0, 1) * np.uint8(255)
    array[0] = 128
    sample = one(array)[0]
    assert (sample.mask[0] == -1).all() and sample.mask.max() == 1


def test_a_label_map_is_one_object_per_number_and_255_is_ignored(one):
    array = labels(0, 3)
    array[0] = 255
    samples = one(array)
    assert samples.names == ["a_1", "a_2", "a_3"]
    for number, sample in enumerate(samples, 1):
        assert np.array_equal(sample.mask == 1, array == number)
        assert (sample.mask[0] == -1).all()


def test_numbers_above_eight_bits_are_labels(one):
    samples = one(labels(0, 2).astype(np.uint16) * 300)
    assert samples.names == ["a_300", "a_600"]


def test_a_palettes_indices_are_the_labels(one):
    samples = one(labels(0, 2), palette=True)
    assert samples.names == ["a_1", "a_2"]
    assert np.array_equal(samples[1].mask == 1, labels(0, 2) == 2)


def test_a_picture_with_colors_and_an_empty_mask_are_refused(one):
    with pytest.raises(InputError, match="colors"):
        one(picture(1))[0]
    with pytest.raises(InputError, match=r"a\.png is empty"):
        one(np.zeros(SIZE, np.uint8))[0]


def test_a_folder_of_masks_holds_the_objects_of_one_image(tmp_path):
    jpeg(tmp_path / "images" / "a.jpg", 0)
    for i in range(3):
        write_png(tmp_path / "masks" / "a" / f"dog{i}.png", labels(i, 1) * np.uint8(255))
    samples = open_dataset("folder", tmp_path)
    assert samples.names == ["a_dog0", "a_dog1", "a_dog2"]
    scene = open_scenes("folder", tmp_path)[0]
    assert scene.masks.shape == (3, *SIZE)
    write_png(tmp_path / "masks" / "a" / "dog3.png", np.ones((5, 5), np.uint8))
    with pytest.raises(InputError, match=r"dog3\.png differ in size"):
        len(open_scenes("folder", tmp_path)[0])


def test_an_image_without_a_mask_and_a_mask_without_an_image_are_named(tmp_path):
    folder(tmp_path)
    jpeg(tmp_path / "images" / "zebra.jpg", 9)
    shutil.move(tmp_path / "images" / "my0.jpg", tmp_path / "elsewhere.jpg")
    samples = open_dataset("folder", tmp_path)
    with pytest.raises(InputError, match=r"my0\.png has no image"):
        samples[0]
    with pytest.raises(InputError, match=r"zebra\.jpg has no mask"):
        samples[-1]


@pytest.mark.parametrize("way", ["annotations.json", "annotations/any_name.json"])
def test_a_coco_file_is_read_with_its_small_objects(tmp_path, way):
    content = coco_content()
    for i, entry in enumerate(content["images"]):
        jpeg(tmp_path / "images" / entry["file_name"], i)
    (tmp_path / way).parent.mkdir(exist_ok=True)
    (tmp_path / way).write_text(json.dumps(content), encoding="utf-8")
    samples = open_dataset("folder", tmp_path)
    assert len(samples) == 12 and len(open_scenes("folder", tmp_path)) == 3
    assert np.array_equal(samples[1].mask == 1, labels(0, 4) == 2)


def test_what_export_writes_can_be_read(tmp_path):
    """A COCO file needs neither `area` nor `iscrowd`."""
    content = coco_content(1)
    for entry in content["annotations"]:
        entry.pop("area")
        entry.pop("iscrowd")
    jpeg(tmp_path / "images" / content["images"][0]["file_name"], 0)
    (tmp_path / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    assert len(open_dataset("folder", tmp_path)) == 5


def test_labelme_shapes_become_objects(tmp_path):
    samples = open_dataset("folder", labelme(tmp_path))
    assert samples.names[:4] == ["cat0_cat0", "cat0_cat1", "cat0_cat2", "cat0_cat3"]
    polygon, pair, disk, stamp = (samples[i].mask == 1 for i in range(4))
    assert polygon[5, 5] and not polygon[25, 5] and abs(polygon.sum() - 18 * 18) < 40
    assert pair[10, 35] and pair[10, 47] and not pair[10, 43]
    assert disk[28, 30] and abs(disk.sum() - np.pi * 36) < 25
    assert stamp.sum() == 29 and not stamp[25, 3] and stamp[26, 3]


def test_labelme_files_may_lie_beside_a_folder_of_images(tmp_path):
    labelme(tmp_path / "made")
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for path in (tmp_path / "made").iterdir():
        target = "labels" if path.suffix == ".json" else "images"
        shutil.move(path, tmp_path / target / path.name)
    assert len(open_dataset("folder", tmp_path)) == 8


def test_an_unclear_folder_says_what_would_be_accepted(tmp_path):
    with pytest.raises(InputError, match="neither images/ and masks/, nor a COCO file"):
        open_dataset("folder", tmp_path)
    for name in ("one.json", "two.json"):
        (tmp_path / name).write_text(json.dumps(coco_content()), encoding="utf-8")
    with pytest.raises(InputError, match=r"several annotation files \(one\.json, two\.json\)"):
        open_dataset("folder", tmp_path)
    with pytest.raises(InputError, match="no format"):
        open_dataset("folder", folder(tmp_path / "f"), format="voc")
    with pytest.raises(InputError, match="looks like masks"):
        open_dataset("folder", tmp_path / "f", format="coco")


def test_a_broken_coco_file_is_named(tmp_path):
    for content in ("{", "[1]", '{"images": 3, "annotations": []}', '{"images": []}'):
        (tmp_path / "mine.json").write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=r"mine\.json"):
            open_dataset("folder", tmp_path)
