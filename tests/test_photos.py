"""The embedded photographs: what they hold, that the outlines are sane, that nothing is fetched."""

from __future__ import annotations

import json
import socket
import sys

import numpy as np
import pytest
from skimage.measure import label

from simpleclick_lite.data import open_dataset, photos
from simpleclick_lite.errors import InputError


@pytest.fixture(scope="module")
def dataset():
    return photos.open_photos()


def test_twelve_photographs_and_at_least_35_objects_of_which_at_most_6_are_coins(dataset):
    names = photos.object_names()
    assert len(photos.photo_names()) >= 10
    assert len(dataset) == len(names) >= 35
    assert sum(name.startswith("coins/") for name in names) <= 6
    assert {photos.photo_of(name) for name in names} == set(photos.photo_names())


def test_names_are_unique_and_their_order_is_fixed(dataset):
    assert dataset.names == list(photos.object_names())
    assert len(set(dataset.names)) == len(dataset)
    assert dataset[0].name == "astronaut/helmet"
    assert dataset[len(dataset) - 1].name == "china/finial"


def test_open_dataset_gives_the_same_records(dataset):
    assert open_dataset("photos").names == dataset.names


def test_every_mask_is_one_sensible_area_as_large_as_its_image(dataset):
    for sample in dataset:
        assert sample.image.dtype == np.uint8 and sample.image.shape[2] == 3
        assert sample.mask.shape == sample.image.shape[:2] and sample.mask.dtype == np.int8
        assert set(np.unique(sample.mask)) == {0, 1}, sample.name
        assert 300 <= sample.mask.sum() <= 0.8 * sample.mask.size, sample.name
        parts = np.bincount(label(sample.mask).ravel())[1:]  # what is in front may cut it in two
        assert parts.max() >= 0.75 * parts.sum(), sample.name
        assert np.sort(parts)[:-1].min(initial=100) >= 20, f"{sample.name} has crumbs: {parts}"
        holes = np.bincount(label(sample.mask == 0, connectivity=1).ravel())[1:]
        assert holes.min() >= 10, f"{sample.name} has pinholes"


def test_no_two_objects_of_a_photograph_are_the_same_and_parts_lie_on_their_parents():
    for name in photos.photo_names():
        scene = photos.load_scene(name)
        masks = scene.masks
        for i, parent in enumerate(scene.parents):
            if parent >= 0:
                assert np.sum(masks[i] & masks[parent]) > 0.97 * masks[i].sum(), (name, i)
            for j in range(i):
                both, either = (masks[i] & masks[j]).sum(), (masks[i] | masks[j]).sum()
                assert both < 0.9 * either, (name, i, j)


def test_scenes_hold_the_masks_of_the_samples(dataset):
    scenes = photos.scenes()
    assert [scene.name for scene in scenes] == list(photos.photo_names())
    masks = {}
    for scene in scenes:
        parts = [n for n in dataset.names if photos.photo_of(n) == scene.name]
        masks.update({n: scene.mask(k) for k, n in enumerate(parts)})
    for sample in dataset.limit(8):
        assert np.array_equal(sample.mask == 1, masks[sample.name])


def test_what_lies_in_front_is_cut_out_and_holes_are_holes():
    cup, saucer = photos.load_object("coffee/cup"), photos.load_object("coffee/saucer")
    assert not np.any((cup.mask == 1) & (saucer.mask == 1))
    assert photos.load_object("china/tower").mask[208, 107] == 0  # sky between two columns


def test_a_pixel_belongs_to_an_outline_if_its_center_is_inside():
    square = [[0.5, 0.5], [3.5, 0.5], [3.5, 3.5], [0.5, 3.5]]
    hole = [[1.5, 1.5], [2.5, 1.5], [2.5, 2.5], [1.5, 2.5]]
    mask = photos.outline_mask([square, hole], (5, 6))
    assert mask.sum() == 8 and mask[1, 1] and not mask[2, 2]
    outside = [[-9, -9], [9, -9], [9, 9], [-9, 9]]
    assert photos.outline_mask([outside], (5, 6)).all()


def test_two_drawings_of_the_same_object_agree():
    ious = photos.redraw_ious()
    for name, iou in ious.items():
        print(f"{name}: IoU {iou:.3f}")
    assert len(ious) >= 5
    assert min(ious.values()) >= 0.93


def test_each_redrawing_is_another_drawing_and_was_not_snapped():
    for name in photos.photo_names():
        entry = json.loads((photos.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        first = {item["name"]: item["drawn"] for item in entry["objects"]}
        for again in entry.get("redraws", []):
            assert again["drawn"] != first[again["name"]]
            assert not again["method"].get("band", 0)


def test_nothing_is_fetched_from_the_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a photograph was looked for on the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    photos._decoded.cache_clear()
    for name in photos.photo_names():
        assert photos.photo(name).size


def test_a_photograph_belongs_to_the_caller():
    photos.photo("coins")[:] = 0
    assert photos.photo("coins").any()


def test_without_scikit_learn_only_its_photographs_are_missing(monkeypatch, dataset):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    photos._decoded.cache_clear()
    assert dataset[0].mask.any()
    with pytest.raises(InputError, match="pip install scikit-learn"):
        dataset[dataset.names.index("flower/flower")]


@pytest.mark.parametrize("name", ["astronaut/nose", "moon/crater", "astronaut", ""])
def test_unknown_objects_are_refused(name):
    with pytest.raises(InputError, match="choose one of"):
        photos.load_object(name)


def test_an_unknown_photograph_is_refused():
    with pytest.raises(InputError, match="there is no photograph 'moon'"):
        photos.photo("moon")
