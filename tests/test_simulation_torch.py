"""The batched clicks of training, against OpenCV and the fixtures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from simpleclick_lite.simulation import training_candidates
from simpleclick_lite.simulation_torch import (
    draw_pixels,
    error_candidates,
    squared_distance,
    training_clicks_torch,
)


def _regions(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = [rng.random(size) < p for p in (0.0, 0.3, 0.9, 0.999, 1.0)]
    blobs = [cv2.GaussianBlur(rng.random(size), (0, 0), s) > 0.5 for s in (2, 6)]
    return np.stack(noise + blobs)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 31), (33, 20), (64, 64), (20, 130)])
def test_distance_transform_equals_the_exact_one_of_opencv(size):
    regions = _regions(size)
    ours = squared_distance(torch.from_numpy(regions)).sqrt().numpy()
    for mine, region in zip(ours, regions, strict=True):
        padded = np.pad(region.astype(np.uint8), 1)
        exact = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        np.testing.assert_allclose(mine, exact, atol=1e-5)


def test_candidates_equal_the_published_ones_up_to_the_approximate_transform(golden):
    data = np.load(golden / "train_next_click.npz")
    candidates, sign = error_candidates(
        torch.from_numpy(data["prob"]), torch.from_numpy(data["gt"])
    )
    np.testing.assert_array_equal(sign.numpy(), data["sign"])
    published = data["candidates"] > 0
    different = candidates.numpy() != published
    assert (~different.any((1, 2))).mean() > 0.8
    # the published 5x5 transform is off by up to 2 %: only pixels at half the depth may differ
    truth, found = data["gt"][:, 0] == 1, data["prob"][:, 0]
    positive = (data["sign"] > 0)[:, None, None]
    error = np.where(positive, truth & (found < 0.49), ~truth & (found > 0.49))
    depth = squared_distance(torch.from_numpy(error)).sqrt().numpy()
    share = depth / np.maximum(depth.max((1, 2), keepdims=True), 1e-6)
    assert np.abs(share[different] - 0.5).max() < 0.02


def test_the_5x5_path_gives_the_published_candidates(golden):
    data = np.load(golden / "train_next_click.npz")
    for prob, gt, wanted, sign in zip(
        data["prob"], data["gt"], data["candidates"], data["sign"], strict=True
    ):
        candidates, ours = training_candidates(prob[0], gt[0])
        assert ours == sign
        np.testing.assert_array_equal(candidates, wanted > 0)


def test_every_candidate_is_drawn_equally_often():
    region = torch.from_numpy(_regions((12, 17), 3)[5])
    count = int(region.sum())
    shares = (torch.arange(4 * count) + 0.5) / (4 * count)
    points = draw_pixels(region.expand(4 * count, -1, -1), shares).long()
    hits = torch.zeros_like(region, dtype=torch.int64)
    hits.index_put_((points[:, 1], points[:, 0]), torch.tensor(1), accumulate=True)
    assert (hits[region] == 4).all() and (hits[~region] == 0).all()


def test_a_correct_prediction_gets_no_click_and_a_wrong_one_the_right_sign():
    target = torch.zeros(3, 1, 20, 20, dtype=torch.int8)
    target[:, :, 5:15, 5:15] = 1
    probability = torch.stack([target[0].float(), torch.zeros(1, 20, 20), torch.ones(1, 20, 20)])
    points, labels = training_clicks_torch(probability, target, torch.full((3,), 0.999999))
    assert labels[:, 0].tolist() == [-1, 1, 0]
    x, y = points[1, 0].long().tolist()
    assert target[1, 0, y, x] == 1
    x, y = points[2, 0].long().tolist()
    assert target[2, 0, y, x] == 0
