"""Set an image, click, get a mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from simpleclick_lite.clicks import Click
from simpleclick_lite.errors import InputError
from simpleclick_lite.model import ModelConfig, SimpleClick
from simpleclick_lite.prediction import State
from simpleclick_lite.predictor import Predictor, get_device

TINY = ModelConfig(
    image_size=64,
    width=16,
    depth=4,
    heads=2,
    pyramid_channels=(4, 6, 8, 10),
    head_channels=8,
)


def _model(**change) -> SimpleClick:
    torch.manual_seed(0)
    model = SimpleClick(replace(TINY, **change)).eval()
    torch.nn.init.normal_(model.head.classify.weight, std=3)  # so that masks depend on clicks
    return model


def _predictor(size=(50, 70), **more) -> Predictor:
    predictor = Predictor(_model(), "cpu", **more)
    predictor.set_image(_image(size))
    return predictor


def _image(size=(50, 70), seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def _same(a, b) -> bool:
    return np.array_equal(a.probability, b.probability) and a.crop == b.crop


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (250, 3), (64, 64), (300, 451)])
def test_masks_have_the_images_size_whatever_it_is(size, crop, flip):
    predictor = _predictor(size, flip=flip, crop=crop)
    points = [(0, 0), (size[1] - 1, size[0] - 1), (size[1] // 2, size[0] // 2)]
    for k in range(1, 4):
        result = predictor.predict(points[:k], [1, 0, 1][:k])
        assert result.mask.shape == result.probability.shape == size
        assert result.mask.dtype == bool and result.probability.dtype == np.float32
        assert result.probability.min() >= 0 and result.probability.max() <= 1
        x0, y0, x1, y1 = result.crop
        assert 0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0]
        assert np.array_equal(result.mask, result.probability > 0.49)
        assert result.milliseconds > 0


@pytest.mark.parametrize("x, y", [(69, 49), (69.4, 49.4), (-0.5, -0.5), (0, 49), (69.49, 0)])
def test_clicks_at_the_border_work(x, y):
    predictor = _predictor()
    first = predictor.predict([(x, y)])
    second = predictor.predict([(x, y), (30, 20)], [1, 0])
    assert first.probability.shape == second.probability.shape == (50, 70)


def test_hundreds_of_clicks_work():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 49, (300, 2))
    result = _predictor().predict(points, rng.integers(0, 2, 300))
    assert np.isfinite(result.probability).all() and result.net_points.shape == (1, 300, 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image[:, ::-1][:, ::-1],
        lambda image: np.asfortranarray(image),
        lambda image: np.dstack([image, np.full(image.shape[:2], 7, np.uint8)]),
        lambda image: image.astype(np.uint16) * 257,
        lambda image: image / 255,
        lambda image: (image / 255).astype(np.float32),
    ],
    ids=["negative strides", "column order", "alpha", "16 bit", "float64", "float32"],
)
def test_images_of_every_kind_are_the_same(change):
    predictor = _predictor()
    expected = predictor.predict([(10, 20)])
    given = change(_image())
    before = given.copy()
    predictor.set_image(given)
    assert _same(predictor.predict([(10, 20)]), expected)
    assert np.array_equal(given, before)


def test_a_read_only_image_and_later_changes_do_no_harm():
    image = _image()
    image.setflags(write=False)
    predictor = _predictor()
    expected = predictor.predict([(10, 20)])
    predictor.set_image(image)
    assert _same(predictor.predict([(10, 20)]), expected)
    changing = _image()
    predictor.set_image(changing)
    changing[:] = 0
    assert _same(predictor.predict([(10, 20)]), expected)


@pytest.mark.parametrize(
    "image",
    [
        None,
        "photo.jpg",
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.int64),
        np.full((4, 4, 3), 200.0),
        np.full((4, 4, 3), np.nan),
        np.zeros(5, np.uint8),
    ],
    ids=["none", "name", "two channels", "empty", "int64", "float to 255", "nan", "flat"],
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(InputError):
        _predictor().set_image(image)


def test_clicks_without_an_image_are_refused():
    for call in (lambda p: p.predict([(1, 1)]), lambda p: p.continue_from(State(), [Click(1, 1)])):
        with pytest.raises(InputError, match="set_image"):
            call(Predictor(_model(), "cpu"))


@pytest.mark.parametrize("points", [[], None, [(70, 3)], [(3, 50)], [(float("nan"), 3)], 7])
def test_wrong_clicks_are_refused_and_change_nothing(points):
    predictor = _predictor()
    expected = predictor.predict([(10, 20)]).state
    with pytest.raises(InputError):
        predictor.predict(points)
    assert predictor.state is expected


def test_an_iterator_of_points_is_read_once():
    assert _same(_predictor().predict(iter([(10, 20)])), _predictor().predict([(10, 20)]))


def test_the_same_clicks_give_the_same_answer_again():
    predictor = _predictor()
    first = predictor.predict([(10, 20)])
    assert _same(predictor.predict([(10, 20)]), first)
    second = predictor.predict([(10, 20), (40, 30)], [1, 0])
    assert _same(predictor.predict([(10, 20), (40, 30)], [1, 0]), second)


def test_more_clicks_continue_and_other_clicks_start_afresh():
    predictor = _predictor()
    first = predictor.predict([(10, 20)])
    assert first.net_previous_mask.abs().max() == 0
    second = predictor.predict([(10, 20), (40, 30)], [1, 0])
    assert second.net_previous_mask.abs().max() > 0
    other = predictor.predict([(11, 20)])
    assert other.net_previous_mask.abs().max() == 0
    assert _same(other, _predictor().predict([(11, 20)]))


def test_an_older_state_is_an_undo():
    predictor = _predictor()
    first = predictor.predict([(10, 20)])
    clicks = [Click(10, 20), Click(40, 30, False)]
    second = predictor.continue_from(first.state, clicks)
    predictor.continue_from(second.state, [*clicks, Click(5, 5)])
    assert _same(predictor.continue_from(first.state, clicks), second)
    assert first.state.clicks == (Click(10, 20),)


def test_a_new_image_forgets_everything():
    predictor = _predictor()
    predictor.predict([(10, 20)])
    predictor.set_image(_image((40, 40), seed=1))
    result = predictor.predict([(10, 20), (30, 30)], [1, 1])
    fresh = _predictor()
    fresh.set_image(_image((40, 40), seed=1))
    assert _same(result, fresh.predict([(10, 20), (30, 30)], [1, 1]))


def test_a_previous_mask_can_be_given():
    mask = np.zeros((50, 70), bool)
    mask[10:30, 10:40] = True
    results = [_predictor().predict([(20, 20)], [1], m) for m in (mask, mask.astype(np.float32))]
    assert _same(*results)
    assert results[0].net_previous_mask.max() == 1
    assert not _same(results[0], _predictor().predict([(20, 20)]))
    uncropped = _predictor(crop=False).predict([(20, 20)], [1], mask[::-1][::-1])
    assert uncropped.net_previous_mask.shape == (1, 1, 64, 64)


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((70, 50)),
        np.zeros((50, 70, 1)),
        np.full((50, 70), 255, np.uint8),
        np.full((50, 70), -0.1),
        np.full((50, 70), np.nan),
    ],
)
def test_a_wrong_previous_mask_is_refused(mask):
    with pytest.raises(InputError, match="previous_mask"):
        _predictor().predict([(20, 20)], [1], mask)


def test_the_network_sees_float32_only_and_points_as_published():
    predictor = _predictor()
    seen = set()
    for part in (predictor.model.embedding, predictor.model.backbone, predictor.model.head):
        part.register_forward_pre_hook(
            lambda module, args: seen.update(x.dtype for x in args if isinstance(x, torch.Tensor))
        )
    result = predictor.predict([(10, 20)])
    assert seen == {torch.float32}
    assert result.net_image.dtype == result.net_previous_mask.dtype == torch.float32
    assert result.net_points.dtype == torch.float64


def test_devices_without_float64_get_float32_points():
    predictor = _predictor()
    expected = predictor.predict([(10, 20)])
    predictor.reset()

    class Mps:
        """The CPU under the name of a device that has no float64."""

        type = "mps"

    real, made = predictor.device, []
    run = predictor._run

    def on_cpu(views):
        made.extend(view.points.dtype for view in views)
        return run(views)

    predictor._run = on_cpu
    predictor.device = Mps()
    zeros, to = torch.zeros, torch.Tensor.to

    def zeros_on_cpu(*args, device=None, **more):
        return zeros(*args, **more)

    def to_cpu(self, *args, **more):
        args = [real if isinstance(a, Mps) else a for a in args]
        return to(self, *args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "zeros", zeros_on_cpu)
        patch.setattr(torch.Tensor, "to", to_cpu)
        result = predictor.predict([(10, 20)])
    assert made == [torch.float32]
    np.testing.assert_allclose(result.probability, expected.probability, atol=1e-3)


def test_mirror_averaging_makes_a_mirrored_image_give_a_mirrored_mask():
    predictor = _predictor(crop=False)
    result = predictor.predict([(10, 20), (50, 30)], [1, 0])
    predictor.set_image(_image()[:, ::-1])
    mirrored = predictor.predict([(59, 20), (19, 30)], [1, 0])
    # the crop maps columns by W rather than W - 1 as published, so clicks move by part of a pixel
    assert np.abs(result.probability - mirrored.probability[:, ::-1]).mean() < 0.02


def test_the_networks_view_can_be_looked_at():
    result = _predictor().predict([(10, 20), (40, 30)], [1, 0])
    shown = result.click_map()
    assert shown.shape == (3, 64, 64)
    assert shown[1].any() and shown[2].any() and not shown[0].any()
    assert result.net_image.shape == (1, 3, 64, 64)
    result.net_image.mul_(2)  # an ordinary tensor, which may be changed and differentiated
    result.net_image.clone().requires_grad_().sum().backward()


def test_the_view_shows_the_networks_own_disks():
    predictor = Predictor(_model(disk_radius=9), "cpu")
    predictor.set_image(_image((64, 64)))
    assert predictor.predict([(32, 32)]).click_map()[1].sum() > 200


def test_the_crop_follows_a_small_object():
    predictor = Predictor(_model(), "cpu", flip=False)
    predictor.set_image(_image((600, 800)))
    mask = np.zeros((600, 800), np.float32)
    mask[300:310, 400:410] = 1
    state = State((Click(405, 305),), mask, None)
    result = predictor.continue_from(state, [Click(405, 305), Click(450, 305, False)])
    assert result.crop == (304, 204, 505, 405)
    outside = np.ones((600, 800), bool)
    outside[204:405, 304:505] = False
    assert (result.probability[outside] == 0).all()


def test_the_input_size_can_be_chosen():
    predictor = _predictor(crop_size=96)
    assert predictor.input_size == 96
    assert predictor.predict([(3, 3)]).net_image.shape[-2:] == (96, 96)
    predictor.crop_size = 40  # no multiple of the patch size
    assert predictor.predict([(3, 3)]).mask.shape == (50, 70)


@pytest.mark.parametrize("size", [0, -3, 1.5, "448", True])
def test_a_wrong_input_size_is_refused(size):
    with pytest.raises(InputError, match="crop_size"):
        Predictor(_model(), "cpu", crop_size=size)


def test_a_path_instead_of_a_network_is_refused_with_what_to_write():
    with pytest.raises(InputError, match=r"load_model\('runs/mine'\)"):
        Predictor("runs/mine")


def test_a_model_in_training_mode_is_put_to_evaluation():
    predictor = Predictor(_model().train(), "cpu")
    assert not predictor.model.training


@pytest.mark.parametrize("device", ["quantum", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(InputError, match="cannot be used"):
        get_device(device)


def test_the_best_device_is_chosen():
    best = get_device()
    assert best == get_device("auto") == get_device(best)
    assert get_device("cpu").type == "cpu"


def test_a_large_photograph_is_kept_as_bytes():
    predictor = _predictor((3000, 4000))
    assert predictor._crops.image.dtype == torch.uint8
    assert predictor.predict([(3999, 2999)]).mask.shape == (3000, 4000)
