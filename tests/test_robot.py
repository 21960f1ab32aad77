"""The robot on one object, and on several at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from simpleclick_lite.baselines import DiskPredictor
from simpleclick_lite.data import Sample
from simpleclick_lite.errors import InputError
from simpleclick_lite.evaluation import evaluate
from simpleclick_lite.model import ModelConfig, SimpleClick
from simpleclick_lite.predictor import Predictor, predict_together

TINY = ModelConfig(
    image_size=32,
    width=16,
    depth=4,
    heads=2,
    pyramid_channels=(4, 6, 8, 10),
    head_channels=8,
)


def _predictor(**more) -> Predictor:
    torch.manual_seed(0)
    model = SimpleClick(TINY)
    torch.nn.init.normal_(model.head.classify.weight, std=3)
    return Predictor(model, "cpu", **more)


class Objects(list):
    """Disks on photographs of different sizes."""

    name = "disks"

    def __init__(self, count: int, broken: int | None = None) -> None:
        super().__init__(range(count))
        self.broken = broken

    def __getitem__(self, index: int) -> Sample:
        if index == self.broken:
            raise InputError(f"object {index} cannot be read")
        rng = np.random.default_rng(index)
        height, width = rng.integers(30, 60, 2)
        y, x = np.ogrid[:height, :width]
        mask = ((y - height / 2) ** 2 + (x - width / 3) ** 2 < (8 + index) ** 2).astype(np.int8)
        image = rng.integers(0, 150, (height, width, 3), np.uint8) + 100 * mask[..., None]
        return Sample(image.astype(np.uint8), mask, f"disk {index}")


def _clicks(result):
    return [(item.name, item.clicks) for item in result.objects]


@pytest.mark.parametrize("flip", [True, False])
def test_several_objects_at_once_are_clicked_as_one_after_the_other(flip):
    more = {"max_clicks": 3, "progress": False}
    alone = evaluate(_predictor(flip=flip), Objects(5), **more)
    for batch_size in (2, 8):
        together = evaluate(_predictor(flip=flip), Objects(5), batch_size=batch_size, **more)
        assert _clicks(together) == _clicks(alone)
        for a, b in zip(together.objects, alone.objects, strict=True):
            np.testing.assert_allclose(a.ious, b.ious, atol=2e-3)  # a pixel at the threshold


def test_the_next_object_takes_the_place_of_a_finished_one():
    first = evaluate(_predictor(), Objects(5), max_clicks=1, progress=False)
    middle = float(np.median([item.ious[0] for item in first.objects]))
    more = {"max_clicks": 3, "stop_iou": middle, "progress": False}
    alone = evaluate(_predictor(), Objects(5), **more)
    assert len({len(item.clicks) for item in alone.objects}) > 1, "some stop at once, some go on"
    assert _clicks(evaluate(_predictor(), Objects(5), batch_size=2, **more)) == _clicks(alone)


def test_unreadable_objects_are_skipped_and_the_order_stays():
    result = evaluate(
        _predictor(), Objects(5, broken=1), max_clicks=2, batch_size=3, progress=False
    )
    assert [item.name for item in result.objects] == ["disk 0", "disk 2", "disk 3", "disk 4"]
    assert result.skipped == ["object 1 cannot be read"]
    assert result.settings["batch_size"] == 3


def test_a_batch_goes_on_from_a_log(tmp_path):
    log = tmp_path / "log.jsonl"
    more = {"max_clicks": 2, "batch_size": 2, "progress": False, "log": log}
    first = evaluate(_predictor(), Objects(3), **more)
    calls = []
    predictor = _predictor()
    predictor.model.register_forward_pre_hook(lambda *_: calls.append(1))
    again = evaluate(predictor, Objects(4), **more)
    assert _clicks(again)[:3] == _clicks(first) and len(calls) == 2


def test_a_pass_is_shared():
    predictor, batches = _predictor(), []
    predictor.model.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
    evaluate(predictor, Objects(4), max_clicks=2, batch_size=4, progress=False)
    assert batches == [8, 8], "four objects and their mirror images"


def test_predictors_answer_together_as_alone():
    first = _predictor()
    second = first.fork()
    assert second.model is first.model
    images = [Objects(2)[k].image for k in range(2)]
    asked = [[[(5, 5)], [1]], [[(9, 9), (3, 4), (20, 20)], [1, 0, 1]]]
    alone = []
    for predictor, image, (points, labels) in zip((first, second), images, asked, strict=True):
        predictor.set_image(image)
        alone.append(predictor.predict(points, labels))
        predictor.reset()
    together = predict_together([(first, *asked[0]), (second, *asked[1])])
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.probability, b.probability, atol=1e-4)
        assert a.crop == b.crop and a.net_points.shape == b.net_points.shape
    # the next click continues from the shared one
    more = predict_together([(first, [(5, 5), (7, 7)], [1, 1]), (second, *asked[1])])
    assert more[0].net_previous_mask.max() > 0


@pytest.mark.parametrize("make", [_predictor, lambda: DiskPredictor(9)])
def test_threads_click_as_one_after_the_other(make):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        more = {"max_clicks": 3, "progress": False}
        alone = evaluate(make(), Objects(6, broken=2), **more)
        together = evaluate(make(), Objects(6, broken=2), jobs=3, **more)
    finally:
        torch.set_num_threads(before)
    assert _clicks(together) == _clicks(alone)
    assert [o.ious for o in together.objects] == [o.ious for o in alone.objects]
    assert together.skipped == alone.skipped == ["object 2 cannot be read"]
    assert together.settings["jobs"] == 3 and "jobs" not in alone.settings


def test_threads_give_the_cores_back_and_stop_at_an_error():
    class Failing(DiskPredictor):
        def predict(self, points, labels):
            raise RuntimeError("no memory left")

    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="no memory left"):
        evaluate(Failing(9), Objects(50), jobs=2, progress=False)
    assert torch.get_num_threads() == before


def test_a_batch_in_threads_is_refused():
    with pytest.raises(InputError, match="batch_size or jobs"):
        evaluate(_predictor(), Objects(2), batch_size=2, jobs=2, progress=False)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_wrong_batch_size_is_refused(batch_size):
    with pytest.raises(InputError, match="batch_size"):
        evaluate(_predictor(), Objects(1), batch_size=batch_size, progress=False)


def test_baselines_answer_one_at_a_time():
    with pytest.raises(InputError, match="batch size of 1"):
        evaluate(DiskPredictor(5), Objects(2), max_clicks=1, batch_size=2, progress=False)
