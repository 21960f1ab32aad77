"""Click maps and both simulated users against the published implementation, exactly."""

from __future__ import annotations

from parity import check_disks, check_evaluation_clicks, check_training_clicks


def test_click_maps_equal_the_published_ones(golden, report):
    report(check_disks(golden))


def test_robot_clicks_equal_the_published_ones(golden, report):
    report(check_evaluation_clicks(golden))


def test_training_candidates_equal_the_published_ones(golden, report):
    report(check_training_clicks(golden))
