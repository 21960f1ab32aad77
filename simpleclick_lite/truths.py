"""Which known object the user is after.

Used by the click session where the truth of an image is known (notebooks/13_click_tool.ipynb).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .annotation import CutObject
from .evaluation import intersection_over_union


def choose_truth(
    truths: Sequence[np.ndarray], target: CutObject, mask: np.ndarray | None
) -> int | None:
    """The known object that an object in progress is meant to be.

    A click says it best: of the known objects under the first positive click, the smallest. Else
    it is the one that the mask overlaps most.

    Args:
        truths: (H, W) int8 each, 1 object, 0 background, -1 ignored.
        target: the object in progress.
        mask: its mask so far, (H, W) bool; None if not known.

    Returns:
        an index into `truths`, or None where nothing fits.
    """
    if len(truths) <= 1:
        return 0 if truths else None
    first = next((c for c in target.clicks if c.positive), None)
    if first is not None:
        y, x = round(first.y), round(first.x)
        under = [i for i, truth in enumerate(truths) if truth[y, x] == 1]
        if under:
            return min(under, key=lambda i: int((truths[i] == 1).sum()))
    if mask is not None and mask.any():
        scores = [intersection_over_union(mask, truth) for truth in truths]
        best = int(np.argmax(scores))
        return best if scores[best] > 0 else None
    return None
