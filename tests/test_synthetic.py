"""Synthetic scenes: repeatable, exact, varied, and made without a download."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys

import cv2
import numpy as np
import pytest

from simpleclick_lite.data import open_dataset, open_scenes
from simpleclick_lite.data.shapes import SHAPES, random_shape
from simpleclick_lite.data.synthetic import SyntheticScenes
from simpleclick_lite.data.textures import WHEEL, bank, paint, random_style, similar_style
from simpleclick_lite.errors import InputError

EVALUATED = {
    "astronaut", "camera", "chelsea", "coffee", "coins", "rocket", "stereo_motorcycle", "retina",
    "cell", "immunohistochemistry", "flower", "china",
}  # fmt: skip


def equal(one, other) -> bool:
    return (
        np.array_equal(one.image, other.image)
        and np.array_equal(one.masks, other.masks)
        and one.kinds == other.kinds
        and one.parents == other.parents
    )


def test_a_scene_depends_on_seed_and_number_only():
    scenes = SyntheticScenes(96, seed=5)
    late = scenes[40]
    again = SyntheticScenes(96, seed=5, length=41)
    assert equal(late, again[40])
    assert not np.array_equal(late.image, scenes[41].image)
    assert not np.array_equal(late.image, SyntheticScenes(96, seed=6)[40].image)


def test_a_fresh_process_draws_the_same_scene():
    code = (
        "from simpleclick_lite.data.synthetic import SyntheticScenes as S; import hashlib;"
        "s = S(64, 3)[7]; print(hashlib.sha256(s.image.tobytes() + s.masks.tobytes()).hexdigest())"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout != ""


def test_masks_are_visible_regions_and_parts_lie_in_their_object():
    for scene in open_scenes("synthetic", length=30, size=128, seed=1):
        assert scene.image.shape == (128, 128, 3) and scene.image.dtype == np.uint8
        assert scene.masks.shape == (len(scene), 128, 128) and scene.masks.dtype == bool
        assert "thing" in scene.kinds
        whole = [m for m, k in zip(scene.masks, scene.kinds, strict=True) if k != "part"]
        assert np.sum(whole, axis=0).max() <= 1  # nothing shows through what hides it
        for i, parent in enumerate(scene.parents):
            if parent >= 0:
                assert scene.kinds[i] == "part" and scene.kinds[parent] == "thing"
                assert not (scene.mask(i) & ~scene.mask(parent)).any()


def test_the_held_out_scenes_are_never_training_scenes():
    train = SyntheticScenes(64, seed=0, split="train")
    held_out = open_dataset("synthetic", length=20, size=64)
    seen = {train[i].image.tobytes() for i in range(20)}
    assert not seen & {sample.image.tobytes() for sample in held_out}


def test_samples_are_objects_worth_a_click():
    samples = open_dataset("synthetic", split="val", seed=0, length=40, size=112)
    assert len(samples) == 40 and samples.names[3] == samples[3].name
    areas = [np.mean(sample.mask == 1) for sample in samples]
    assert min(areas) > 0.004 and 0.02 < np.median(areas) < 0.4
    assert np.array_equal(samples[4].mask, samples[4].mask)


def test_scenes_vary():
    scenes = list(open_scenes("synthetic", length=80, size=96, seed=2))
    kinds = [kind for scene in scenes for kind in scene.kinds]
    assert {kinds.count(kind) > 20 for kind in ("thing", "part", "stuff")} == {True}
    assert len({len(scene) for scene in scenes}) >= 8
    areas = [s.mask(i).mean() for s in scenes for i, k in enumerate(s.kinds) if k == "thing"]
    assert np.percentile(areas, 5) < 0.01 and np.percentile(areas, 95) > 0.15
    holes, hidden = 0, 0
    for scene in scenes:
        for mask, kind in zip(scene.masks, scene.kinds, strict=True):
            if kind == "thing":
                contours = cv2.findContours(
                    mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
                )
                holes += (contours[1][0, :, 3] >= 0).any()
                # objects that hardly differ in color from a rim around them
                rim = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7))).astype(bool) & ~mask
                if rim.any():
                    inside, outside = scene.image[mask].mean(0), scene.image[rim].mean(0)
                    hidden += np.abs(inside - outside).max() < 25
    assert holes > 15 and hidden > 15


def test_an_object_is_seldom_invisible():
    """Across most borders the picture changes more than along them."""
    clear = []
    for scene in open_scenes("synthetic", length=40, size=128, seed=3):
        gray = cv2.GaussianBlur(cv2.cvtColor(scene.image, cv2.COLOR_RGB2GRAY), (0, 0), 1.5)
        steps = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
        for i, kind in enumerate(scene.kinds):
            mask = scene.mask(i).astype(np.uint8)
            if kind == "thing" and mask.mean() > 0.01:
                border = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
                clear.append(np.median(steps[border]) > 1.3 * np.median(steps[~border]))
    assert np.mean(clear) > 0.75


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_shape_fills_a_sensible_part_of_the_canvas(shape):
    rng = np.random.default_rng(0)
    for _ in range(15):
        parts = random_shape(rng, 96, np.array([48.0, 48.0]), 24, shape)
        assert 1 <= len(parts) <= 3
        assert all(part.shape == (96, 96) and part.dtype == np.uint8 for part in parts)
        assert 0.003 < np.mean(np.max(parts, axis=0) > 127) < 0.8


def test_surfaces_have_the_color_that_was_asked_for():
    rng = np.random.default_rng(0)
    for _ in range(20):
        style = random_style(rng)
        surface = paint(style, 40, 60)
        assert surface.shape == (40, 60, 3) and surface.dtype == np.float32
        reach = np.abs(style.light).max() + np.abs(style.hue).max() + 1
        assert np.abs(surface - style.color).max() <= reach
        other = similar_style(rng, style, 10)
        assert np.abs(other.color - style.color).max() <= 25


def test_textures_come_from_the_wheel_and_not_from_the_evaluated_photographs(monkeypatch):
    assert not EVALUATED & set(WHEEL)

    def refuse(*_args, **_kwargs):
        raise AssertionError("a texture tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    bank.cache_clear()
    assert len(bank()) > 15


def test_endless_scenes_have_a_length_names_and_a_subset():
    scenes = open_scenes("synthetic", size=48)
    assert len(scenes) >= 10**9
    assert scenes.names[12] == scenes[12].name == "synthetic_000012"
    assert [s.name for s in scenes[2:4]] == ["synthetic_000002", "synthetic_000003"]
    assert len(scenes.limit(5, seed=1)) == 5


def test_data_sets_and_scenes_can_be_sent_to_another_process():
    scenes = pickle.loads(pickle.dumps(open_scenes("synthetic", size=48)))
    samples = pickle.loads(pickle.dumps(open_dataset("synthetic", size=48)))
    assert len(pickle.loads(pickle.dumps(scenes[3]))) == len(scenes[3])
    assert samples[2].mask.any()


@pytest.mark.parametrize(
    "options",
    [{"size": 8}, {"seed": -1}, {"length": 0}, {"length": "many"}, {"size": 64.0}, {"seed": True}],
)
def test_a_wrong_argument_is_refused_in_one_sentence(options):
    with pytest.raises(InputError):
        open_scenes("synthetic", **options)
