"""Milliseconds of a training sample, step by step: ours against plain OpenCV, measured alternately.

    python benchmarks/sample_pipeline.py --data coco --root FOLDER [--samples 200] [--json OUT]

The plain version is what one writes without this package: one label map per photograph, then each
step of the published augmentation by a call of its own (resize, flip, turn, shift and rotate, pad,
crop, two color tables), then the target and its clicks. Both draw the same random numbers in the
same order, so sample number i of one is sample number i of the other, up to interpolation: the
benchmark says how well their targets agree. One thread, medians.

| step | what it is |
| --- | --- |
| decode | the photograph's file becomes pixels |
| masks | every object's annotation becomes pixels, all packed together |
| crop | the geometric part of the augmentation, photograph and masks |
| color | brightness, contrast, shifts of the channels |
| target | areas counted, an object chosen (sometimes two), target and other objects |
| clicks | the start set |
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from simpleclick_lite.clicks import Click
from simpleclick_lite.data import Records, Scene, open_scenes
from simpleclick_lite.data.augmentation import pipeline
from simpleclick_lite.data.cache import cache_scene
from simpleclick_lite.data.sampling import SamplingConfig, draw_sample
from simpleclick_lite.files import write_json
from simpleclick_lite.simulation import start_clicks

STEPS = ("decode", "masks", "crop", "color", "target", "clicks")
CONFIGS = {  # the published settings at 448 pixels; empty crops only cost both the same
    "cocolvis": SamplingConfig("cocolvis", background=0.0, stuff=0.3),
    "sbd": SamplingConfig("sbd", min_area=80, background=0.0, stuff=0.0),
}
RESULT = Path(__file__).parent / "results" / "sample_pipeline.json"


class Clock:
    """Adds up the seconds that each step of one sample takes."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STEPS, 0.0)
        self.last = time.perf_counter()

    def step(self, name: str) -> None:
        """All time since the last call belongs to this step."""
        now = time.perf_counter()
        self.seconds[name] += now - self.last
        self.last = now


def ours(scene: Scene, config: SamplingConfig, rng: np.random.Generator, clock: Clock):
    """A sample by this package: (target, clicks), or None."""
    geometry, colors = pipeline(config.augmentation, config.image_size).transforms
    hooks = [  # what runs before and between the two counts as choosing the target
        geometry.register_forward_pre_hook(lambda *_: clock.step("target")),
        geometry.register_forward_hook(lambda *_: clock.step("crop")),
        colors.register_forward_hook(lambda *_: clock.step("color")),
    ]
    clock.last = time.perf_counter()  # hooks are the benchmark's own work
    try:
        _ = scene.image
        clock.step("decode")
        cached = cache_scene(scene)
        clock.step("masks")
        made = draw_sample(cached, config, rng)
        clock.step("target")
    finally:
        for hook in hooks:
            hook.remove()
    if made is None:
        return None
    _, target, others = made
    clicks = start_clicks(target, others, rng, config.max_clicks, config.gamma)
    clock.step("clicks")
    return target, clicks


def plain(scene: Scene, config: SamplingConfig, rng: np.random.Generator, clock: Clock):
    """The same sample step by step in OpenCV; arguments and result as in `ours`."""
    image = scene.image
    clock.step("decode")
    labels = np.zeros(image.shape[:2], np.int16)
    for k in range(len(scene)):
        labels[scene.mask(k)] = k + 1
    clock.step("masks")
    kinds = {"thing"} | ({"stuff"} if rng.random() < config.stuff else set())
    rng.random()  # parts
    able = [k for k in range(len(scene)) if scene.kinds[k] in kinds and (labels == k + 1).any()]
    for _ in range(10):
        wanted = int(rng.choice(able)) if able else None
        clock.step("target")
        picture, crop = plain_geometry(image, labels, config, rng)
        clock.step("crop")
        plain_colors(picture, rng)
        clock.step("color")
        areas = np.bincount(crop.ravel(), minlength=len(scene) + 1)[1:]
        visible = [k for k in able if areas[k] >= config.min_area]
        if not visible:
            rng.random()  # background
            continue
        chosen = [wanted if wanted in visible else int(rng.choice(visible))]
        if len(visible) > 1 and rng.random() < config.merge:
            chosen.append(int(rng.choice([k for k in visible if k != chosen[0]])))
        target = np.isin(crop, np.add(chosen, 1)).astype(np.int8)
        others = (crop > 0) & (target == 0)
        clock.step("target")
        clicks = plain_clicks(target, others, rng, config)
        clock.step("clicks")
        return target, clicks
    clock.step("target")
    return None


