"""Endless training scenes without a download: drawn objects on drawn grounds, with exact masks.

Scene i is a function of (split, seed, size, i) and of nothing else. The scenes are made so that a
model has to look for borders rather than colors: surfaces with patterns, shading across an object,
objects whose surface is almost the ground's, parts with different surfaces, holes, shadows that are
nobody's border. Surfaces are in `textures.py`, outlines in `shapes.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from numbers import Integral

import cv2
import numpy as np

from ..errors import InputError
from .base import Sample, Scene
from .light import cast_shadow, lighten, photograph
from .records import Records
from .shapes import SHAPES, random_shape
from .textures import Style, blend, paint, random_style, scale, similar_style

ENDLESS = 2**31  # length of a data set that has no end
STREAMS = {"train": 0, "val": 1}  # scenes of one split never occur in the other
LEAST_AREA = 0.002  # of the picture; what shows less of itself is no object
SAMPLE_AREA = 0.008  # of the picture; the least that a benchmark asks for


class _Names(Sequence):
    """The names of endless scenes, made when asked for."""

    def __init__(self, length: int):
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index):
        number = range(self.length)[index]
        if isinstance(index, slice):
            return [f"synthetic_{i:06d}" for i in number]
        return f"synthetic_{number:06d}"


class SyntheticScenes(Records[Scene]):
    """Drawn scenes, `scenes[i]`; the same (split, seed, size, i) gives the same scene everywhere.

    Args:
        size: side of the square pictures in pixels, at least 32.
        seed: another seed gives other scenes.
        length: how many; None for (practically) endless.
        split: "train" or "val".

    Raises:
        InputError: an argument outside its range.
    """

    def __init__(
        self, size: int = 224, seed: int = 0, length: int | None = None, split: str = "train"
    ):
        numbers = {"size": size, "seed": seed, "length": 1 if length is None else length}
        for name, value in numbers.items():
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise InputError(f"{name} of synthetic must be a whole number, not {value!r}")
        if size < 32:
            raise InputError(f"synthetic scenes need a size of at least 32 pixels, not {size}")
        if seed < 0 or (length is not None and length < 1):
            raise InputError(f"seed must be >= 0 and length >= 1, not {seed} and {length}")
        if split not in STREAMS:
            raise InputError(f"synthetic has no split {split!r}; it has train, val")
        length = ENDLESS if length is None else length
        load = functools.partial(draw_scene, size=size, seed=seed, split=split)
        super().__init__("synthetic", range(length), load, _Names(length))


def scenes(
    split: str | None = None, seed: int = 0, length: int | None = None, size: int = 224
) -> SyntheticScenes:
    """Training scenes, as `open_scenes("synthetic")` gives them."""
    return SyntheticScenes(size, seed, length, split or "train")


def samples(
    split: str | None = None, seed: int = 0, length: int = 100, size: int = 224
) -> Records[Sample]:
    """One object of each of `length` held-out scenes, as `open_dataset("synthetic")` gives them."""
    source = SyntheticScenes(size, seed, length, split or "val")
    load = functools.partial(_pick, source=source, seed=seed)
    return Records("synthetic", source.records, load, source.names)


def _pick(index: int, source: SyntheticScenes, seed: int) -> Sample:
    """The object of scene `index` that the benchmark asks for."""
    scene = source[index]
    areas = [_area(mask) for mask in scene.masks]
    things = [i for i, kind in enumerate(scene.kinds) if kind == "thing"]
    able = [i for i in things if areas[i] >= SAMPLE_AREA] or [max(things, key=lambda i: areas[i])]
    chosen = able[np.random.default_rng((seed, index)).integers(0, len(able))]
    return Sample(scene.image, scene.masks[chosen].astype(np.int8), scene.name)


def _area(mask: np.ndarray) -> float:
    """Share of the picture that a mask covers."""
    return np.count_nonzero(mask) / mask.size


def draw_scene(index: int, size: int = 224, seed: int = 0, split: str = "train") -> Scene:
    """Draw scene number `index`: (size, size) pixels, at least one object of kind "thing"."""
    rng = np.random.default_rng((seed, STREAMS[split], index))
    while True:
        image, masks, kinds, parents = _compose(rng, size)
        if any(k == "thing" and _area(m) >= SAMPLE_AREA for k, m in zip(kinds, masks, strict=True)):
            return Scene(_Names(ENDLESS)[index], image, np.stack(masks), kinds, parents)


def _compose(rng: np.random.Generator, size: int):
    """Ground, objects back to front, light, camera. Returns image, masks, kinds, parents."""
    canvas, masks, kinds, grounds = _ground(rng, size)
    parents = [-1] * len(masks)
    count = int(rng.choice((1, 2, 3, 4, 6, 9), p=(0.18, 0.22, 0.22, 0.18, 0.12, 0.08)))
    family, style = None, None
    if count > 2 and rng.random() < 0.35:  # many of a kind, close together
        family = list(SHAPES)[rng.integers(0, len(SHAPES))]
        style = random_style(rng)
        middle, spread = rng.uniform(0.3, 0.7, 2) * size, rng.uniform(0.1, 0.25) * size
        common = np.exp(rng.uniform(np.log(0.08), np.log(0.25))) * size
    for _ in range(count):
        if family is None:
            center = rng.uniform(0.08, 0.92, 2) * size
            radius = np.exp(rng.uniform(np.log(0.08), np.log(0.5))) * size
            surface = random_style(rng)
            if rng.random() < 0.4:  # hardly different from what lies behind it
                nearest = grounds[rng.integers(0, len(grounds))]
                surface = similar_style(rng, nearest, rng.uniform(6, 30))
        else:
            center = middle + rng.normal(0, 1, 2) * spread
            radius = common * rng.uniform(0.8, 1.25)
            surface = similar_style(rng, style, rng.uniform(0, 25))
        parts = random_shape(rng, size, center, radius, family)
        _add_object(rng, canvas, parts, surface, masks, kinds, parents)
    keep = [i for i, mask in enumerate(masks) if _area(mask) >= LEAST_AREA]
    place = {old: new for new, old in enumerate(keep)}
    # a part whose object hides almost everywhere, or that is all one sees of it, is no part
    keep_parents = [place.get(parents[i], -1) for i in keep]
    image = photograph(rng, lighten(rng, canvas))
    return image, [masks[i] for i in keep], [kinds[i] for i in keep], keep_parents


def _ground(rng: np.random.Generator, size: int):
    """The backdrop: one surface, or two that meet along a line or a wild border."""
    grounds = [random_style(rng)]
    canvas = paint(grounds[0], size, size)
    if rng.random() >= 0.55:
        return canvas, [], [], grounds
    if rng.random() < 0.5:  # a horizon, a wall
        y, x = np.ogrid[:size, :size]
        turn = rng.normal(0, 0.3)
        height = (y - size * rng.uniform(0.25, 0.75)) * np.cos(turn) + (x - size / 2) * np.sin(turn)
    else:
        cells = rng.standard_normal((int(rng.integers(3, 7)),) * 2, dtype=np.float32)
        height = cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC) * size * 0.1
    cover = np.clip(height + 0.5, 0, 1)
    grounds.append(random_style(rng))
    canvas = blend(canvas, paint(grounds[1], size, size), cover.astype(np.float32))
    if rng.random() < 0.3:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(1, 4) * size / 224)
    upper = cover < 0.5
    return canvas, [upper, ~upper], ["stuff", "stuff"], grounds


def _divide(rng: np.random.Generator, cover: np.ndarray, box: tuple[int, int, int, int]):
    """Cut a shape in two: across, along a band, or a patch inside it. Returns the second part."""
    x, y, width, height = box
    size = cover.shape[0]
    center = np.array([x + width * rng.uniform(0.3, 0.7), y + height * rng.uniform(0.3, 0.7)])
    radius = max(width, height) / 2
    if rng.random() < 0.4:
        other = random_shape(rng, size, center, radius * rng.uniform(0.35, 0.8))[0]
        return np.minimum(cover, other)
    turn = rng.uniform(0, 2 * np.pi)
    yy, xx = np.ogrid[:size, :size]
    along = (xx - center[0]) * np.cos(turn) + (yy - center[1]) * np.sin(turn)
    if rng.random() < 0.5:
        along = radius * rng.uniform(0.1, 0.35) - np.abs(along)
    return np.minimum(cover, np.clip(along * 255 + 127, 0, 255).astype(np.uint8))


def _add_object(
    rng: np.random.Generator,
    canvas: np.ndarray,
    parts: list[np.ndarray],
    style: Style,
    masks: list[np.ndarray],
    kinds: list[str],
    parents: list[int],
) -> None:
    """Draw one object over the canvas and take what it hides from the objects behind it."""
    cover = functools.reduce(np.maximum, parts)
    if rng.random() < 0.08:  # something bites a piece out of it
        bite = random_shape(rng, cover.shape[0], *_spot(rng, cover))[0]
        parts = [np.minimum(part, 255 - bite) for part in parts]
        cover = functools.reduce(np.maximum, parts)
    box = cv2.boundingRect((cover > 127).astype(np.uint8))
    if box[2] * box[3] == 0:
        return
    if len(parts) == 1 and rng.random() < 0.35:
        parts = [cover, _divide(rng, cover, box)]
    if rng.random() < 0.4:
        cast_shadow(rng, canvas, cover, box)
    several = len(parts) > 1 and rng.random() < 0.75
    surface = _surface(rng, parts, style, box, several)
    x, y, width, height = box
    window = (slice(y, y + height), slice(x, x + width))
    canvas[window] = blend(canvas[window], surface, cover[window].astype(np.float32) / 255)

    mask = cover > 127
    for i, behind in enumerate(masks):
        masks[i] = behind & ~mask
    whole = len(masks)
    masks.append(mask)
    kinds.append("thing")
    parents.append(-1)
    if several:
        free = mask
        for part in reversed(parts):  # the last part lies on top
            piece = (part > 127) & free
            free = free & ~piece
            masks.append(piece)
            kinds.append("part")
            parents.append(whole)


def _spot(rng: np.random.Generator, cover: np.ndarray) -> tuple[np.ndarray, float]:
    """A point on the object's box and a radius that suits a bite."""
    x, y, width, height = cv2.boundingRect(cover)
    center = np.array([x, y]) + rng.uniform(0, 1, 2) * (width, height)
    return center, max(width, height, 4) * rng.uniform(0.1, 0.3)


