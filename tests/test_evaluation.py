"""NoC, mIoU after k clicks and failures, on answers that are known beforehand."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from simpleclick_lite.clicks import Click
from simpleclick_lite.data import Records, Sample
from simpleclick_lite.errors import InputError
from simpleclick_lite.evaluation import (
    ObjectResult,
    Result,
    evaluate,
    evaluate_object,
    intersection_over_union,
)


def _result(*ious, names=None, max_clicks=4, **more) -> Result:
    names = names or [f"o{k}" for k in range(len(ious))]
    objects = [ObjectResult(n, list(v), [], 1.0) for n, v in zip(names, ious, strict=True)]
    return Result(objects, {}, max_clicks=max_clicks, **more)


def test_noc_counts_the_first_click_at_the_threshold_and_failures_as_all_clicks():
    result = _result([0.5, 0.9, 0.7, 0.95], [0.85, 0.8, 0.8, 0.8], [0.1, 0.2, 0.3, 0.4])
    assert result.clicks_needed(0.9) == [2, None, None]
    assert result.noc(0.9) == pytest.approx((2 + 4 + 4) / 3)
    assert result.noc(0.85) == pytest.approx((2 + 1 + 4) / 3)
    assert (result.failures(0.85), result.failures(0.9)) == (1, 2)
    assert result.miou(1) == pytest.approx((0.5 + 0.85 + 0.1) / 3)
    assert result.miou(4) == pytest.approx((0.95 + 0.8 + 0.4) / 3)


def test_photographs_with_many_objects_count_once():
    ious = ([1.0] * 4, [1.0] * 4, [1.0] * 4, [0.0] * 4)
    names = ["coins/a", "coins/b", "coins/c", "cell/cell"]
    assert _result(*ious, names=names).miou(1) == 0.75
    assert _result(*ious, names=names, mean_over_groups=True).miou(1) == 0.5
    assert _result(*ious, names=names, mean_over_groups=True).noc(0.9) == 2.5


def test_the_table_shows_the_clicks_that_are_asked_for():
    result = _result([0.5, 0.6, 0.7, 0.95])
    assert "| mIoU@2 | 0.600 |" in result.table() and "mIoU@4" not in result.table()
    assert "| mIoU@4 | 0.950 |" in result.table(range(1, 21))


def test_runs_that_stopped_have_noc_but_no_miou():
    result = _result([0.5, 0.92], [0.91])
    assert result.noc(0.9) == 1.5
    assert result.miou(1) == pytest.approx(0.705)
    assert np.isnan(result.miou(2))
    assert result.as_dict()["miou"] == []


def test_ignored_pixels_count_nowhere():
    truth = np.array([[1, 1, 0, -1]], np.int8)
    assert intersection_over_union(np.array([[1, 0, 0, 1]], bool), truth) == 0.5
    assert intersection_over_union(np.array([[1, 1, 0, 1]], bool), truth) == 1.0
    assert intersection_over_union(np.zeros((1, 4), bool), np.zeros((1, 4), np.int8)) == 1.0


class Growing:
    """Finds one more column of the object with every click."""

    def __init__(self):
        self.asked = []

    def set_image(self, image):
        self.size = image.shape[:2]

    def predict(self, points, labels):
        self.asked.append((list(points), list(labels)))
        mask = np.zeros(self.size, bool)
        mask[:, : len(points)] = True
        return SimpleNamespace(mask=mask)


def _dataset(count=3, broken=()):
    def load(name):
        if name in broken:
            raise InputError(f"image {name} is broken")
        mask = np.zeros((6, 10), np.int8)
        mask[:, :4] = 1
        return Sample(np.zeros((6, 10, 3), np.uint8), mask, name)

    return Records("grabcut", [f"s{k}" for k in range(count)], load)


def test_the_robot_gives_all_clicks_each_time():
    predictor = Growing()
    found = evaluate_object(predictor, _dataset()[0], max_clicks=6)
    assert found.ious == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.8, 4 / 6])
    assert [len(points) for points, _ in predictor.asked] == [1, 2, 3, 4, 5, 6]
    assert all(
        b[0][:-1] == a[0] for a, b in zip(predictor.asked, predictor.asked[1:], strict=False)
    )
    assert [c.positive for c in found.clicks] == [True] * 4 + [False] * 2


def test_unreadable_samples_are_left_out_and_named():
    result = evaluate(Growing(), _dataset(broken=["s1"]), max_clicks=5, progress=False)
    assert [item.name for item in result.objects] == ["s0", "s2"]
    assert result.skipped == ["image s1 is broken"]
    assert "skipped (unreadable) | 1" in result.table()
    with pytest.raises(InputError, match="no sample of grabcut could be read; the first: image s0"):
        evaluate(Growing(), _dataset(1, broken=["s0"]), progress=False)
    with pytest.raises(InputError, match="empty"):
        evaluate(Growing(), _dataset(0), progress=False)
    with pytest.raises(InputError, match="max_clicks"):
        evaluate(Growing(), _dataset(), max_clicks=0, progress=False)


def test_the_json_holds_the_keys_of_the_contract(tmp_path):
    result = evaluate(Growing(), _dataset(), max_clicks=5, progress=False, settings={"note": "x"})
    result.to_json(tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert data["noc80"] == data["noc90"] == 4.0 and data["failures90"] == 0
    assert data["miou"] == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.8])
    assert data["settings"]["number_of_objects"] == 3 and data["settings"]["note"] == "x"
    assert data["objects"][0]["clicks"][0][2] == 1


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe\n", b'{"key": "2", "na', b"[]\n"])
def test_a_run_goes_on_from_its_log_whatever_became_of_the_last_line(tmp_path, damage):
    log = tmp_path / "log.jsonl"
    evaluate(Growing(), _dataset(), 5, log=log, indices=[0, 1], progress=False)
    with log.open("ab") as file:
        file.write(damage)
    predictor = Growing()
    result = evaluate(predictor, _dataset(), 5, log=log, progress=False)
    assert len(predictor.asked) == 5, "only the third object is run"
    assert [item.name for item in result.objects] == ["s0", "s1", "s2"]
    again = Growing()
    evaluate(again, _dataset(), 5, log=log, progress=False)
    assert not again.asked


def test_a_log_of_other_settings_is_refused(tmp_path):
    log = tmp_path / "log.jsonl"
    evaluate(Growing(), _dataset(), 5, log=log, progress=False)
    with pytest.raises(InputError, match="other settings"):
        evaluate(Growing(), _dataset(), 6, log=log, progress=False)
    with pytest.raises(InputError, match="other settings"):
        evaluate(Growing(), _dataset(), 5, stop_iou=0.9, log=log, progress=False)


def test_an_object_comes_back_from_json_as_it_was():
    item = ObjectResult("a", [0.5, 0.25], [Click(1, 2, True), Click(3.5, 4, False)], 0.5)
    assert ObjectResult.from_dict(json.loads(json.dumps(item.as_dict()))) == item
