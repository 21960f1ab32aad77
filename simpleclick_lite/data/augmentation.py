"""Augmentation of training scenes: torchvision v2 transforms on tv_tensors.

Explained in notebooks/09_training.ipynb. Two habits differ from torchvision's own transforms, so
all of these are subclasses of ours:

- Randomness comes from a `numpy.random.Generator` that travels with the sample, under the key
  "rng". The same sample is then the same everywhere, whatever ran before it in the process.
- A geometric transform says which matrix it is. `Geometry` multiplies the matrices of a chain and
  resamples once: one interpolation instead of three, and no pixel is computed that the crop throws
  away.

A sample is a dict: {"image": Image (3, H, W) uint8, "layers": Mask (L, H, W) uint8, "rng": …}, and
may hold a "box": BoundingBoxes (1, 4) of the object that the crop should show.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from ..errors import InputError

MAX_CHANNELS = 4  # of one call of OpenCV's warp


class Keyed(v2.Transform):
    """A transform whose randomness is the sample's own: the numpy Generator under "rng"."""

    def draw(self, rng: np.random.Generator, size: tuple[int, int], box: np.ndarray | None) -> dict:
        """Choose the parameters for one sample.

        Args:
            rng: the sample's source of randomness.
            size: (H, W) of the sample before this transform.
            box: x0, y0, x1, y1 of the wanted object, or None.
        """
        raise NotImplementedError

    def forward(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Draw once, then transform every entry of the sample."""
        size = (sample["image"].shape[-2], sample["image"].shape[-1])
        box = sample["box"].numpy().reshape(4) if "box" in sample else None
        params = self.draw(sample["rng"], size, box)
        return {key: self.transform(value, params) for key, value in sample.items()}

    def probably(self, rng: np.random.Generator, p: float) -> bool:
        """True with probability p; always draws, so that the stream does not depend on p."""
        return bool(rng.random() < p)


def shift(x: float, y: float) -> np.ndarray:
    """The (3, 3) matrix that moves by x to the right and y down."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def stretch(x: float, y: float) -> np.ndarray:
    """The (3, 3) matrix that scales pixel areas: the corner of the image, (-0.5, -0.5), stays."""
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1.0]])


class Geometric(Keyed):
    """A transform that is a matrix: pixel (x, y, 1) of the sample -> pixel of the result."""

    def place(
        self, rng: np.random.Generator, size: tuple[int, int], box: np.ndarray | None
    ) -> tuple[np.ndarray, tuple[int, int]]:
        """Choose the matrix (3, 3) and the (H, W) of the result; arguments as in `draw`."""
        raise NotImplementedError

    def draw(self, rng: np.random.Generator, size: tuple[int, int], box: np.ndarray | None) -> dict:
        """The matrix and the new size."""
        matrix, new_size = self.place(rng, size, box)
        return {"matrix": matrix, "inverse": np.linalg.inv(matrix), "size": new_size}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resample images bilinearly and masks to the nearest pixel, zeros outside; move boxes."""
        inverse, size = params["inverse"], params["size"]
        if isinstance(inpt, tv_tensors.Image):
            return tv_tensors.Image(_warp(inpt, inverse, size, cv2.INTER_LINEAR))
        if isinstance(inpt, tv_tensors.Mask):
            return tv_tensors.Mask(_warp(inpt, inverse, size, cv2.INTER_NEAREST))
        if isinstance(inpt, tv_tensors.BoundingBoxes):
            moved = move_box(inpt.numpy().reshape(4), params["matrix"])
            return tv_tensors.BoundingBoxes(moved[None], format="XYXY", canvas_size=size)
        return inpt


def move_box(box: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The box around a moved box; x0, y0, x1, y1 are pixel borders (x1 and y1 not included)."""
    x0, y0, x1, y1 = box - 0.5
    corners = np.array([[x0, y0, 1], [x1, y0, 1], [x0, y1, 1], [x1, y1, 1]]) @ matrix[:2].T + 0.5
    return np.concatenate([corners.min(0), corners.max(0)])


def _warp(x: torch.Tensor, inverse: np.ndarray, size: tuple[int, int], how: int) -> torch.Tensor:
    """(C, H, W) -> (C, *size), memory stays channels-last; `inverse` leads back to the source."""
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