def _surface(rng, parts, style: Style, box: tuple[int, int, int, int], several: bool) -> np.ndarray:
    """Paint the parts and shade the whole. Returns (height, width, 3) float32 for the box."""
    x, y, width, height = box
    window = (slice(y, y + height), slice(x, x + width))
    surface = paint(style, height, width)
    for part in parts[1:] if several else ():
        other = random_style(rng)
        if rng.random() < 0.5:
            other = similar_style(rng, style, rng.uniform(10, 60))
        px, py, w, h = cv2.boundingRect(part[window])
        if w * h:
            inner = (slice(py, py + h), slice(px, px + w))
            weight = part[window][inner].astype(np.float32) / 255
            surface[inner] = blend(surface[inner], paint(other, h, w), weight)
    if rng.random() < 0.7:  # light from one side
        yy = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        xx = np.linspace(-1, 1, width, dtype=np.float32)
        dx, dy = rng.normal(0, 0.22, 2)
        shade = 1 + dx * xx + dy * yy
        if rng.random() < 0.5:  # and a round body: darker, or lighter, towards the border
            cover = functools.reduce(np.maximum, parts)[window].astype(np.float32) / 255
            side = max(3, int(0.4 * min(height, width)) | 1)
            inner = cv2.blur(cover, (side, side), borderType=cv2.BORDER_CONSTANT)
            shade += rng.uniform(-0.2, 0.7) * (inner - 0.7)
        scale(surface, np.maximum(shade, 0.1))
    if rng.random() < 0.1:  # a gloss
        spot = (rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height)
        yy, xx = np.ogrid[:height, :width]
        reach = (rng.uniform(0.05, 0.2) * max(height, width)) ** 2
        far = ((xx - spot[0]) ** 2 + (yy - spot[1]) ** 2) / reach
        surface += (rng.uniform(40, 160) * np.exp(-far)).astype(np.float32)[..., None]
    return surface
