"""Where to look: the crop of the predictor."""

from __future__ import annotations

import numpy as np
import pytest

from simpleclick_lite.clicks import Click
from simpleclick_lite.crop import Box, holds_clicks, next_box, object_box, overlap, to_crop

WHOLE = Box(0, 479, 0, 639)
SIZE = (480, 640)


def _probability(top, bottom, left, right, value=1.0):
    out = np.zeros(SIZE, np.float32)
    out[top : bottom + 1, left : right + 1] = value
    return out


def test_the_first_crop_is_the_whole_image():
    assert next_box(None, None, [Click(3, 4)], SIZE) == WHOLE


def test_a_small_object_is_looked_at_closely():
    box = next_box(WHOLE, _probability(200, 219, 300, 319), [Click(310, 210)], SIZE)
    assert box == Box(110, 310, 210, 410)  # the smallest crop, 200 pixels, about the object


def test_a_crop_stays_while_it_fits():
    present = Box(110, 310, 210, 410)
    grown = _probability(190, 230, 290, 330)
    assert next_box(present, grown, [Click(310, 210)], SIZE) == present


def test_a_crop_is_renewed_when_the_object_outgrows_it():
    box = next_box(Box(110, 310, 210, 410), _probability(10, 400, 20, 600), [Click(310, 210)], SIZE)
    assert box == WHOLE


def test_a_positive_click_outside_renews_the_crop_and_is_inside_the_new_one():
    present, mask = Box(110, 310, 210, 410), _probability(200, 219, 300, 319)
    clicks = [Click(310, 210), Click(20, 30)]
    box = next_box(present, mask, clicks, SIZE)
    assert box != present and holds_clicks(box, clicks)
    negative = [Click(310, 210), Click(20, 30, False)]
    assert next_box(present, mask, negative, SIZE) == present


def test_an_empty_answer_goes_back_to_the_whole_image():
    empty = np.zeros(SIZE, np.float32)
    assert next_box(Box(110, 310, 210, 410), empty, [Click(310, 210)], SIZE) == WHOLE


def test_the_crop_follows_one_half_and_not_the_masks_threshold():
    almost = _probability(200, 219, 300, 319, 0.495)
    assert next_box(WHOLE, almost, [Click(310, 210)], SIZE) == WHOLE


def test_last_row_and_column_do_not_count_as_inside():
    assert holds_clicks(WHOLE, [Click(638.9, 478.9), Click(0, 0)])
    assert not holds_clicks(WHOLE, [Click(639, 10)])
    assert not holds_clicks(WHOLE, [Click(10, 479)])
    assert holds_clicks(WHOLE, [Click(639, 479, False)])


@pytest.mark.parametrize("x, y", [(-0.5, -0.5), (0, 0), (639.4, 479.4), (639, 0), (0, 479)])
@pytest.mark.parametrize("present", [None, WHOLE, Box(0, 200, 0, 200)])
def test_every_click_on_the_image_gives_a_crop_within_it(x, y, present):
    for mask in (None, _probability(0, 0, 0, 0), _probability(479, 479, 639, 639)):
        box = next_box(present, mask, [Click(x, y)], SIZE)
        assert 0 <= box.top <= box.bottom <= 479 and 0 <= box.left <= box.right <= 639


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (300, 2), (100, 100)])
def test_small_images_are_seen_whole(size):
    mask = np.ones(size, np.float32)
    box = next_box(Box(0, size[0] - 1, 0, size[1] - 1), mask, [Click(0, 0)], size)
    assert box.top == 0 and box.bottom == size[0] - 1 and box.left == 0
    assert box.right <= size[1] - 1


def test_object_boxes_are_longer_by_the_expansion():
    mask = np.zeros((1000, 1000), bool)
    mask[300:600, 400:600] = True
    box = object_box(mask, [])
    assert box.bottom - box.top == 420 and box.right - box.left == 280
    assert object_box(mask, [], expansion=1.0, smallest=1) == Box(300, 600, 400, 600)


def test_overlap_is_the_product_of_the_axes():
    a = Box(0, 9, 0, 9)
    assert overlap(a, a) == 1
    assert overlap(a, Box(5, 14, 0, 9)) == pytest.approx(5 / 15)
    assert overlap(a, Box(5, 14, 5, 14)) == pytest.approx(1 / 9)
    assert overlap(a, Box(20, 29, 0, 9)) == 0


def test_clicks_are_scaled_to_the_crop():
    (click,) = to_crop([Click(260.5, 210, False)], Box(110, 309, 210, 409), 448)
    assert (click.x, click.y, click.positive) == (448 * 50.5 / 200, 448 * 100 / 200, False)
