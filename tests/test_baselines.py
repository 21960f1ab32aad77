"""What a model must beat: disks, and OpenCV's grabCut seeded as the comparison says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from simpleclick_lite import baselines
from simpleclick_lite.baselines import DiskPredictor, GrabCutPredictor, paint_disks
from simpleclick_lite.clicks import Click
from simpleclick_lite.errors import InputError


def _picture() -> tuple[np.ndarray, np.ndarray]:
    """A noisy green square on noisy red, and where the square is."""
    rng = np.random.default_rng(0)
    square = np.zeros((90, 120), bool)
    square[30:60, 40:80] = True
    image = np.where(square[..., None], (40, 190, 60), (190, 50, 40)).astype(np.int64)
    return np.clip(image + rng.integers(-20, 21, image.shape), 0, 255).astype(np.uint8), square


def test_disks_of_several_clicks_join():
    mask = paint_disks((40, 60), [Click(10, 10), Click(50, 30)], 3)
    assert mask.sum() == 2 * 29 and mask[10, 13] and not mask[10, 14] and mask[30, 50]
    assert not paint_disks((40, 60), [], 3).any()


def test_a_disk_has_a_sixth_of_the_longer_side_and_negative_clicks_cut_out_a_quarter():
    predictor = DiskPredictor()
    predictor.set_image(np.zeros((80, 120, 3), np.uint8))
    mask = predictor.predict([(60, 40)], [1]).mask
    assert mask[40, 80] and not mask[40, 81]  # 120 / 6 = 20
    mask = predictor.predict([(60, 40), (60, 40)], [1, 0]).mask
    assert not mask[40, 65] and mask[40, 66]  # 20 / 4 = 5
    assert not predictor.predict([(60, 40)], [0]).mask.any()


@pytest.mark.parametrize("radius", [0, -1, float("nan"), float("inf")])
def test_a_radius_that_is_none_is_refused(radius):
    with pytest.raises(InputError, match="radius must be a positive number"):
        DiskPredictor(radius)
    with pytest.raises(InputError, match="radius must be a positive number"):
        GrabCutPredictor(radius=radius)


def test_grabcuts_probable_disk_has_the_radius_it_is_given(monkeypatch):
    seen = []
    monkeypatch.setattr(
        baselines.cv2, "grabCut", lambda image, seeds, *_: seen.append(seeds.copy())
    )
    predictor = GrabCutPredictor(radius=30)
    predictor.set_image(_picture()[0])
    predictor.predict([(60, 45)], [1])
    assert seen[0][45, 90] == cv2.GC_PR_FGD and seen[0][45, 91] == cv2.GC_PR_BGD


def test_grabcut_is_seeded_as_the_comparison_says(monkeypatch):
    seen = {}

    def keep(image, seeds, rect, background, foreground, iterations, mode):
        seen.update(seeds=seeds.copy(), iterations=iterations, mode=mode, image=image)

    monkeypatch.setattr(baselines.cv2, "grabCut", keep)
    image, _ = _picture()
    predictor = GrabCutPredictor()
    predictor.set_image(image)
    predictor.predict([(60, 45), (10, 80)], [1, 0])
    rows, columns = np.mgrid[:90, :120]
    near = (rows - 45) ** 2 + (columns - 60) ** 2
    far = (rows - 80) ** 2 + (columns - 10) ** 2
    expected = np.full((90, 120), cv2.GC_PR_BGD)
    expected[near <= 20**2] = cv2.GC_PR_FGD  # a sixth of 120
    expected[near <= 8**2] = cv2.GC_FGD
    expected[far <= 8**2] = cv2.GC_BGD
    assert np.array_equal(seen["seeds"], expected)
    assert (seen["iterations"], seen["mode"]) == (3, cv2.GC_INIT_WITH_MASK)
    assert np.array_equal(seen["image"], image[..., ::-1]), "OpenCV reads BGR"


def test_grabcut_finds_what_differs_in_color_and_twice_the_same():
    image, square = _picture()
    predictor = GrabCutPredictor()
    predictor.set_image(image)
    first = predictor.predict([(60, 45)], [1]).mask
    assert (first == square).mean() > 0.99
    assert np.array_equal(predictor.predict([(60, 45)], [1]).mask, first)


def test_grabcut_answers_where_there_is_nothing_to_separate():
    predictor = GrabCutPredictor()
    predictor.set_image(np.zeros((5, 5, 3), np.uint8))
    assert predictor.predict([(2, 2)], [1]).mask.all()  # the sure disk covers everything
    assert not predictor.predict([(2, 2)], [0]).mask.any()


@pytest.mark.parametrize("predictor", [DiskPredictor(), GrabCutPredictor()])
def test_wrong_clicks_are_refused(predictor):
    predictor.set_image(np.zeros((20, 30, 3), np.uint8))
    for points, labels in (([], []), ([(30, 3)], [1]), ([(float("nan"), 3)], [1]), ([(3, 3)], [2])):
        with pytest.raises(InputError):
            predictor.predict(points, labels)
    with pytest.raises(InputError, match="no image"):
        GrabCutPredictor().predict([(1, 1)], [1])