class Geometry(Geometric):
    """A chain of geometric transforms, resampled once.

    Args:
        steps: applied in this order.
    """

    def __init__(self, *steps: Geometric):
        super().__init__()
        self.steps = torch.nn.ModuleList(steps)

    def place(self, rng, size, box):
        """The product of all matrices."""
        total = np.eye(3)
        for step in self.steps:
            moved = None if box is None else move_box(box, total)
            matrix, size = step.place(rng, size, moved)
            total = matrix @ total
        return total, size


class UniformScale(Geometric):
    """One random scale for both axes, uniform between `low` and `high`."""

    def __init__(self, low: float, high: float):
        super().__init__()
        self.low, self.high = low, high

    def place(self, rng, size, box):
        """Height and width are rounded to whole pixels."""
        scale = rng.uniform(self.low, self.high)
        new = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        return stretch(new[1] / size[1], new[0] / size[0]), new


class HorizontalFlip(Geometric):
    """Left and right swapped with probability `p`."""

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def place(self, rng, size, box):
        """x becomes W - 1 - x."""
        matrix = np.eye(3)
        if self.probably(rng, self.p):
            matrix = np.array([[-1, 0, size[1] - 1], [0, 1, 0], [0, 0, 1.0]])
        return matrix, size


class AnyFlip(Geometric):
    """With probability `p` one of: upside down, left and right swapped, both; equally likely."""

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def place(self, rng, size, box):
        """A diagonal of signs."""
        flips = self.probably(rng, self.p)
        kind = int(rng.integers(3))
        x, y = ((1, -1), (-1, 1), (-1, -1))[kind] if flips else (1, 1)
        across, down = (size[1] - 1 if x < 0 else 0), (size[0] - 1 if y < 0 else 0)
        return np.array([[x, 0, across], [0, y, down], [0, 0, 1.0]]), size


class QuarterTurns(Geometric):
    """With probability `p` 0 to 3 quarter turns, equally likely."""

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def place(self, rng, size, box):
        """Counterclockwise, as numpy.rot90."""
        turns = int(rng.integers(4)) * self.probably(rng, self.p)
        matrix = np.eye(3)
        for _ in range(turns):
            turn = np.array([[0, 1, 0], [-1, 0, size[1] - 1], [0, 0, 1.0]])
            matrix, size = turn @ matrix, size[::-1]
        return matrix, size


class ShiftRotate(Geometric):
    """With probability `p` a small shift and rotation around the centre; zeros come in."""

    def __init__(self, shift_limit: float = 0.03, rotate_limit: float = 3.0, p: float = 0.75):
        super().__init__()
        self.shift_limit, self.rotate_limit, self.p = shift_limit, rotate_limit, p

    def place(self, rng, size, box):
        """Shift as a share of the sides, angle in degrees."""
        applies = self.probably(rng, self.p)
        angle = math.radians(rng.uniform(-self.rotate_limit, self.rotate_limit))
        across, down = rng.uniform(-self.shift_limit, self.shift_limit, 2)
        if not applies:
            return np.eye(3), size
        height, width = size
        c, s = math.cos(angle), math.sin(angle)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
        x, y = (width - 1) / 2, (height - 1) / 2
        return shift(x + across * width, y + down * height) @ turn @ shift(-x, -y), size


