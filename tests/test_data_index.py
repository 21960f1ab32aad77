"""The on-disk index, the streaming JSON reader, and COCO+LVIS built from released files."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from data_writers import SIZE, jpeg, labels, run_lengths

from simpleclick_lite.data import json_stream, open_dataset, open_scenes
from simpleclick_lite.data.coco_lvis import Source, build_index, combine, find_sources
from simpleclick_lite.data.index import (
    LONGEST,
    Index,
    IndexedImage,
    decode_runs,
    encode_mask,
    open_index,
    write_index,
)
from simpleclick_lite.data.json_stream import stream
from simpleclick_lite.errors import InputError


def square(x: int, y: int, side: int) -> np.ndarray:
    """(H, W) bool, one square."""
    mask = np.zeros(SIZE, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def entry(number: int, image_id: int, mask: np.ndarray, **more) -> dict:
    """A COCO annotation with an uncompressed RLE."""
    code = {"size": list(mask.shape), "counts": run_lengths(mask)}
    return {"id": number, "image_id": image_id, "segmentation": code, "category_id": 1, **more}


# runs


@pytest.mark.parametrize("density", [0.02, 0.5, 0.98, 1.0])
def test_a_mask_survives_its_runs(density):
    mask = np.random.default_rng(0).random((30, 41)) < density
    found = encode_mask(mask)
    x0, y0, x1, y1 = found.box
    back = np.zeros_like(mask)
    back[y0:y1, x0:x1] = decode_runs(found.runs, found.box)
    assert np.array_equal(back, mask) and found.area == mask.sum()


@pytest.mark.parametrize("length", [LONGEST - 1, LONGEST, LONGEST + 1, 2 * LONGEST, 200_000])
def test_runs_longer_than_sixteen_bits_are_cut(length):
    mask = np.zeros((1, length + 2), bool)
    mask[0, 1 : length + 1] = True
    mask = np.vstack([mask, np.eye(1, length + 2, dtype=bool), np.ones((1, length + 2), bool)])
    found = encode_mask(mask)
    assert found.runs.dtype == np.uint16
    assert np.array_equal(decode_runs(found.runs, found.box), mask)


def test_an_empty_mask_has_no_runs_and_wrong_runs_are_refused():
    assert encode_mask(np.zeros((4, 4), bool)) is None
    with pytest.raises(InputError, match="not its box"):
        decode_runs(np.array([1, 2], np.uint16), (0, 0, 2, 2))


# index


@pytest.fixture
def small(tmp_path):
    """An index of three images, the second without objects."""
    images = []
    for i in range(3):
        jpeg(tmp_path / "img" / f"photo{i}.jpg", i)
        objects = [] if i == 1 else [encode_mask(labels(i, 3) == v) for v in (1, 2, 3)]
        for k, one in enumerate(objects):
            one.kind, one.parent = ("thing", "part", "stuff")[k], (-1, 0, -1)[k]
        images.append(IndexedImage(50 + i, f"photo{i}.jpg", *SIZE, objects))
    write_index(tmp_path / "index", images, ["by hand"])
    return tmp_path


def test_an_index_gives_back_its_scenes(small):
    scenes = open_index("some", small / "index", [small / "img"])
    assert len(scenes) == 3 and list(scenes.names) == ["photo0", "photo1", "photo2"]
    assert scenes.names[1:] == ["photo1", "photo2"] and scenes.names[-1] == "photo2"
    assert len(scenes[1]) == 0 and scenes[1].masks.shape == (0, *SIZE)
    last = scenes[2]
    assert last.kinds == ("thing", "part", "stuff") and last.parents == (-1, 0, -1)
    for k in range(3):
        assert np.array_equal(last.mask(k), labels(2, 3) == k + 1)
    assert last.image.shape == (*SIZE, 3)


def test_workers_get_the_path_and_not_the_tables(small):
    scenes = open_index("some", small / "index", [small / "img"])
    assert len(pickle.dumps(scenes)) < 2000
    again = pickle.loads(pickle.dumps(scenes))
    assert np.array_equal(again[0].masks, scenes[0].masks)
    assert np.array_equal(pickle.loads(pickle.dumps(scenes[0])).masks, scenes[0].masks)


def test_an_index_is_never_written_twice_or_by_halves(small):
    with pytest.raises(InputError, match="exists already"):
        write_index(small / "index", [], [])

    def broken():
        yield IndexedImage(1, "a.jpg", 4, 4, [encode_mask(np.ones((4, 4), bool))])
        raise RuntimeError("power cut")

    before = sorted(path.name for path in small.iterdir())
    with pytest.raises(RuntimeError):
        write_index(small / "other", broken(), [])
    assert sorted(path.name for path in small.iterdir()) == before


@pytest.mark.parametrize("name", ["runs.bin", "objects.npy", "index.json", "names.bin"])
def test_an_incomplete_index_says_so(small, name):
    path = small / "index" / name
    path.write_bytes(
        path.read_bytes()[: path.stat().st_size // 2 // 2 * 2] if name != "names.bin" else b""
    )
    with pytest.raises(InputError, match="incomplete"):
        Index(small / "index")


def test_another_version_asks_for_a_rebuild(small):
    path = small / "index" / "index.json"
    content = json.loads(path.read_text(encoding="utf-8")) | {"version": 99}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="version 99; rebuild"):
        Index(small / "index")


# streaming JSON


@pytest.mark.parametrize("chunk", [1, 3, 7, 64, 4096])
def test_elements_arrive_one_by_one_whatever_the_chunks(tmp_path, monkeypatch, chunk):
    content = {
        "info": {"a": [1, {"b": "x]}"}]}, "number": 12345, "empty": [], "word": 'q"\\',
        "images": [{"id": 1, "x": -1.5e3}, {"id": 22, "y": [[], {}]}], "annotations": [{"é": "日"}],
    }  # fmt: skip
    path = tmp_path / "a.json"
    monkeypatch.setattr(json_stream, "CHUNK", chunk)
    for indent in (None, 2):
        path.write_text(json.dumps(content, indent=indent, ensure_ascii=False), encoding="utf-8")
        assert list(stream(path, "images")) == content["images"]
        assert list(stream(path, "annotations")) == content["annotations"]
        assert list(stream(path, "empty")) == []
        with pytest.raises(InputError, match="no list 'absent'"):
            list(stream(path, "absent"))


@pytest.mark.parametrize(
    "text",
    ["", "[", "{", '{"a"', '{"a": [1,', '{"a": [1 2]}', '{"a": [1], "b": tru', "{a: 1}", "\x00"],
)
def test_broken_json_is_refused_by_name(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"broken\.json"):
        list(stream(path, "z"))
    path.write_bytes(b'{"a": "\xff\xfe"}')
    with pytest.raises(InputError, match=r"broken\.json"):
        list(stream(path, "z"))


def test_a_missing_json_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.json"):
        list(stream(tmp_path / "absent.json", "a"))


# COCO+LVIS


def test_a_coco_object_that_lvis_has_is_left_out():
    lvis, near, far = square(5, 5, 20), square(6, 5, 20), square(9, 5, 20)
    found = combine([(what, encode_mask(m)) for what, m in
                     (("lvis", lvis), ("coco", near), ("coco", far))])  # fmt: skip
    assert [entry.area for entry in found] == [400, 400]
    assert found[1].box == (9, 5, 29, 25)


def test_the_smallest_object_around_is_the_parent_and_stuff_is_nobodys():
    masks = [square(0, 0, 36), square(2, 2, 20), square(4, 4, 6), square(30, 30, 8)]
    objects = [("lvis", encode_mask(m)) for m in masks] + [("stuff", encode_mask(square(0, 0, 38)))]
    objects[-1][1].kind = "stuff"
    assert [entry.parent for entry in combine(objects)] == [-1, 0, 1, -1, -1]


@pytest.fixture
def released(tmp_path):
    """LVIS, COCO and stuff files of three photographs, as they are released."""
    height, width = SIZE
    size = {"height": height, "width": width}
    for i in (1, 2, 3):
        jpeg(tmp_path / "train2017" / f"{i:012d}.jpg", i)
    url = "http://images.cocodataset.org/train2017/{:012d}.jpg"
    lvis = {
        "images": [{"id": i, "coco_url": url.format(i), **size} for i in (1, 2)],
        "annotations": [entry(1, 1, square(5, 5, 20)), entry(2, 1, square(7, 7, 5)),
                        entry(3, 2, square(1, 1, 9))],
        "categories": [],
    }  # fmt: skip
    polygon = [[30.0, 5.0, 50.0, 5.0, 50.0, 25.0, 30.0, 25.0]]
    coco = {
        "images": [{"id": i, "file_name": f"{i:012d}.jpg", **size} for i in (1, 2, 3)],
        "annotations": [entry(1, 1, square(5, 5, 20), iscrowd=0),
                        entry(2, 1, square(0, 0, 3), iscrowd=1),
                        entry(3, 3, square(0, 0, 3)) | {"segmentation": polygon},
                        entry(4, 3, square(0, 0, 3)) | {"segmentation": [[1, 2]]},
                        entry(5, 77, square(0, 0, 3))],
        "categories": [],
    }  # fmt: skip
    stuff = {
        "images": coco["images"],
        "annotations": [entry(1, 2, square(20, 0, 30), category_id=100),
                        entry(2, 2, ~square(20, 0, 30), category_id=183)],
        "categories": [{"id": 100, "name": "sky"}, {"id": 183, "name": "other"}],
    }  # fmt: skip
    folder = tmp_path / "annotations"
    folder.mkdir()
    for name, content in (("lvis_v1_train", lvis), ("instances_train2017", coco),
                          ("stuff_train2017", stuff)):  # fmt: skip
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_the_three_files_become_one_index(released):
    sources = find_sources(released, "train")
    assert [source.what for source in sources] == ["lvis", "coco", "stuff"]
    found = build_index(released / "coco_lvis_index" / "train", sources, progress=False)
    assert (found["images"], found["objects"]) == (3, 5)
    assert found["left out"] == {
        "crowds and other": 2, "of unknown images": 1, "broken or empty": 1, "known to LVIS": 1,
    }  # fmt: skip
    scenes = open_scenes("coco_lvis", released)
    assert [len(scene) for scene in scenes] == [2, 2, 1]
    assert scenes[0].parents == (-1, 0) and scenes[1].kinds == ("thing", "stuff")
    assert np.array_equal(scenes[0].mask(1), square(7, 7, 5))
    assert scenes[2].image.shape == (*SIZE, 3) and scenes[2].mask(0).sum() == 400
    assert [path.name for path in (released / "coco_lvis_index").iterdir()] == ["train"]
    samples = open_dataset("coco_lvis", released, "train")
    assert len(samples) == 4 and samples[0].mask.any()


def test_without_an_index_the_script_is_named_and_without_files_they_are(released, tmp_path):
    with pytest.raises(InputError, match=r"data_scripts/coco_lvis\.py"):
        open_scenes("coco_lvis", released)
    with pytest.raises(InputError, match="neither lvis_v1_val"):
        find_sources(released, "val")
    build_index(tmp_path / "i", find_sources(released, "train"), progress=False)
    with pytest.raises(InputError, match="exists already"):
        build_index(tmp_path / "i", find_sources(released, "train"), progress=False)


def test_a_broken_source_leaves_no_index(released):
    path = released / "annotations" / "instances_train2017.json"
    path.write_text(path.read_text(encoding="utf-8")[:-200], encoding="utf-8")
    with pytest.raises(InputError, match=r"instances_train2017\.json"):
        build_index(released / "i" / "train", find_sources(released, "train"), progress=False)
    assert list((released / "i").iterdir()) == []


def test_real_coco_scenes_are_the_same_through_the_index(shared, tmp_path):
    root = shared / "datasets" / "coco_mini"
    source = Source("coco", root / "annotations" / "instances_val2017.json")
    build_index(tmp_path / "i", [source], progress=False)
    indexed = open_index("coco_lvis", tmp_path / "i", [root / "val2017"])
    direct = open_scenes("coco", root, "val", min_area=0)
    assert len(indexed) == len(direct) == 162
    for number in range(0, 162, 9):
        assert np.array_equal(indexed[number].masks, direct[number].masks)
        assert np.array_equal(indexed[number].image, direct[number].image)
