"""Matrices between the pixels of two images, and what they make of images and boxes."""

from __future__ import annotations

import cv2
import numpy as np
import torch

MAX_CHANNELS = 4  # of one call of OpenCV's warp


def shift(x: float, y: float) -> np.ndarray:
    """The (3, 3) matrix that moves by x to the right and y down."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def stretch(x: float, y: float) -> np.ndarray:
    """The (3, 3) matrix that scales pixel areas: the corner of the image, (-0.5, -0.5), stays."""
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1.0]])


def move_box(box: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The box around a moved box.

    Args:
        box: (4,) x0, y0, x1, y1, pixel borders: x1 and y1 are not included.
        matrix: (3, 3).
    """
    x0, y0, x1, y1 = box - 0.5
    corners = np.array([[x0, y0, 1], [x1, y0, 1], [x0, y1, 1], [x1, y1, 1]]) @ matrix[:2].T + 0.5
    return np.concatenate([corners.min(0), corners.max(0)])


def warp(x: torch.Tensor, inverse: np.ndarray, size: tuple[int, int], how: int) -> torch.Tensor:
    """Resample an image or masks, zeros outside the source.

    Args:
        x: (C, H, W) uint8, any C.
        inverse: (3, 3), pixel (x, y, 1) of the result -> pixel of the source.
        size: (H, W) of the result.
        how: OpenCV's interpolation, cv2.INTER_LINEAR or cv2.INTER_NEAREST.

    Returns:
        (C, *size) uint8; memory stays channels-last.
    """
    array = x.permute(1, 2, 0).numpy()
    channels = array.shape[2]
    if channels == 0:
        return torch.zeros((0, *size), dtype=x.dtype)
    upright = not (inverse[0, 1] or inverse[1, 0])
    parts = []
    for start in range(0, channels, MAX_CHANNELS):
        part = array[..., start : start + MAX_CHANNELS]
        part = part[..., 0] if part.shape[2] == 1 else part
        if upright:
            part = _resized(part, inverse, size, how)
        else:
            flags = how | cv2.WARP_INVERSE_MAP
            part = cv2.warpAffine(part, inverse[:2], size[::-1], flags=flags)
        parts.append(part[..., None] if part.ndim == 2 else part)
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts, -1)
    return torch.from_numpy(np.ascontiguousarray(joined)).permute(2, 0, 1)


def _resized(part: np.ndarray, inverse: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    """What a scale, flip and shift makes of (H, W) or (H, W, C): (*size), zeros outside the source.

    OpenCV resizes several times faster than it warps. The window of the source that fills the
    result is rounded to whole pixels, which moves a random crop by at most half a pixel.
    """
    spans = [_span(inverse[a, a], inverse[a, 2], size[1 - a], part.shape[1 - a]) for a in (0, 1)]
    if None in spans:
        return np.zeros((*size, *part.shape[2:]), part.dtype)
    (x0, x1, left, right), (y0, y1, top, bottom) = spans
    part = part[y0:y1, x0:x1]
    inside = (right - left, bottom - top)
    if part.shape[1::-1] != inside:
        shrinks = how == cv2.INTER_LINEAR and part.shape[0] > 1.5 * inside[1]
        part = cv2.resize(part, inside, interpolation=cv2.INTER_AREA if shrinks else how)
    upside, sideways = inverse[1, 1] < 0, inverse[0, 0] < 0
    if upside or sideways:  # OpenCV flips many times faster than a reversed view is copied
        part = cv2.flip(part, -1 if upside and sideways else int(sideways))
    edges = (top, size[0] - bottom, left, size[1] - right)
    return cv2.copyMakeBorder(part, *edges, cv2.BORDER_CONSTANT, value=0) if any(edges) else part


def _span(scale: float, move: float, length: int, source: int) -> tuple[int, int, int, int] | None:
    """Along one axis: which pixels of the source fill which pixels of the result; None for none.

    Args:
        scale, move: pixel x of the result is pixel scale * x + move of the source.
        length, source: pixels of the result and of the source.

    Returns:
        first and end in the source, first and end in the result.
    """
    ends = (round(scale * -0.5 + move + 0.5), round(scale * (length - 0.5) + move + 0.5))
    low, high = min(ends), max(*ends, min(ends) + 1)
    first, end = max(low, 0), min(high, source)
    if first >= end:
        return None
    unit = length / (high - low)
    begin, stop = round((first - low) * unit), round((end - low) * unit)
    stop = max(stop, begin + 1)
    return (first, end, begin, stop) if scale > 0 else (first, end, length - stop, length - begin)
