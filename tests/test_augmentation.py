"""The augmentation: matrices, masks that stay with their image, and the published settings."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from simpleclick_lite.data import colors, geometry
from simpleclick_lite.data.augmentation import RECIPES, pipeline
from simpleclick_lite.data.warp import move_box
from simpleclick_lite.data.wear import Blur, Jpeg, worn
from simpleclick_lite.errors import InputError
from simpleclick_lite.training_config import TrainConfig, check_config


def _sample(height: int = 60, width: int = 90, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    layers = rng.integers(0, 4, (height, width, 2), dtype=np.uint8)
    return {
        "image": tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1)),
        "layers": tv_tensors.Mask(torch.from_numpy(layers).permute(2, 0, 1)),
        "rng": np.random.default_rng(seed),
    }


def _array(x: torch.Tensor) -> np.ndarray:
    return x.permute(1, 2, 0).numpy()


def _fixed(kind: type, **values):
    """A transform whose probability is 1."""
    return kind(p=1.0, **values)


def test_a_horizontal_flip_is_exact():
    sample = _sample()
    made = _fixed(geometry.HorizontalFlip)(sample)
    for key in ("image", "layers"):
        np.testing.assert_array_equal(_array(made[key]), _array(sample[key])[:, ::-1])


def test_any_flip_makes_all_three_flips_and_nothing_else():
    sample = _sample()
    flips = {
        "down": _array(sample["image"])[::-1],
        "across": _array(sample["image"])[:, ::-1],
        "both": _array(sample["image"])[::-1, ::-1],
    }
    seen = set()
    for seed in range(30):
        made = _array(
            _fixed(geometry.AnyFlip)({**sample, "rng": np.random.default_rng(seed)})["image"]
        )
        seen |= {name for name, wanted in flips.items() if np.array_equal(made, wanted)}
        assert any(np.array_equal(made, wanted) for wanted in flips.values())
    assert seen == set(flips)


def test_quarter_turns_are_exact_and_swap_the_sides():
    sample = _sample()
    seen = set()
    for seed in range(40):
        made = _fixed(geometry.QuarterTurns)({**sample, "rng": np.random.default_rng(seed)})
        turned = [np.rot90(_array(sample["layers"]), k) for k in range(4)]
        found = [k for k in range(4) if np.array_equal(_array(made["layers"]), turned[k])]
        assert len(found) == 1
        seen.add(found[0])
    assert seen == {0, 1, 2, 3}


def test_a_scale_is_opencvs_resize():
    sample = _sample()
    made = geometry.UniformScale(1.3, 1.3)(sample)
    wanted = cv2.resize(_array(sample["image"]), (117, 78), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(_array(made["image"]), wanted)


def test_padding_keeps_the_sample_in_the_middle_and_fills_zeros():
    made = geometry.PadIfNeeded(100)(_sample())
    image = _array(made["image"])
    assert image.shape == (100, 100, 3)
    np.testing.assert_array_equal(image[20:80, 5:95], _array(_sample()["image"]))
    assert not image[:20].any() and not image[:, 95:].any()


def test_a_crop_is_a_window_of_the_sample():
    sample = _sample()
    made = _array(geometry.RandomCrop(40)(sample)["image"])
    image = _array(sample["image"])
    windows = [image[y : y + 40, x : x + 40] for y in range(21) for x in range(51)]
    assert any(np.array_equal(made, window) for window in windows)


def test_shift_and_rotation_stay_within_their_limits():
    transform = _fixed(geometry.ShiftRotate)
    for seed in range(200):
        matrix, size = transform.place(np.random.default_rng(seed), (60, 90), None)
        assert size == (60, 90)
        assert abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) <= 3
        center = matrix @ [44.5, 29.5, 1]
        assert abs(center[0] - 44.5) <= 0.03 * 90 + 1e-9
        assert abs(center[1] - 29.5) <= 0.03 * 60 + 1e-9


@pytest.mark.parametrize("name", list(RECIPES))
def test_masks_move_with_the_image(name):
    shapes = np.zeros((150, 200), np.uint8)
    cv2.circle(shapes, (70, 60), 35, 255, -1)
    cv2.rectangle(shapes, (120, 90), (180, 140), 255, -1)
    for seed in range(25):
        sample = {
            "image": tv_tensors.Image(torch.from_numpy(shapes).expand(3, -1, -1).contiguous()),
            "layers": tv_tensors.Mask(torch.from_numpy(shapes // 255)[None]),
            "box": tv_tensors.BoundingBoxes(
                torch.tensor([[35, 25, 106, 96]]), format="XYXY", canvas_size=(150, 200)
            ),
            "rng": np.random.default_rng(seed),
        }
        made = (
            geometry.Geometry(*pipeline(name, 128).transforms[0].steps)(sample)
            if (name != "none")
            else pipeline(name, 128)(sample)
        )
        image, mask = _array(made["image"])[..., 0] > 127, _array(made["layers"])[..., 0] > 0
        assert image.shape == mask.shape == (128, 128)
        # they may differ along the outline only, which the crop may cut off from one of them
        borders = [
            cv2.morphologyEx(m.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
            for m in (image, mask)
        ]
        assert not ((image != mask) & (borders[0] == 0) & (borders[1] == 0)).any()


def test_a_chain_is_the_product_of_its_steps():
    steps = [
        geometry.AnyFlip(1.0),
        geometry.QuarterTurns(1.0),
        geometry.PadIfNeeded(120),
        geometry.RandomCrop(50),
    ]
    for seed in range(10):
        at_once = geometry.Geometry(*steps)({**_sample(), "rng": np.random.default_rng(seed)})
        one_by_one = {**_sample(), "rng": np.random.default_rng(seed)}
        for step in steps:
            one_by_one = step(one_by_one)
        for key in ("image", "layers"):
            assert torch.equal(at_once[key], one_by_one[key])


def test_the_wanted_object_stays_inside_a_zooming_crop():
    for seed in range(100):
        rng = np.random.default_rng(seed)
        box = np.array([100, 40, 160, 130.0])
        matrix, size = geometry.ZoomCrop(112, whole=0.0).place(rng, (300, 400), box)
        x0, y0, x1, y1 = move_box(box, matrix)
        assert size == (112, 112)
        assert x0 >= -2 and y0 >= -2 and x1 <= 114 and y1 <= 114


def test_without_jitter_every_crop_of_an_object_shows_it_at_one_scale():
    box = np.array([200, 140, 260, 200.0])
    widths = {True: set(), False: set()}
    for seed in range(40):
        for jitter in widths:
            crop = geometry.ZoomCrop(64, whole=0.0, jitter=jitter)
            matrix, _ = crop.place(np.random.default_rng(seed), (600, 800), box)
            widths[jitter].add(round(64 / matrix[0, 0]))
    assert widths[False] <= {107, 108, 109}  # 1.8 times 60, rounded at both ends
    assert len(widths[True]) > 20


def test_each_part_of_the_zooming_crops_can_be_left_out():
    crops = {
        name: pipeline(name, 64).transforms[0].steps[0]
        for name in ("zoom", "zoom_fixed", "zoom_plain", "whole")
    }
    assert [c.jitter for c in crops.values()] == [True, False, True, True]
    assert [c.whole for c in crops.values()] == [0.4, 0.4, 0.4, 1.0]
    colors = [len(pipeline(name, 64).transforms) > 1 for name in crops]
    assert colors == [True, True, False, True]


def test_the_configuration_knows_every_recipe():
    for name in RECIPES:
        check_config(TrainConfig(augmentation=name, steps=1))
    with pytest.raises(InputError) as error:
        check_config(TrainConfig(augmentation="strong", steps=1))
    assert all(name in str(error.value) for name in RECIPES)


def test_the_published_settings_are_those_of_the_fixture(golden):
    published = json.loads((golden / "augment.json").read_text(encoding="utf-8"))
    for key, recipe in published["configurations"].items():
        if "448" not in key:
            continue
        geometry, colors = pipeline("sbd" if "sbd" in key else "cocolvis", 448).transforms
        ours = {type(step).__name__: step for step in (*geometry.steps, *colors.steps)}
        names = {
            "UniformRandomResize": "UniformScale",
            "Flip": "AnyFlip",
            "RandomRotate90": "QuarterTurns",
            "ShiftScaleRotate": "ShiftRotate",
            "RandomBrightnessContrast": "BrightnessContrast",
        }
        theirs = {names.get(t["type"], t["type"]): t for t in recipe["train"]["augmentations"]}
        assert list(theirs) == list(ours), key
        assert [ours["UniformScale"].low, ours["UniformScale"].high] == (
            theirs["UniformScale"]["scale_range"]
        )
        color = theirs["BrightnessContrast"]
        assert list(ours["BrightnessContrast"].brightness) == color["brightness_limit"]
        assert list(ours["BrightnessContrast"].contrast) == color["contrast_limit"]
        assert ours["BrightnessContrast"].p == color["p"]
        assert ours["RGBShift"].limit == theirs["RGBShift"]["r_shift_limit"]
        assert ours["RGBShift"].p == theirs["RGBShift"]["p"]
        if "ShiftRotate" in ours:
            move = theirs["ShiftRotate"]
            assert ours["ShiftRotate"].shift_limit == move["shift_limit"]
            assert [-ours["ShiftRotate"].rotate_limit, ours["ShiftRotate"].rotate_limit] == (
                move["rotate_limit"]
            )
            assert ours["ShiftRotate"].p == move["p"]


def test_scales_flips_and_turns_are_drawn_as_published():
    rng = np.random.default_rng(0)
    scale = geometry.UniformScale(0.75, 1.25)
    scales = [scale.place(rng, (1000, 1000), None)[1][0] / 1000 for _ in range(2000)]
    assert 0.75 <= min(scales) < 0.76 and 1.24 < max(scales) <= 1.25
    assert abs(np.mean(scales) - 1) < 0.01
    flips = [geometry.AnyFlip().place(rng, (9, 9), None)[0] for _ in range(4000)]
    kinds = [(m[0, 0], m[1, 1]) for m in flips]
    assert abs(kinds.count((1, 1)) / 4000 - 1 / 2) < 0.03
    for kind in ((1, -1), (-1, 1), (-1, -1)):
        assert abs(kinds.count(kind) / 4000 - 1 / 6) < 0.025
    turned = [geometry.QuarterTurns().place(rng, (9, 9), None)[0][0, 0] != 1 for _ in range(4000)]
    assert abs(np.mean(turned) - 0.5 * 3 / 4) < 0.03


def test_colors_are_changed_as_published():
    rng = np.random.default_rng(0)
    lines = np.array([colors.BrightnessContrast().line(rng) for _ in range(4000)])
    moved = 100 * lines[:, 0] + lines[:, 1]
    assert abs(np.mean(moved == 100) - 0.25) < 0.03
    assert 85 - 63.75 <= moved.min() < 30 and 190 < moved.max() <= 140 + 63.75
    shifted = np.array([np.zeros(3) + colors.RGBShift().line(rng)[1] for _ in range(4000)])
    assert abs(np.mean(shifted[:, 0] == 0) - 0.25) < 0.03
    assert np.abs(shifted).max() <= 10 and np.corrcoef(shifted[shifted[:, 0] != 0].T)[0, 1] < 0.1


def test_colors_at_once_are_the_limited_steps_one_after_the_other():
    steps = colors.BrightnessContrast((-0.5, 0.5), p=1.0), colors.RGBShift(60, p=1.0)
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
    image = tv_tensors.Image(torch.from_numpy(ramp).permute(2, 0, 1))
    cut = 0
    for seed in range(100):
        made = colors.Colors(*steps)({"image": image, "rng": np.random.default_rng(seed)})["image"]
        rng, expected = np.random.default_rng(seed), ramp.astype(float)
        for step in steps:
            factor, offset = step.line(rng)
            expected = np.clip(expected * factor + offset, 0, 255)
        np.testing.assert_allclose(made.permute(1, 2, 0).numpy(), expected, atol=0.501)
        cut += (expected.max(1) < 254).any() and (expected.max((0, 1)) < 255).any()
    assert cut > 10  # the limit of the first step is seen in the result
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), ramp)  # nothing in place


def test_the_same_generator_gives_the_same_sample_whatever_ran_before():
    first = pipeline("sbd", 64)({**_sample(), "rng": np.random.default_rng(5)})
    torch.rand(3), np.random.default_rng().random()
    second = pipeline("sbd", 64)({**_sample(), "rng": np.random.default_rng(5)})
    assert torch.equal(first["image"], second["image"])
    assert torch.equal(first["layers"], second["layers"])


def test_an_unknown_recipe_is_refused():
    with pytest.raises(InputError, match="augmentation 'strong'"):
        pipeline("strong", 64)


def _photograph(side: int = 64) -> dict:
    rng = np.random.default_rng(3)
    rough = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = cv2.resize(rough, (side, side), interpolation=cv2.INTER_CUBIC)
    layers = (image[..., :1] > 128).astype(np.uint8)
    return {
        "image": tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1)),
        "layers": tv_tensors.Mask(torch.from_numpy(layers).permute(2, 0, 1)),
        "rng": np.random.default_rng(1),
    }


def test_blur_takes_the_fine_detail_and_leaves_the_masks():
    sample = _sample(64, 64)
    made = Blur(1.0)(sample)
    before, after = _array(sample["image"]).astype(float), _array(made["image"]).astype(float)
    steps = [np.abs(np.diff(x, axis=1)).mean() for x in (before, after)]
    assert steps[1] < 0.8 * steps[0]
    assert abs(after.mean() - before.mean()) < 2
    assert torch.equal(made["layers"], sample["layers"])
    assert torch.equal(Blur(0.0)(_sample(64, 64))["image"], sample["image"])


def test_jpeg_is_that_of_the_file_format_with_red_and_blue_in_their_places():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    sample = {"image": tv_tensors.Image(torch.from_numpy(red).permute(2, 0, 1))}
    made = Jpeg(1.0)({**sample, "rng": np.random.default_rng(0)})
    np.testing.assert_allclose(_array(made["image"])[5, 5], [200, 0, 0], atol=6)

    def error(quality: int) -> float:
        sample = _photograph()
        made = Jpeg(1.0, (quality, quality))(sample)
        assert torch.equal(made["layers"], sample["layers"])
        return np.abs(_array(made["image"]).astype(int) - _array(sample["image"])).mean()

    assert 0 < error(95) < error(25) < 20
    assert torch.equal(Jpeg(0.0)(_photograph())["image"], _photograph()["image"])


def test_wear_draws_nothing_where_none_is_asked_for():
    image = _array(_photograph()["image"])
    rng, other = np.random.default_rng(5), np.random.default_rng(5)
    np.testing.assert_array_equal(worn(image, 0.0, 0.0, rng), image)
    assert rng.random() == other.random()
    soft, both = (worn(image, 1.0, j, np.random.default_rng(5)) for j in (0.0, 1.0))
    assert (soft != image).any() and (both != soft).any() and both.shape == image.shape
