"""Normalized focal loss and its gradient against the published implementation."""

from __future__ import annotations

import pytest
from parity import check_loss, load

CASES = (
    *("random", "good", "ignore", "all_background", "all_foreground", "tiny"),
    *("all_ignored", "saturated", "perfect_saturated", "zeros"),
)


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradient_equal_the_published_ones(golden, case, report):
    report(check_loss(golden, case))


def test_no_case_is_left_out(golden):
    assert {k.removesuffix("_loss") for k in load(golden, "nfl.npz") if k.endswith("_loss")} == set(
        CASES
    )
