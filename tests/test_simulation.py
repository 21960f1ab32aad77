"""Simulated users: the robot of the benchmark and the clicks of the training."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from simpleclick_lite.clicks import Click
from simpleclick_lite.simulation import (
    ring,
    robot_click,
    start_clicks,
    training_candidates,
    training_click,
    training_clicks,
)


def _square(size=(40, 50), box=(10, 30, 15, 35)) -> np.ndarray:
    truth = np.zeros(size, np.int8)
    truth[box[0] : box[1], box[2] : box[3]] = 1
    return truth


def _rng(seed=0):
    return np.random.default_rng(seed)


# ------------------------------------------------------------------- the robot of the benchmark


def test_the_first_click_is_the_first_center_of_the_object():
    truth = np.zeros((40, 50), np.int8)
    truth[10:31, 15:36] = 1
    assert robot_click(np.zeros((40, 50), bool), truth, []) == Click(25, 20, True)


def test_false_pixels_get_a_negative_click():
    truth = _square()
    prediction = truth == 1
    prediction[30:39, 40:49] = True
    assert robot_click(prediction, truth, []) == Click(44, 34, False)


def test_ties_are_negative():
    truth, prediction = np.zeros((20, 40), np.int8), np.zeros((20, 40), bool)
    truth[5:14, 5:14] = 1
    prediction[5:14, 25:34] = True
    assert robot_click(prediction, truth, []).positive is False


def test_ties_do_not_hang_on_the_last_bit_of_a_distance(monkeypatch):
    size, honest = (200, 260), cv2.distanceTransform
    truth, prediction = np.zeros(size, np.int8), np.zeros(size, bool)
    truth[20:140, 10:90] = truth[30:140, 170:250] = 1  # as deep, in many pixels of both
    prediction[150:190, 5:255] = True
    expected = [robot_click(prediction, truth, []), robot_click(~prediction, 1 - truth, [])]
    rng = _rng()

    def shaken(*args):
        distance = honest(*args)
        return np.where(rng.random(distance.shape) < 0.3, np.nextafter(distance, 1e9), distance)

    monkeypatch.setattr(cv2, "distanceTransform", shaken)
    for _ in range(10):
        clicks = [robot_click(prediction, truth, []), robot_click(~prediction, 1 - truth, [])]
        assert clicks == expected


def test_ignored_pixels_are_no_error():
    truth = np.full((20, 20), -1, np.int8)
    truth[2:5, 2:5] = 1
    assert robot_click(np.ones((20, 20), bool), truth, []) == Click(0, 0, False)  # no error is left
    assert robot_click(np.zeros((20, 20), bool), truth, []) == Click(3, 3, True)


def test_clicked_pixels_are_passed_over():
    truth, clicks = _square((9, 9), (3, 6, 3, 6)), []
    for _ in range(9):
        clicks.append(robot_click(np.zeros((9, 9), bool), truth, clicks))
    assert len({(c.x, c.y) for c in clicks}) == 9
    assert all(truth[int(c.y), int(c.x)] == 1 for c in clicks)
    assert robot_click(np.zeros((9, 9), bool), truth, clicks) == Click(0, 0, False)


@pytest.mark.parametrize("x, y", [(49.4, 39.4), (-0.5, -0.5), (0.5, 1.5), (49, 39)])
def test_earlier_clicks_may_lie_anywhere_on_the_image(x, y):
    robot_click(np.zeros((40, 50), bool), _square(), [Click(x, y)])


def test_a_single_pixel_can_be_clicked():
    assert robot_click(np.zeros((1, 1), bool), np.ones((1, 1), np.int8), []) == Click(0, 0, True)
    assert robot_click(np.ones((1, 1), bool), np.zeros((1, 1), np.int8), []) == Click(0, 0, False)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_masks_of_every_type_and_probabilities_are_the_same(dtype):
    truth = _square()
    prediction = np.zeros(truth.shape, bool)
    prediction[12:20, 15:45] = True
    expected = robot_click(prediction, truth, [])
    assert robot_click(prediction.astype(dtype), truth, []) == expected
    if np.issubdtype(dtype, np.floating):
        soft = np.where(prediction, 0.5, 0.48).astype(dtype)
        assert robot_click(soft, truth, []) == expected


def test_non_contiguous_arrays_are_the_same():
    truth = _square()
    prediction = _rng().random(truth.shape) > 0.7
    a = robot_click(prediction[::-1, ::2], truth[::-1, ::2], [])
    b = robot_click(prediction[::-1, ::2].copy(), truth[::-1, ::2].copy(), [])
    assert a == b


# ----------------------------------------------------------------------- clicks of the training


def test_candidates_lie_deep_in_the_larger_error():
    truth = _square()
    candidates, sign = training_candidates(np.zeros(truth.shape, np.float32), truth)
    assert sign == 1
    assert candidates[20, 25] and not candidates[10, 15]
    assert not candidates[truth == 0].any()


def test_probability_at_the_threshold_is_no_error():
    truth = _square()
    candidates, sign = training_candidates(np.full(truth.shape, 0.49), truth)
    assert sign == 0 and not candidates.any()
    assert training_click(np.full(truth.shape, 0.49), truth, _rng()) is None


def test_training_clicks_depend_on_their_own_generator_only():
    truth = np.stack([_square(), _square(box=(2, 20, 2, 20))])[:, None]
    probability = np.zeros(truth.shape, np.float32)
    points, labels = training_clicks(probability, truth, [_rng(1), _rng(2)])
    alone, _ = training_clicks(probability[1:], truth[1:], [_rng(2)])
    assert np.array_equal(points[1:], alone)
    assert labels.tolist() == [[1], [1]]
    assert points.dtype == np.float32 and labels.dtype == np.int64


def test_a_perfect_sample_gets_no_training_click():
    truth = np.stack([_square(), _square()])[:, None]
    probability = (truth == 1).astype(np.float32)
    probability[0] = 0
    _, labels = training_clicks(probability, truth, [_rng(), _rng()])
    assert labels.tolist() == [[1], [-1]]


# --------------------------------------------------------------------------------- start clicks


def _many(target, others=None, count=300):
    rng = _rng()
    return [start_clicks(target, others, rng) for _ in range(count)]


def test_start_clicks_lie_where_their_sign_says():
    target = _square()
    target[25:28, 20:24] = -1
    for clicks in _many(target, _square(box=(2, 8, 2, 12)) == 1):
        assert sum(c.positive for c in clicks) >= 1
        for click in clicks:
            assert target[int(click.y), int(click.x)] == (1 if click.positive else 0)


def test_few_start_clicks_are_more_common_than_many():
    positive = [sum(c.positive for c in clicks) for clicks in _many(_square())]
    negative = [sum(not c.positive for c in clicks) for clicks in _many(_square())]
    assert max(positive) <= 24 and max(negative) <= 24 and min(negative) == 0
    assert 3 < np.mean(positive) < 7 and 2 < np.mean(negative) < 6


def test_negative_start_clicks_prefer_border_then_other_objects():
    target, others = _square((100, 100), (30, 60, 30, 60)), np.zeros((100, 100), bool)
    others[80:95, 80:95] = True
    near = ring(target == 1)
    negative = [c for clicks in _many(target, others) for c in clicks if not c.positive]
    share = {
        "ring": np.mean([near[int(c.y), int(c.x)] for c in negative]),
        "others": np.mean([others[int(c.y), int(c.x)] for c in negative]),
    }
    assert 0.45 < share["ring"] < 0.58 and 0.35 < share["others"] < 0.47


@pytest.mark.parametrize(
    "target, signs",
    [
        (np.zeros((20, 20), np.int8), {False}),
        (np.ones((20, 20), np.int8), {True}),
        (np.full((20, 20), -1, np.int8), set()),
        (np.ones((1, 1), np.int8), {True}),
        (np.zeros((1, 1), np.int8), {False}),
    ],
    ids=["empty", "full", "ignored", "one pixel", "one empty pixel"],
)
def test_degenerate_targets_give_what_they_can(target, signs):
    found = {c.positive for clicks in _many(target, count=50) for c in clicks}
    assert found == signs


def test_thin_objects_are_not_eroded_away():
    target = np.zeros((30, 30), np.int8)
    target[:, 10:12] = 1
    for clicks in _many(target, count=30):
        assert all(10 <= c.x <= 11 for c in clicks if c.positive)


def test_the_same_generator_gives_the_same_clicks():
    assert start_clicks(_square(), None, _rng(3)) == start_clicks(_square(), None, _rng(3))


def test_the_ring_surrounds_the_object_and_grows_with_it():
    small, large = _square(box=(10, 12, 10, 12)) == 1, _square((99, 99), (20, 70, 20, 70)) == 1
    assert not (ring(small) & small).any()
    assert ring(small).sum() == 12  # one pixel wide
    assert ring(large)[15, 40] and not ring(large)[14, 40]  # five pixels wide
