"""The encodings that disks are compared with: values against the formula, padding, empty signs."""

import math

import torch

from simpleclick_lite.encodings import distance_maps, gaussian_maps

SIZE = (7, 9)
POINTS = torch.tensor([[[2.0, 3.0], [6.5, 1.0], [0.0, 0.0]]])
LABELS = torch.tensor([[1, 0, -1]])


def test_distance_is_measured_to_the_nearest_click_of_the_sign():
    maps = distance_maps(POINTS, LABELS, SIZE, limit=100.0)
    assert maps.shape == (1, 2, *SIZE)
    assert maps[0, 0, 3, 2] == 0
    torch.testing.assert_close(maps[0, 0, 6, 6], torch.tensor(math.hypot(4, 3) / 100))
    torch.testing.assert_close(maps[0, 1, 1, 6], torch.tensor(0.5 / 100))


def test_distance_is_cut_off_at_the_limit_and_one_without_clicks():
    assert distance_maps(POINTS, LABELS, SIZE, limit=2.0)[0, 0, 0, 8] == 1
    assert (distance_maps(POINTS, LABELS.clamp(max=0), SIZE)[0, 0] == 1).all()


def test_a_gaussian_is_one_at_its_click_and_zero_without_clicks():
    maps = gaussian_maps(POINTS, LABELS, SIZE, sigma=2.0)
    assert maps[0, 0, 3, 2] == 1
    torch.testing.assert_close(maps[0, 0, 3, 4], torch.tensor(math.exp(-4 / 8)))
    assert (gaussian_maps(POINTS, torch.full((1, 3), -1), SIZE) == 0).all()


def test_padding_does_not_count_wherever_it_lies():
    moved = POINTS.clone()
    moved[0, 2] = torch.tensor([5.0, 5.0])
    for encode in (distance_maps, gaussian_maps):
        assert torch.equal(encode(POINTS, LABELS, SIZE), encode(moved, LABELS, SIZE))