def plain_geometry(image, labels, config: SamplingConfig, rng: np.random.Generator):
    """Resize, flip, turn, shift and rotate, pad, crop: one call each."""
    sbd, side = config.augmentation == "sbd", config.image_size
    scale = rng.uniform(0.75, 1.25 if sbd else 1.40)
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    flips = rng.random() < 0.5
    code = (0, 1, -1)[int(rng.integers(3))] if sbd else 1
    if flips:
        image, labels = cv2.flip(image, code), cv2.flip(labels, code)
    if sbd:
        turns = int(rng.integers(4)) * (rng.random() < 0.5)  # drawn in another order than ours
        if turns:
            code = cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE
            image, labels = (cv2.rotate(a, code[turns - 1]) for a in (image, labels))
        applies, angle = rng.random() < 0.75, rng.uniform(-3, 3)
        across, down = rng.uniform(-0.03, 0.03, 2)
        if applies:
            height, width = labels.shape
            matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
            matrix[:, 2] += across * width, down * height
            image = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
            labels = cv2.warpAffine(labels, matrix, (width, height), flags=cv2.INTER_NEAREST)
    more = [max(0, side - s) for s in labels.shape]
    if any(more):
        edges = (more[0] // 2, more[0] - more[0] // 2, more[1] // 2, more[1] - more[1] // 2)
        image, labels = (
            cv2.copyMakeBorder(a, *edges, cv2.BORDER_CONSTANT, value=0) for a in (image, labels)
        )
    top = int(rng.integers(labels.shape[0] - side + 1))
    left = int(rng.integers(labels.shape[1] - side + 1))
    window = (slice(top, top + side), slice(left, left + side))
    return image[window].copy(), labels[window].copy()


def plain_colors(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two tables, looked up one after the other."""
    values = np.arange(256, dtype=np.float32)
    applies = rng.random() < 0.75
    factor, more = 1 + rng.uniform(-0.15, 0.4), 255 * rng.uniform(-0.25, 0.25)
    if applies:
        image = cv2.LUT(image, np.clip(values * factor + more, 0, 255).astype(np.uint8))
    applies, shifts = rng.random() < 0.75, rng.uniform(-10, 10, 3)
    if applies:
        table = np.clip(values[:, None] + shifts, 0, 255).astype(np.uint8)
        image = cv2.LUT(image, table[:, None])
    return image


def plain_clicks(target, others, rng: np.random.Generator, config: SamplingConfig) -> list[Click]:
    """Eroded object, ring around it, other objects."""
    weights = config.gamma ** np.arange(config.max_clicks + 1)
    positive, background = target == 1, target == 0
    inside = positive
    if rng.random() < 0.9:
        small = cv2.erode(target.view(np.uint8), np.ones((3, 3), np.uint8), iterations=3) > 0
        inside = small if small.sum() > 10 else positive
    found = []

    def draw(region: np.ndarray, sign: bool) -> None:
        pixels = np.flatnonzero(region)
        y, x = divmod(int(pixels[rng.integers(len(pixels))]), region.shape[1])
        found.append(Click(float(x), float(y), sign))

    count = rng.choice(len(weights) - 1, p=weights[:-1] / weights[:-1].sum())
    for _ in range(1 + count):
        draw(inside, True)
    count = rng.choice(len(weights), p=weights / weights.sum())
    if not count or not background.any():
        return found
    width = int(np.ceil(0.1 * np.sqrt(positive.sum())))
    grown = cv2.dilate(target.view(np.uint8), np.ones((3, 3), np.uint8), iterations=width) > 0
    border = grown & background
    choices = [border if border.any() else background, others if others.any() else background]
    for kind in rng.choice(3, size=count, p=[0.5, 0.4, 0.1]):
        draw([*choices, background][kind], False)
    return found


def compare(scenes: Records[Scene], name: str, count: int) -> dict:
    """Medians of `count` samples, and how far the two versions agree."""
    config = CONFIGS[name]
    seconds: dict[str, list[dict]] = {"ours": [], "plain": []}
    overlaps = []
    for index in range(count + 5):  # five to warm up
        number = int(np.random.default_rng((0, index)).integers(len(scenes)))
        targets = []
        ways = (("ours", ours), ("plain", plain))
        for key, make in ways if index % 2 else ways[::-1]:
            clock = Clock()
            made = make(scenes[number], config, np.random.default_rng((1, index)), clock)
            targets.append(made and made[0] == 1)
            if index >= 5:
                seconds[key].append(clock.seconds)
        if None not in [t if t is None else 1 for t in targets]:
            one, other = targets
            overlaps.append((one & other).sum() / max(1, (one | other).sum()))
    rows = {
        key: {s: round(1e3 * float(np.median([v[s] for v in values])), 3) for s in STEPS}
        | {"all": round(1e3 * float(np.median([sum(v.values()) for v in values])), 3)}
        for key, values in seconds.items()
    }
    ratios = [
        sum(b.values()) / sum(a.values())
        for a, b in zip(seconds["ours"], seconds["plain"], strict=True)
    ]
    return {
        "milliseconds": rows,
        "plain_over_ours": round(float(np.median(ratios)), 2),
        "median_overlap_of_targets": round(float(np.median(overlaps)), 3),
    }


def main() -> None:
    """Measure both recipes, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="photos")
    parser.add_argument("--root", type=Path, default=None)
    parser.add_argument("--split", default=None)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--json", type=Path, default=RESULT)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    scenes = open_scenes(args.data, args.root, args.split)
    results = {name: compare(scenes, name, args.samples) for name in CONFIGS}
    for name, result in results.items():
        print(f"{name}, milliseconds (median of {args.samples})")
        print(f"{'':8}" + "".join(f"{s:>9}" for s in (*STEPS, "all")))
        for key, row in result["milliseconds"].items():
            print(f"{key:8}" + "".join(f"{v:9.2f}" for v in row.values()))
        print(f"plain / ours {result['plain_over_ours']}", end="; ")
        print(f"targets agree to IoU {result['median_overlap_of_targets']} (median)")
    shown = sys.argv[1:]
    if args.root is not None:
        shown = [a if a != str(args.root) else "FOLDER" for a in shown]
    write_json(
        args.json,
        {
            "command": shlex.join(["python", "benchmarks/sample_pipeline.py", *shown]),
            "data": f"{args.data}, {len(scenes)} photographs",
            "settings": {n: f"published, {c.image_size} pixels" for n, c in CONFIGS.items()},
            "samples": args.samples,
            "machine": f"1 core, {platform.machine()}, OpenCV {cv2.__version__}",
            "results": results,
        },
    )


if __name__ == "__main__":
    main()
