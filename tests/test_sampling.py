"""Training samples: which object, which crop, which clicks; and the cache behind them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simpleclick_lite.data.base import Scene
from simpleclick_lite.data.cache import SceneCache, cache_scene
from simpleclick_lite.data.copy_paste import paste
from simpleclick_lite.data.mixture import Source, parse_mixture
from simpleclick_lite.data.records import Records
from simpleclick_lite.data.sampling import (
    SamplingConfig,
    TrainingSamples,
    candidates,
    collate,
    draw_sample,
)
from simpleclick_lite.errors import InputError
from simpleclick_lite.simulation import start_clicks


def _scene(name: str = "scene", objects: int = 3, kinds: str | list[str] = "thing") -> Scene:
    """Squares of 40 pixels in a row on a picture of 64 x 200; they do not touch."""
    image = np.random.default_rng(0).integers(0, 256, (64, 200, 3), dtype=np.uint8)
    masks = np.zeros((objects, 64, 200), bool)
    for k in range(objects):
        masks[k, 12:52, 5 + 50 * k : 45 + 50 * k] = True
    return Scene(name, image, masks, kinds)


def _config(**values) -> SamplingConfig:
    return SamplingConfig(**{"augmentation": "none", "image_size": 64, "min_area": 10, **values})


# ---------------------------------------------------------------- the mixture


def test_a_mixture_reads_names_folders_and_weights():
    sources = parse_mixture("synthetic:0.3, coco=/data/coco:2,ccp=C:\\data\\ccp")
    assert [(s.name, s.root, s.weight) for s in sources] == [
        ("synthetic", None, 0.3),
        ("coco", "/data/coco", 2.0),
        ("ccp", "C:\\data\\ccp", 1.0),
    ]
    assert parse_mixture("pets", root="/data/pets")[0].root == "/data/pets"
    inside = parse_mixture("pets=cats,ccp=/other/ccp", root="/data")
    assert [Path(s.root) for s in inside] == [Path("/data/cats"), Path("/other/ccp")]


@pytest.mark.parametrize("text", ["", "nothing", "synthetic:0", "synthetic:-1", "synthetic:1e999"])
def test_a_mixture_that_cannot_be_read_is_refused(text):
    with pytest.raises(InputError):
        parse_mixture(text)


def test_sets_are_drawn_by_their_weights():
    samples = TrainingSamples(parse_mixture("synthetic:1,synthetic:3"), _config(), seed=0)
    rngs = [samples.rng(i) for i in range(2000)]
    chosen = [int(rng.choice(2, p=samples.weights)) for rng in rngs]
    assert abs(np.mean(chosen) - 0.75) < 0.03


# ---------------------------------------------------------------- the sampler


def test_a_sample_depends_on_seed_and_number_alone():
    sources = parse_mixture("synthetic")
    config = _config(augmentation="zoom")
    first, second = (TrainingSamples(sources, config, seed=3) for _ in range(2))
    [first[i] for i in range(3)]  # what was made before must not matter
    a, b, c = first[7], second[7], TrainingSamples(sources, config, seed=4)[7]
    assert np.array_equal(a.image, b.image) and np.array_equal(a.target, b.target)
    assert a.clicks == b.clicks
    assert not np.array_equal(a.image, c.image)


def test_two_objects_are_merged_as_often_as_asked():
    scene, rng = cache_scene(_scene()), np.random.default_rng(0)
    areas = [(draw_sample(scene, _config(), rng)[1] == 1).sum() for _ in range(800)]
    one = min(areas)
    assert abs(np.mean(np.array(areas) > 1.5 * one) - 0.15) < 0.04


def test_objects_are_chosen_equally_often():
    scene, rng = cache_scene(_scene()), np.random.default_rng(0)
    places = []
    for _ in range(800):
        target = draw_sample(scene, _config(merge=0.0), rng)[1] == 1
        places.append(int(np.flatnonzero(target.any(0)).mean() * 200 / 64 // 50))
    assert np.abs(np.bincount(places) / 800 - 1 / 3).max() < 0.06


def test_stuff_and_parts_are_candidates_as_often_as_asked():
    scene = cache_scene(_scene(kinds=["thing", "stuff", "part"]))
    rng = np.random.default_rng(0)
    drawn = [set(candidates(scene, _config(stuff=0.3, parts=0.1), rng)) for _ in range(4000)]
    assert all(0 in found for found in drawn)
    assert abs(np.mean([1 in found for found in drawn]) - 0.30) < 0.025
    assert abs(np.mean([2 in found for found in drawn]) - 0.10) < 0.02


def test_objects_that_are_too_small_are_never_targets():
    scene, rng = cache_scene(_scene()), np.random.default_rng(0)
    config = _config(augmentation="cocolvis", min_area=700, background=0.0)
    for _ in range(100):
        made = draw_sample(scene, config, rng)
        if made is not None:
            assert (made[1] == 1).sum() >= 700


def test_a_target_is_empty_only_where_background_alone_was_drawn():
    scene, rng = cache_scene(_scene()), np.random.default_rng(0)
    config = _config(min_area=10**6, background=0.05)
    found = [draw_sample(scene, config, rng) for _ in range(150)]
    kept = [made for made in found if made is not None]
    # ten tries, each kept with probability 0.05
    assert abs(len(kept) / 150 - (1 - 0.95**10)) < 0.12
    assert all((target == 0).all() for _, target, _ in kept)
    config = _config(min_area=10, background=0.05)
    assert all((draw_sample(scene, config, rng)[1] == 1).any() for _ in range(100))


def test_objects_that_hardly_fill_their_box_are_left_out():
    thin = np.zeros((1, 64, 200), bool)
    thin[0, np.arange(64), np.arange(64)] = True
    scene = cache_scene(Scene("thin", np.zeros((64, 200, 3), np.uint8), thin))
    rng = np.random.default_rng(0)
    assert len(candidates(scene, _config(least_fill=0.08), rng)) == 0
    assert len(candidates(scene, _config(), rng)) == 1


def test_start_clicks_have_the_right_sign():
    samples = TrainingSamples(parse_mixture("synthetic"), _config(augmentation="zoom"), seed=0)
    for i in range(40):
        sample = samples[i]
        assert sample.clicks
        for click in sample.clicks:
            assert sample.target[int(click.y), int(click.x)] == int(click.positive)


@pytest.mark.parametrize("recipe", ["sbd", "cocolvis", "zoom"])
def test_areas_and_other_objects_are_those_of_the_augmented_masks(recipe):
    rng = np.random.default_rng(0)
    masks = np.zeros((9, 64, 200), bool)  # they overlap, so they take several layers
    for mask in masks:
        y, x = rng.integers(0, 40), rng.integers(0, 170)
        mask[y : y + 24, x : x + 30] = True
    scene = cache_scene(Scene("many", np.zeros((64, 200, 3), np.uint8), masks))
    assert scene.layers.shape[2] > 1
    for _ in range(12):
        made = draw_sample(scene, _config(augmentation=recipe, image_size=48), rng)
        augmented, target, others = made
        seen = np.stack([augmented.mask(k) for k in range(len(scene))])
        assert augmented.areas.tolist() == seen.sum((1, 2)).tolist()
        np.testing.assert_array_equal(others, seen.any(0) & (target != 1))


def test_ignored_pixels_are_neither_target_nor_background():
    ignored = np.zeros((64, 200), bool)
    ignored[:, 150:] = True
    base = _scene()
    scene = cache_scene(Scene("ignored", base.image, base.masks, ignored=ignored))
    _, target, _ = draw_sample(scene, _config(), np.random.default_rng(0))
    assert set(np.unique(target)) == {-1, 0, 1}
    assert (target[:, 50:] == -1).all()


def test_a_batch_has_the_shapes_and_types_of_the_contract():
    samples = TrainingSamples(parse_mixture("synthetic"), _config(augmentation="zoom"), seed=0)
    batch = collate([samples[i] for i in range(4)])
    assert tuple(batch.image.shape) == (4, 3, 64, 64) and str(batch.image.dtype) == "torch.uint8"
    assert tuple(batch.target.shape) == (4, 1, 64, 64) and str(batch.target.dtype) == "torch.int8"
    assert batch.points.shape[:2] == batch.labels.shape and batch.index == [0, 1, 2, 3]
    assert str(batch.points.dtype) == "torch.float32"


def test_a_pasted_object_lies_unchanged_before_another_photograph():
    rng = np.random.default_rng(0)
    target = np.zeros((40, 40), np.int8)
    target[10:25, 12:30] = 1
    target[0, :5] = -1  # ignored where it came from: the new photograph is known there
    ignored = np.zeros((40, 40), bool)
    ignored[20:35] = True
    taken = np.zeros((40, 40), bool)
    taken[:, 20:] = True
    front, behind = (np.full((40, 40, 3), value, np.uint8) for value in (200, 50))
    image, made, others = paste(front, target, behind, taken, ignored, rng)
    assert (image[14:21, 16:26] == 200).all() and (image[30:] == 50).all()
    edge = image[10:25, 11:13, 0]
    assert (edge[3:-3] > 50).all() and (edge[3:-3] < 200).all()  # blended
    assert ((made == 1) == (target == 1)).all()
    assert (made == -1).sum() == 15 * 40 - 5 * 18 and not (made[:5] == -1).any()
    assert (others == (taken & (target != 1))).all()
    assert front.min() == 200 and behind.max() == 50
    assert paste(front, 0 * target, behind, taken, None, rng) is None
    assert paste(front, 0 * target + 1, behind, taken, None, rng) is None


def test_targets_are_pasted_as_often_as_asked_and_recipes_without_are_unchanged():
    def stream(share: float) -> TrainingSamples:
        return TrainingSamples([Source("synthetic", None, 1.0)], _config(paste=share), seed=4)

    plain, some, all_of_them = stream(0.0), stream(0.5), stream(1.0)
    for i in range(8):  # the same draws by hand: set, scene, sample, clicks, and nothing between
        rng = plain.rng(i)
        rng.choice(1, p=[1.0]), rng.integers(len(plain.sets[0]))
        augmented, target, others = draw_sample(plain.sets[0][i // 4], plain.config, rng)
        clicks = start_clicks(target, others, rng, plain.config.max_clicks, plain.config.gamma)
        assert clicks == plain[i].clicks and (target == plain[i].target).all()
        assert (augmented.image == plain[i].image).all()
    differ = [
        sum(not np.array_equal(a[i].image, plain[i].image) for i in range(40))
        for a in (some, all_of_them)
    ]
    assert 10 <= differ[0] <= 30 < differ[1]
    for i in range(40):
        sample, given = all_of_them[i], plain[i]
        assert ((sample.target == 1) == (given.target == 1)).all()
        for click in sample.clicks:
            assert (sample.target[int(click.y), int(click.x)] == 1) == click.positive


def test_a_set_without_large_objects_ends_in_one_sentence():
    samples = TrainingSamples(
        parse_mixture("synthetic"), _config(min_area=10**6, background=0), seed=0
    )
    with pytest.raises(InputError, match="lower min_area"):
        samples[0]


# ---------------------------------------------------------------- the cache


def test_a_cached_scene_keeps_every_mask_also_where_objects_overlap():
    rng = np.random.default_rng(0)
    masks = np.zeros((12, 64, 80), bool)
    for mask in masks:
        y, x = rng.integers(0, 40, 2)
        mask[y : y + 24, x : x + 24] = True
    scene = cache_scene(Scene("overlaps", np.zeros((64, 80, 3), np.uint8), masks))
    assert scene.layers.shape[-1] < 12
    for k in range(12):
        np.testing.assert_array_equal(scene.mask(k), masks[k])
        x0, y0, x1, y1 = scene.boxes[k]
        assert scene.areas[k] == masks[k].sum() == masks[k][y0:y1, x0:x1].sum()


def test_more_objects_than_a_layer_has_numbers_take_another_layer():
    masks = np.zeros((300, 20, 20), bool)
    for k in range(300):
        masks[k, k // 20, k % 20] = True
    scene = cache_scene(Scene("many", np.zeros((20, 20, 3), np.uint8), masks))
    assert scene.layers.shape[-1] == 2 and scene.layers.dtype == np.uint8
    assert all(scene.mask(k).sum() == 1 for k in range(300))


def test_a_cached_scene_is_made_smaller_but_never_larger():
    assert cache_scene(_scene(), 32).image.shape == (32, 100, 3)
    assert cache_scene(_scene(), 500).image.shape == (64, 200, 3)


def test_the_cache_decodes_once_and_stays_within_its_limit():
    made: list[str] = []

    def load(name: str) -> Scene:
        made.append(name)
        return _scene(name)

    scenes = Records("test", [f"s{i}" for i in range(6)], load)
    one = cache_scene(_scene()).nbytes
    cache = SceneCache(scenes, None, limit=3 * one)
    for _ in range(2):
        for i in range(6):
            cache[i]
    assert cache.used == 3 * one
    assert [made.count(f"s{i}") for i in range(6)] == [1, 1, 1, 2, 2, 2]


def test_a_broken_scene_is_replaced_by_the_next_and_remembered():
    def load(name: str) -> Scene:
        if name == "s1":
            raise InputError("s1 is broken")
        return _scene(name)

    cache = SceneCache(Records("test", ["s0", "s1", "s2"], load), None, 10**9)
    with pytest.warns(UserWarning, match="s1"):
        assert cache[1].name == "s2"
    assert list(cache.scenes.skipped) == ["s1"]
