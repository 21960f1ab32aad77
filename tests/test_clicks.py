"""Clicks, padded tensors and disks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from simpleclick_lite.clicks import Click, check_clicks, click_map, draw_disks, pad_clicks
from simpleclick_lite.errors import InputError


def plain_disks(points, labels, size, radius):
    """The definition, pixel by pixel over the whole image."""
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    out = torch.zeros(len(points), 2, *size)
    for b, row in enumerate(points):
        for (px, py), label in zip(row, labels[b], strict=True):
            if label >= 0:
                near = (y - py) ** 2 + (x - px) ** 2 <= radius**2
                out[b, 0 if label == 1 else 1][near] = 1
    return out


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 7), (48, 64)])
@pytest.mark.parametrize("radius", [0, 1, 2.5, 5, 9])
def test_disks_equal_their_definition(size, radius):
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([size[1], size[0]])
    points = torch.rand(3, 6, 2, generator=generator) * (scale + 20) - 10
    points[0] = points[0].round()
    labels = torch.randint(-1, 2, (3, 6), generator=generator)
    assert torch.equal(
        draw_disks(points, labels, size, radius), plain_disks(points, labels, size, radius)
    )


def test_a_click_on_the_last_pixel_paints_a_quarter():
    disks = draw_disks(torch.tensor([[[39.0, 29.0]]]), torch.tensor([[1]]), (30, 40))
    assert disks[0, 0, 29, 39] == 1
    assert disks[0, 0].sum() == 26  # 81 pixels of a disk: 20 per open quarter + 5 per axis + 1
    assert disks[0, 1].sum() == 0


def test_padding_is_told_by_the_label_alone():
    points = torch.tensor([[[5.0, 5.0], [-1.0, -1.0]]])
    assert draw_disks(points, torch.tensor([[-1, -1]]), (20, 20)).sum() == 0
    assert draw_disks(points, torch.tensor([[-1, 1]]), (20, 20))[0, 0, 0, 0] == 1


@pytest.mark.parametrize("value", [1e9, -1e30, float("inf"), float("nan")])
def test_clicks_far_outside_paint_nothing(value):
    assert draw_disks(torch.tensor([[[value, 3.0]]]), torch.tensor([[1]]), (20, 20)).sum() == 0


def test_no_points_at_all_paint_nothing():
    disks = draw_disks(torch.zeros(2, 0, 2), torch.zeros(2, 0, dtype=torch.long), (8, 9))
    assert disks.shape == (2, 2, 8, 9) and disks.sum() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int64])
def test_disks_are_float32_whatever_the_points_are(dtype):
    points = torch.tensor([[[7.0, 9.0]]]).to(dtype)
    disks = draw_disks(points, torch.tensor([[0]]), (20, 20))
    assert disks.dtype == torch.float32
    assert disks[0, 1].sum() == 81 and disks[0, 0].sum() == 0


def test_float64_points_decide_pixels_on_the_circle():
    # (4.8, 1.4) is exactly 5 long; 337.4 in float32 is a little less, and the pixel is lost
    points = torch.tensor([[[100.8, 337.4]]], dtype=torch.float64)
    labels = torch.tensor([[1]])
    assert draw_disks(points, labels, (448, 448))[0, 0, 336, 96] == 1
    assert draw_disks(points.float(), labels, (448, 448))[0, 0, 336, 96] == 0


def test_thousands_of_clicks_are_drawn():
    points = torch.rand(1, 5000, 2) * 100
    disks = draw_disks(points, torch.ones(1, 5000, dtype=torch.long), (100, 100))
    assert disks[0, 0].min() == 1


def test_non_contiguous_points_are_drawn_alike():
    points = torch.rand(2, 2, 6).transpose(1, 2) * 30
    labels = torch.tensor([[1, 0, 1, 0, -1, 1]]).expand(2, -1)
    assert torch.equal(
        draw_disks(points, labels, (30, 30)), draw_disks(points.contiguous(), labels, (30, 30))
    )


def test_the_click_map_has_the_previous_mask_first():
    mask = torch.rand(1, 1, 16, 16)
    shown = click_map(torch.tensor([[[3.0, 3.0]]]), torch.tensor([[1]]), mask)
    assert torch.equal(shown[:, :1], mask)
    assert shown[0, 1, 3, 3] == 1 and shown[0, 2].sum() == 0
    half = click_map(torch.tensor([[[3.0, 3.0]]]), torch.tensor([[1]]), mask.half())
    assert half.dtype == torch.float16


def test_lists_of_clicks_are_padded():
    points, labels = pad_clicks([[Click(1, 2), Click(3.5, 4, False)], [], [Click(5, 6)]])
    assert points.shape == (3, 2, 2) and points.dtype == torch.float32
    assert labels.tolist() == [[1, 0], [-1, -1], [1, -1]] and labels.dtype == torch.int64
    assert points[0].tolist() == [[1, 2], [3.5, 4]]
    assert pad_clicks([[]])[0].shape == (1, 1, 2)
    assert pad_clicks([])[0].shape == (0, 1, 2)


SIZE = (30, 40)


@pytest.mark.parametrize(
    "points, labels",
    [
        ([(3, 4)], [1]),
        (((3, 4),), (True,)),
        (np.array([[3, 4]]), np.array([1])),
        (np.array([[3, 4]], np.float32), np.array([True])),
        (torch.tensor([[3, 4]]), torch.tensor([1])),
        (iter([(3, 4)]), iter([1])),
        ([[3, 4]], None),
        ([np.array([3.0, 4.0])], [np.int8(1)]),
    ],
)
def test_clicks_may_be_given_in_many_ways(points, labels):
    assert check_clicks(points, labels, SIZE) == [Click(3, 4, True)]


def test_the_border_of_the_image_is_half_a_pixel_outside_its_pixels():
    corners = [(-0.5, -0.5), (39.4, 29.4), (39, 29), (0, 0)]
    assert len(check_clicks(corners, None, SIZE)) == 4
    for point in [(39.5, 3), (3, 29.5), (-0.6, 3), (3, -0.6), (40, 3), (3, 30)]:
        with pytest.raises(InputError, match="outside the image"):
            check_clicks([point], [1], SIZE)


@pytest.mark.parametrize(
    "points, labels, says",
    [
        ([], [], "no click"),
        ([], None, "no click"),
        (None, None, "must be lists"),
        (3, [1], "must be lists"),
        ([(1, 2)], 1, "must be lists"),
        ([(1, 2)], [1, 0], "1 points but 2 labels"),
        ([(1, 2)], [], "1 points but 0 labels"),
        ((1, 2), None, "two numbers"),
        ([(1, 2, 3)], [1], "two numbers"),
        ([(1,)], [1], "two numbers"),
        (["12"], [1], "two numbers"),
        ([("a", 2)], [1], "two numbers"),
        ([(None, 2)], [1], "two numbers"),
        ([(10**400, 2)], [1], "two numbers"),
        ([(1j, 2)], [1], "two numbers"),
        ([(float("nan"), 2)], [1], "not a finite"),
        ([(float("inf"), 2)], [1], "not a finite"),
        ([(1, 2)], [2], "neither 1"),
        ([(1, 2)], [-1], "neither 1"),
        ([(1, 2)], [0.5], "neither 1"),
        ([(1, 2)], ["1"], "neither 1"),
        ([(1, 2)], [None], "neither 1"),
        ([(1, 2)], [np.array([1, 0])], "neither 1"),
        ([(1, 2)], [torch.tensor([1, 0])], "neither 1"),
    ],
)
def test_wrong_clicks_are_refused_in_one_sentence(points, labels, says):
    with pytest.raises(InputError, match=says) as caught:
        check_clicks(points, labels, SIZE)
    assert "\n" not in str(caught.value)
