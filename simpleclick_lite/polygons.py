"""Masks as polygons: rings along the edges of the pixels, holes joined to their ring by a slit.

Used by the export of the click tool (notebooks/13_click_tool.ipynb). Coordinates are those of COCO,
YOLO and labelme: (0, 0) is the top-left corner of the top-left pixel, so its center is (0.5, 0.5).
A format that knows no holes still gets them right: the ring walks along a slit of no width to the
hole, around it, and back.
"""

from __future__ import annotations

import cv2
import numpy as np

TOLERANCE = (
    0.5  # pixels a simplified ring may leave the true one; 0.5 leaves (nearly) every pixel as it is
)


def mask_polygons(mask: np.ndarray, tolerance: float = TOLERANCE) -> list[np.ndarray]:
    """One polygon for each 4-connected part of a mask, the largest first.

    Args:
        mask: (H, W) bool.
        tolerance: largest distance in pixels between the true and the simplified ring; 0 is exact.

    Returns:
        (N, 2) float xy each, N >= 3, not closed; none for an empty mask.
    """
    mask = np.asarray(mask, bool)
    if not mask.any():
        return []
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    rings: dict[int, list[np.ndarray]] = {}
    for ring, inside in _rings(mask):
        rings.setdefault(int(parts[inside]), []).append(_simplify(ring, tolerance))
    polygons = []
    for group in rings.values():
        group.sort(key=lambda ring: -abs(_area(ring)))  # a part's outer ring encloses the others
        polygons.append(join(group))
    return sorted(polygons, key=lambda ring: -abs(_area(ring)))


def join(rings: list[np.ndarray]) -> np.ndarray:
    """Several rings as one polygon: each is tied to what is already there by its shortest slit.

    Args:
        rings: (N, 2) xy each; at least one.
    """
    joined = rings[0]
    for ring in rings[1:]:
        i, j = _nearest(joined, ring)
        walk = np.concatenate([ring[j:], ring[: j + 1]])
        joined = np.concatenate([joined[: i + 1], walk, joined[i:]])
    return joined


def polygons_mask(polygons: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """The mask of polygons: pixels whose center lies inside of an odd number of rings.

    Args:
        polygons: (N, 2) xy each.
        size: (H, W) of the mask.
    """
    mask = np.zeros(size, bool)
    rows = np.arange(size[0]) + 0.5
    for ring in polygons:
        a, b = ring, np.roll(ring, -1, axis=0)
        for (x0, y0), (x1, y1) in zip(a, b, strict=True):
            if y0 == y1:
                continue
            crossed = np.flatnonzero((rows >= min(y0, y1)) & (rows < max(y0, y1)))
            xs = x0 + (rows[crossed] - y0) * (x1 - x0) / (y1 - y0)
            first = np.clip(np.ceil(xs - 0.5), 0, size[1]).astype(int)
            for row, column in zip(crossed, first, strict=True):
                mask[row, column:] ^= True
    return mask


def _rings(mask: np.ndarray) -> list[tuple[np.ndarray, tuple[int, int]]]:
    """Closed walks along pixel edges, mask to the right: their corners, and a pixel inside."""
    padded = np.pad(mask, 1).astype(np.int8)
    down = np.diff(padded, axis=0)[:, 1:-1]  # (H + 1, W): 1 where the mask begins below an edge
    right = np.diff(padded, axis=1)[1:-1]  # (H, W + 1): 1 where it begins to the right
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}  # corner (x, y) -> directions
    for edges, shift, direction in (
        (down == 1, (0, 0), (1, 0)),
        (down == -1, (1, 0), (-1, 0)),
        (right == 1, (0, 1), (0, -1)),
        (right == -1, (0, 0), (0, 1)),
    ):
        for y, x in np.argwhere(edges).tolist():
            steps.setdefault((x + shift[0], y + shift[1]), []).append(direction)
    rings = []
    while steps:
        corner = start = next(iter(steps))
        first = heading = steps[corner][0]
        ring = []
        while True:
            ways = steps[corner]
            turn = (-heading[1], heading[0])  # to the right: stay with the same pixel
            way = turn if len(ways) > 1 and turn in ways else ways[0]
            if not ring:
                way = first
            ways.remove(way)
            if not ways:
                del steps[corner]
            if not ring or way != heading:
                ring.append(corner)
            heading = way
            corner = (corner[0] + way[0], corner[1] + way[1])
            if corner == start and _closes(steps.get(corner), heading, first):
                break
        if heading == first:  # the walk began in the middle of a straight edge
            ring = ring[1:]
        x, y = start
        dx, dy = first
        inside = (y - (dx < 0 or dy < 0), x - (dx < 0 or dy > 0))
        rings.append((np.array(ring, float), inside))
    return rings


def _closes(ways: list | None, heading: tuple[int, int], first: tuple[int, int]) -> bool:
    """Back at the start: closed unless the walk only passes a corner where two rings touch."""
    return not ways or first == (-heading[1], heading[0])


def _simplify(ring: np.ndarray, tolerance: float) -> np.ndarray:
    if tolerance <= 0 or len(ring) <= 4:
        return ring
    short = cv2.approxPolyDP(ring.astype(np.float32)[:, None], tolerance, True)[:, 0]
    return short.astype(float) if len(short) >= 3 and abs(_area(short)) > 0 else ring


def _area(ring: np.ndarray) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def _nearest(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """Indices of the nearest points of two rings."""
    best, found = np.inf, (0, 0)
    for j in range(len(b)):
        distance = ((a - b[j]) ** 2).sum(axis=1)
        i = int(distance.argmin())
        if distance[i] < best:
            best, found = float(distance[i]), (i, j)
    return found
