"""Sample, Scene, data sets by name, and stepping over what is broken."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

from simpleclick_lite.data import DATASETS, open_dataset, open_scenes, robust
from simpleclick_lite.data.base import LabelMasks, Sample, Scene
from simpleclick_lite.data.records import Records
from simpleclick_lite.errors import InputError

IMAGE = np.zeros((4, 6, 3), np.uint8)


def test_a_sample_checks_what_it_is_given():
    sample = Sample(IMAGE, np.eye(4, 6, dtype=bool), "a")
    assert sample.mask.dtype == np.int8 and sample.mask.sum() == 4
    assert not sample.ignored.any()
    with pytest.raises(InputError, match=r"a: .*\(5, 6\).*\(4, 6\)"):
        Sample(IMAGE, np.zeros((5, 6), np.int8), "a")
    with pytest.raises(InputError, match=r"\[2\]"):
        Sample(IMAGE, np.full((4, 6), 2), "a")
    with pytest.raises(InputError, match="integers"):
        Sample(IMAGE, np.zeros((4, 6)), "a")
    with pytest.raises(InputError, match="uint8"):
        Sample(IMAGE.astype(np.float32), np.zeros((4, 6), np.int8), "a")
    with pytest.raises(InputError, match="shape"):
        Sample(IMAGE[..., 0], np.zeros((4, 6), np.int8), "a")


def test_a_scene_decodes_nothing_before_it_is_asked():
    calls = []

    def image():
        calls.append("image")
        return IMAGE

    def masks():
        calls.append("masks")
        return LabelMasks(np.repeat([[0], [3], [3], [7]], 6, axis=1))

    scene = Scene("s", image, masks)
    assert calls == []
    assert len(scene) == 2 and calls == ["masks"]
    assert scene.mask(1)[3].all() and not scene.mask(1)[:3].any()
    assert scene.masks.shape == (2, 4, 6)
    assert scene.kinds == ("thing", "thing") and scene.parents == (-1, -1)
    assert scene.object_name(1) == "s_7"
    assert sorted(calls) == ["image", "masks"]
    with pytest.raises(IndexError):
        scene.mask(2)


def test_ignored_pixels_reach_the_target_but_never_cover_the_object():
    ignored = np.zeros((4, 6), bool)
    ignored[:2] = True
    scene = Scene("s", IMAGE, np.eye(4, 6, dtype=bool)[None], ignored=ignored)
    target = scene.target(0)
    assert target.dtype == np.int8
    assert target[0].tolist() == [1, -1, -1, -1, -1, -1]
    assert target[3].tolist() == [0, 0, 0, 1, 0, 0]
    assert np.array_equal(scene.sample(0).mask, target)


def test_a_scene_refuses_a_mask_of_another_size_and_wraps_any_error():
    with pytest.raises(InputError, match="s: the mask"):
        Scene("s", IMAGE, np.zeros((1, 4, 7), bool)).mask(0)

    def broken():
        raise KeyError("nothing")

    with pytest.raises(InputError, match="s cannot be read"):
        _ = Scene("s", broken, np.zeros((0, 4, 6), bool)).image
    with pytest.raises(InputError, match="s cannot be read"):
        len(Scene("s", IMAGE, broken))


def test_a_scene_without_objects_has_an_empty_stack():
    assert Scene("s", IMAGE, np.zeros((0, 4, 6), bool)).masks.shape == (0, 4, 6)


def load(number: int) -> Sample:
    if number in (2, 3):
        raise OSError("bad sector")
    return Sample(IMAGE, np.eye(4, 6, dtype=np.int8), f"r{number}")


def records(count: int = 6) -> Records[Sample]:
    return Records("set", range(count), load, [f"r{i}" for i in range(count)])


def test_records_behave_like_a_sequence():
    data = records()
    assert len(data) == 6 and data[-1].name == "r5" and data[np.int64(1)].name == "r1"
    assert [s.name for s in data[4:]] == ["r4", "r5"]
    assert data.subset([5, 0]).names == ["r5", "r0"]
    with pytest.raises(IndexError):
        data[6]
    assert pickle.loads(pickle.dumps(data))[1].name == "r1"


def test_a_limit_is_a_seeded_choice_in_the_original_order():
    data = records(50)
    chosen = data.limit(10, seed=3)
    assert len(chosen) == 10 and chosen.names == data.limit(10, seed=3).names
    assert chosen.names != data.limit(10, seed=4).names
    assert chosen.names == sorted(chosen.names, key=lambda n: int(n[1:]))
    assert data.limit(500) is data
    with pytest.raises(InputError):
        data.limit(0)


def test_an_error_while_loading_names_data_set_and_record():
    with pytest.raises(InputError, match="set: r2 cannot be read .*bad sector"):
        records()[2]


def test_robust_iteration_skips_counts_and_reports():
    items = robust(records())
    with pytest.warns(UserWarning, match="skipped r") as warned:
        assert [s.name for s in items] == ["r0", "r1", "r4", "r5"]
    assert len(warned) == 2
    assert list(items.skipped) == ["r2", "r3"]
    assert "2 of 6 records" in items.report() and "bad sector" in items.report()
    assert robust(records(2)).report() == ""


@pytest.mark.filterwarnings("ignore:skipped")
def test_robust_indexing_gives_the_next_readable_item():
    items = robust(records())
    assert items[2].name == "r4" and items[5].name == "r5"
    assert items.get(3) is None and items.get(0).name == "r0"
    with pytest.raises(InputError, match="not one record"):
        robust(records().subset([2, 3]))[0]


@pytest.mark.filterwarnings("ignore:skipped")
def test_robust_counts_what_breaks_while_a_scene_is_decoded():
    def broken():
        raise OSError("gone")

    scenes = [
        Scene("good", IMAGE, np.ones((1, 4, 6), bool)),
        Scene("bad", broken, np.ones((1, 4, 6))),
    ]
    data = Records("set", range(2), scenes.__getitem__, ["good", "bad"])
    items = robust(data, prepare=lambda scene: (scene.image, scene.mask(0)))
    assert len(list(items)) == 1 and list(items.skipped) == ["bad"]


def test_unknown_names_splits_options_and_roots_are_told_in_one_sentence(tmp_path):
    with pytest.raises(InputError, match="did you mean grabcut"):
        open_dataset("grabcuts")
    with pytest.raises(InputError, match="choose one of .*berkeley"):
        open_dataset("xyz")
    with pytest.raises(InputError, match="--root"):
        open_dataset("grabcut")
    with pytest.raises(InputError, match="does not exist"):
        open_dataset("grabcut", tmp_path / "absent")
    with pytest.raises(InputError, match="data_GT"):
        open_dataset("grabcut", tmp_path)
    with pytest.raises(InputError, match="no split"):
        open_dataset("pascal_voc", tmp_path, split="test")
    with pytest.raises(InputError, match="options: seed"):
        open_dataset("synthetic", sed=3)
    with pytest.raises(InputError, match="not a data set for training"):
        open_scenes("grabcut", tmp_path)


def test_every_named_data_set_has_a_module_with_its_functions():
    import importlib

    for name, info in DATASETS.items():
        module = importlib.import_module(f"simpleclick_lite.data.{info.module}")
        for what in info.offers:
            assert callable(getattr(module, info.opener(what))), name


def test_reading_data_imports_no_model_and_no_optional_package():
    unwanted = ["nibabel", "pycocotools", "matplotlib", "simpleclick_lite.data.coco"]
    code = (
        "import sys, simpleclick_lite.data as d; d.open_dataset('synthetic', length=1);"
        f"sys.exit(sum(m in sys.modules for m in {unwanted}))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_no_module_of_the_data_package_imports_the_model(root):
    for path in (root / "simpleclick_lite" / "data").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name in ("model", "backbone", "predictor", "training", "evaluation"):
            assert f"from ..{name}" not in text, path
