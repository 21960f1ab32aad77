"""The evaluation loop and its crops against the published implementation."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from parity import check_zoom_in, ellipses, load

from simpleclick_lite.checkpoint import load_model
from simpleclick_lite.clicks import Click
from simpleclick_lite.crop import Box, holds_clicks, next_box, object_box, overlap, to_crop
from simpleclick_lite.data import Sample
from simpleclick_lite.evaluation import evaluate, evaluate_object
from simpleclick_lite.predictor import Predictor

TAGS = [
    f"{model}_{flip}_{image}"
    for model in ("micro", "micro_tuned")
    for flip in ("flip", "noflip")
    for image in range(3)
]


@pytest.mark.parametrize("tag", TAGS)
def test_evaluation_loop_equals_the_published_one(golden, tag, report):
    model = load_model(golden / f"simpleclick_{tag.split('_')[0]}{'_tuned' * ('tuned' in tag)}.pth")
    report(check_zoom_in(golden, Predictor(model, "cpu", flip="noflip" not in tag), tag))


def test_no_loop_is_left_out(golden):
    found = {k.removesuffix("_iou") for k in load(golden, "zoom_in_eval.npz") if k.endswith("_iou")}
    assert found == set(TAGS)


@pytest.fixture(scope="module")
def roi(golden) -> dict:
    return json.loads((golden / "zoom_roi.json").read_text(encoding="utf-8"))


def _clicks(rows: list[list[int]]) -> list[Click]:
    return [Click(x, y, bool(positive)) for y, x, positive in rows]


def test_wanted_crops_equal_the_published_ones(roi):
    for case in roi["object_roi"]:
        mask = ellipses((case["height"], case["width"]), case["ellipses"])
        found = object_box(
            mask, _clicks(case["clicks"]), case["expansion_ratio"], case["min_crop_size"]
        )
        assert list(found) == case["roi"], case


def test_crops_hold_the_same_clicks(roi):
    for case in roi["check_object_roi"]:
        assert holds_clicks(Box(*case["roi"]), _clicks([case["click"]])) is case["inside"], case


def test_overlaps_equal_the_published_ones(roi):
    for case in roi["bbox_iou"]:
        assert overlap(Box(*case["a"]), Box(*case["b"])) == pytest.approx(case["iou"], abs=1e-12)


def test_crop_sequences_equal_the_published_ones(roi):
    for sequence in roi["sequences"]:
        size = (sequence["height"], sequence["width"])
        present, probability = None, None
        for step in sequence["steps"]:
            clicks = _clicks(step["clicks"])
            present = next_box(present, probability, clicks, size)
            assert list(present) == step["roi"], step
            ours = [[c.y, c.x] for c in to_crop(clicks, present, sequence["target_size"][0])]
            assert ours == step["net_clicks"], step
            probability = ellipses(size, step["mask_after_ellipses"]).astype(np.float32)


@pytest.mark.parametrize("tag", ["micro_tuned_flip_1", "micro_tuned_noflip_0"])
def test_evaluate_takes_the_same_course(golden, tag, report):
    """Through `predict`, compared as long as the robot's clicks are the published ones."""
    data = load(golden, "zoom_in_eval.npz")
    sample = Sample(data[f"image{tag[-1]}"], data[f"gt{tag[-1]}"], tag)
    model = load_model(golden / "simpleclick_micro_tuned.pth")
    predictor = Predictor(model, "cpu", flip="noflip" not in tag)
    found = evaluate_object(predictor, sample, max_clicks=5)
    published = [Click(x, y, bool(positive)) for y, x, positive in data[f"{tag}_clicks"]]
    assert found.clicks[0] == published[0]
    differences = []
    for click, theirs, iou, expected in zip(
        found.clicks, published, found.ious, data[f"{tag}_iou"], strict=True
    ):
        if click != theirs:  # pixels within 1e-3 of the threshold decided otherwise
            break
        differences.append(abs(iou - float(expected)))
    assert max(differences) <= 1e-3
    report({f"IoU, {len(differences)} of 5 clicks": max(differences)})


@pytest.mark.parametrize("name, side", [("grabcut", 448), ("davis", 672), ("my own", 448)])
def test_evaluate_shows_the_network_each_sets_published_crop(golden, name, side):
    class Set(list):
        pass

    samples = Set([Sample(np.zeros((60, 80, 3), np.uint8), np.eye(60, 80, dtype=np.int8), "a")])
    samples.name = name
    predictor = Predictor(load_model(golden / "simpleclick_micro.pth"), "cpu", flip=False)
    sizes = []
    predictor.model.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[-2:]))
    result = evaluate(predictor, samples, max_clicks=2, progress=False)
    assert sizes == [(side, side)] * 2
    assert result.settings["crop_size"] == side
    assert predictor.crop_size is None


@pytest.mark.parametrize("stop, clicks", [(None, 20), (0.9, 1), (0.0, 1)])
def test_noc_runs_stop_and_miou_runs_use_all_clicks(stop, clicks):
    mask = np.ones((60, 80), np.int8)

    class Right:
        """Finds the object at once."""

        def set_image(self, image):
            pass

        def predict(self, points, labels):
            return SimpleNamespace(mask=mask == 1)

    sample = Sample(np.zeros((60, 80, 3), np.uint8), mask, "a")
    assert len(evaluate_object(Right(), sample, stop_iou=stop).clicks) == clicks