class PadIfNeeded(Geometric):
    """Zeros around a sample that is smaller than `side`, which stays in the middle."""

    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def place(self, rng, size, box):
        """An odd pixel goes to the right and the bottom."""
        more = [max(0, self.side - s) for s in size]
        return shift(more[1] // 2, more[0] // 2), (size[0] + more[0], size[1] + more[1])


class RandomCrop(Geometric):
    """A square of `side` pixels, anywhere inside."""

    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def place(self, rng, size, box):
        """Needs a sample at least as large as the square."""
        top = int(rng.integers(max(0, size[0] - self.side) + 1))
        left = int(rng.integers(max(0, size[1] - self.side) + 1))
        return shift(-left, -top), (self.side, self.side)


class ZoomCrop(Geometric):
    """A crop like those that the predictor shows the network, resized to a square.

    At the first click the predictor shows the whole image, later a box around the object, both
    without keeping the aspect. So does this: the whole image or most of it, or a box that holds the
    wanted object and up to three times its size.

    Args:
        side: of the square in pixels.
        whole: probability of the whole image or most of it.
    """

    def __init__(self, side: int, whole: float = 0.4):
        super().__init__()
        self.side, self.whole = side, whole

    def place(self, rng, size, box):
        """The box begins and ends at pixel borders."""
        height, width = size
        if self.probably(rng, self.whole) or box is None:
            share = rng.uniform(0.7, 1.0) if self.probably(rng, 0.5) else 1.0
            w, h = share * width, share * height
            x0, y0 = rng.uniform(0, width - w), rng.uniform(0, height - h)
        else:
            left, top, right, bottom = box
            factor = math.exp(rng.uniform(math.log(1.1), math.log(3.0)))
            w, h = (right - left) * factor, (bottom - top) * factor
            least = max(self.side / 2, max(w, h) * rng.uniform(0.4, 1.0))
            w, h = min(max(w, least), width), min(max(h, least), height)
            # the object stays inside, anywhere
            x0 = (left + right - w) / 2 + rng.uniform(-0.5, 0.5) * abs(w - (right - left))
            y0 = (top + bottom - h) / 2 + rng.uniform(-0.5, 0.5) * abs(h - (bottom - top))
            x0, y0 = min(max(x0, 0), width - w), min(max(y0, 0), height - h)
        x0, y0 = int(x0), int(y0)
        x1 = min(width, max(x0 + 2, round(x0 + w)))
        y1 = min(height, max(y0 + 2, round(y0 + h)))
        scale = stretch(self.side / (x1 - x0), self.side / (y1 - y0))
        return scale @ shift(-x0, -y0), (self.side, self.side)


class SquareResize(Geometric):
    """The whole image as a square of `side` pixels, nothing random."""

    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def place(self, rng, size, box):
        """The aspect is not kept."""
        return stretch(self.side / size[1], self.side / size[0]), (self.side, self.side)


class Color(Keyed):
    """A transform that makes x * factor + offset of each channel, limited to 0 … 255."""

    def line(self, rng: np.random.Generator) -> tuple[float, np.ndarray | float]:
        """Choose the factor, above 0, and the offset, one for all channels or (3,)."""
        raise NotImplementedError

    def draw(self, rng, size, box):
        """Factor and offset, and the limits of what comes out, each (3,)."""
        return _limited_line([self.line(rng)])

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Every pixel, rounded once."""
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        matrix = np.column_stack([np.diag(params["factor"]), params["offset"]])
        made = cv2.transform(inpt.permute(1, 2, 0).numpy(), matrix)
        low, high = (np.rint(limit) for limit in params["limits"])
        made = cv2.max(made, (*low, 0)) if low.any() else made
        made = cv2.min(made, (*high, 255)) if (high < 255).any() else made
        return tv_tensors.Image(torch.from_numpy(made).permute(2, 0, 1))


class Colors(Color):
    """A chain of color transforms, computed at once: two limited lines make a limited line."""

    def __init__(self, *steps: Color):
        super().__init__()
        self.steps = torch.nn.ModuleList(steps)

    def draw(self, rng, size, box):
        """One after the other; each limits what the next one gets."""
        return _limited_line(step.line(rng) for step in self.steps)


def _limited_line(lines: Iterable[tuple[float, np.ndarray | float]]) -> dict[str, np.ndarray]:
    """What lines, each limited to 0 … 255, are one after the other."""
    factor, offset = np.ones(3), np.zeros(3)
    limits = np.array([[0.0] * 3, [255.0] * 3])
    for by, more in lines:
        factor, offset = factor * by, offset * by + more
        limits = np.clip(limits * by + more, 0, 255)
    return {"factor": factor, "offset": offset, "limits": limits}


class BrightnessContrast(Color):
    """With probability `p`: times 1 + contrast, plus brightness as a share of 255.

    torchvision's ColorJitter multiplies brightness and takes contrast around the mean; the
    published recipe adds brightness and takes contrast around zero.
    """

    def __init__(
        self,
        brightness: tuple[float, float] = (-0.25, 0.25),
        contrast: tuple[float, float] = (-0.15, 0.4),
        p: float = 0.75,
    ):
        super().__init__()
        self.brightness, self.contrast, self.p = brightness, contrast, p

    def line(self, rng):
        """Both limits are uniform."""
        applies = self.probably(rng, self.p)
        factor, more = 1 + rng.uniform(*self.contrast), 255 * rng.uniform(*self.brightness)
        return (factor, more) if applies else (1.0, 0.0)


class RGBShift(Color):
    """With probability `p` a uniform shift of each channel by up to `limit` of 255."""

    def __init__(self, limit: float = 10, p: float = 0.75):
        super().__init__()
        self.limit, self.p = limit, p

    def line(self, rng):
        """One real number per channel."""
        applies = self.probably(rng, self.p)
        more = rng.uniform(-self.limit, self.limit, 3)
        return 1.0, more if applies else 0.0


class Gray(Keyed):
    """With probability `p` a photograph without color."""

    def __init__(self, p: float = 0.05):
        super().__init__()
        self.p = p

    def draw(self, rng, size, box):
        """Whether."""
        return {"gray": self.probably(rng, self.p)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Three equal channels."""
        if not (params["gray"] and isinstance(inpt, tv_tensors.Image)):
            return inpt
        array = np.ascontiguousarray(inpt.permute(1, 2, 0).numpy())
        gray = cv2.cvtColor(cv2.cvtColor(array, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return tv_tensors.Image(torch.from_numpy(gray).permute(2, 0, 1))


class Blur(Keyed):
    """With probability `p` a Gaussian blur of up to `most` pixels, as out of focus.

    Args:
        p: the probability.
        most: largest standard deviation in pixels of the sample.
    """

    def __init__(self, p: float = 0.2, most: float = 2.0):
        super().__init__()
        self.p, self.most = p, most

    def draw(self, rng, size, box):
        """The standard deviation, 0 for none."""
        applies = self.probably(rng, self.p)
        return {"sigma": rng.uniform(0.15, 1.0) * self.most * applies}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Masks stay sharp."""
        if not (params["sigma"] and isinstance(inpt, tv_tensors.Image)):
            return inpt
        array = np.ascontiguousarray(inpt.permute(1, 2, 0).numpy())
        made = cv2.GaussianBlur(array, (0, 0), params["sigma"])
        return tv_tensors.Image(torch.from_numpy(made).permute(2, 0, 1))


class Jpeg(Keyed):
    """With probability `p` saved as JPEG and read again.

    Args:
        p: the probability.
        quality: lowest and highest quality, of 100.
    """

    def __init__(self, p: float = 0.3, quality: tuple[int, int] = (25, 90)):
        super().__init__()
        self.p, self.quality = p, quality

    def draw(self, rng, size, box):
        """The quality, 0 for none."""
        applies = self.probably(rng, self.p)
        return {"quality": int(rng.integers(self.quality[0], self.quality[1] + 1)) * applies}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Masks stay as they are."""
        if not (params["quality"] and isinstance(inpt, tv_tensors.Image)):
            return inpt
        # OpenCV takes BGR, and JPEG weighs red and blue differently
        array = np.ascontiguousarray(inpt.permute(1, 2, 0).numpy()[..., ::-1])
        _, data = cv2.imencode(".jpg", array, [cv2.IMWRITE_JPEG_QUALITY, params["quality"]])
        made = np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
        return tv_tensors.Image(torch.from_numpy(made).permute(2, 0, 1))


def _published_colors() -> Colors:
    return Colors(BrightnessContrast(), RGBShift())


@functools.lru_cache(maxsize=32)
def pipeline(name: str, side: int) -> v2.Transform:
    """The augmentation of a recipe.

    Args:
        name: "sbd" and "cocolvis" as published; "zoom", crops as the predictor makes them; "none",
            the whole image resized.
        side: of the square result in pixels.

    Raises:
        InputError: another name.
    """
    crop = (PadIfNeeded(side), RandomCrop(side))
    if name == "sbd":
        moves = (UniformScale(0.75, 1.25), AnyFlip(), QuarterTurns(), ShiftRotate(), *crop)
        return v2.Compose([Geometry(*moves), _published_colors()])
    if name == "cocolvis":
        moves = (UniformScale(0.75, 1.40), HorizontalFlip(), *crop)
        return v2.Compose([Geometry(*moves), _published_colors()])
    if name == "zoom":
        return v2.Compose([Geometry(ZoomCrop(side), HorizontalFlip()), _published_colors(), Gray()])
    if name == "none":
        return SquareResize(side)
    raise InputError(f"augmentation {name!r} is not one of sbd, cocolvis, zoom, none")


def worn(image: np.ndarray, blur: float, jpeg: float, rng: np.random.Generator) -> np.ndarray:
    """The image as a worse camera or a smaller file would show it.

    Args:
        image: (H, W, 3) uint8 RGB.
        blur, jpeg: probability of a blur, and of JPEG's traces after it.
        rng: source of randomness; nothing is drawn for a probability of 0.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    sample = {"image": tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1)), "rng": rng}
    for step in [Blur(blur)] * bool(blur) + [Jpeg(jpeg)] * bool(jpeg):
        sample = step(sample)
    return np.ascontiguousarray(sample["image"].permute(1, 2, 0).numpy())
