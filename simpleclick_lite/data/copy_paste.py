"""Copy and paste: an object cut out of one photograph, put onto another one.

After Ghiasi et al., CVPR 2021 (arXiv:2012.07177); off in every recipe. Few photographs become many:
every object may be seen before any background. The edge is blended over a pixel or two, so that it
is not given away by being sharper than any real one.
"""

from __future__ import annotations

import cv2
import numpy as np

MOST = 0.5  # share of the crop; a larger object leaves nothing to be pasted onto


def paste(
    image: np.ndarray,
    target: np.ndarray,
    background: np.ndarray,
    taken: np.ndarray,
    ignored: np.ndarray | None,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Put the target of one sample onto another photograph.

    Args:
        image: (S, S, 3) uint8 RGB that the object is cut out of.
        target: (S, S) int8; 1 object, 0 background, -1 ignored.
        background: (S, S, 3) uint8 RGB that it is put onto.
        taken: (S, S) bool, the background's own objects.
        ignored: (S, S) bool, its ignored pixels, or None.
        rng: source of randomness.

    Returns:
        image, target and the other objects (S, S) bool; None for an object that is empty or larger
        than half of the crop.
    """
    cut = target == 1
    if not 0 < cut.mean() <= MOST:
        return None
    alpha = cv2.GaussianBlur(cut.astype(np.float32), (0, 0), rng.uniform(0.4, 1.2))[..., None]
    mixed = np.rint(alpha * image + (1 - alpha) * background).astype(np.uint8)
    made = cut.astype(np.int8)
    if ignored is not None:
        made[ignored & ~cut] = -1
    return mixed, made, taken & ~cut
