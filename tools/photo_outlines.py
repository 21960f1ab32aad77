"""Outlines of the embedded data set `photos`: from hand-drawn corners to the stored rings.

Every object of simpleclick_lite/data/photos/*.json keeps what was drawn by hand (`drawn`), how it
was refined (`method`), and the result (`rings`), which is all that the package reads.

    python tools/photo_outlines.py build           recompute every `rings`
    python tools/photo_outlines.py check           fail if a stored ring is not what build gives
    python tools/photo_outlines.py sheet OUT.jpg   draw the contact sheet
    python tools/photo_outlines.py redraws         IoU of the five objects that were drawn twice

Methods, per object:
    curve   true: the corners are joined by a smooth curve (a corner given twice stays sharp),
            false: by straight lines.
    band    pixels by which the outline may move, along its normal, to the strongest edge nearby; 0
            keeps it as drawn. This is the intelligent-scissors idea confined to a band around the
            drawing: a closed path of least cost, where an edge is cheap and a jump is dear.
    sign    +1 only edges that are brighter inside, -1 only darker inside, 0 any edge (in color).
    floor   edges weaker than this (Lab units per pixel) do not attract; default 2.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from simpleclick_lite.data.photos import (
    load_scene,
    object_names,
    outline_mask,
    photo,
    photo_names,
    photo_of,
    redraw_ious,
)

FOLDER = Path(__file__).resolve().parent.parent / "simpleclick_lite" / "data" / "photos"


def densify(ring: np.ndarray, curve: bool, step: float = 1.0) -> np.ndarray:
    """(N, 2) corners -> (M, 2) points about `step` pixels apart on the closed outline."""
    corners, sharp = [], []
    for point in np.asarray(ring, float):
        if corners and np.allclose(corners[-1], point):
            sharp[-1] = True
        else:
            corners.append(point)
            sharp.append(not curve)
    p = np.array(corners)
    count = len(p)
    chord = np.linalg.norm(np.roll(p, -1, 0) - p, axis=1)
    out = []
    for i in range(count):
        j, before, after = (i + 1) % count, (i - 1) % count, (i + 2) % count
        d = chord[i]
        secant = (p[j] - p[i]) / d
        t0 = secant if sharp[i] else _tangent(p[before], p[i], p[j], chord[before], d)
        t1 = secant if sharp[j] else _tangent(p[i], p[j], p[after], d, chord[j])
        u = np.arange(0, 1, 1 / max(1, int(np.ceil(d / step))))[:, None]
        h = (
            (2 * u**3 - 3 * u**2 + 1) * p[i]
            + (u**3 - 2 * u**2 + u) * d * t0
            + (-2 * u**3 + 3 * u**2) * p[j]
            + (u**3 - u**2) * d * t1
        )
        out.append(h)
    return np.concatenate(out)


def _tangent(a, b, c, d0: float, d1: float) -> np.ndarray:
    """Slope at b of the parabola through a, b, c, where d0 and d1 are the chord lengths."""
    return ((b - a) / d0 * d1 + (c - b) / d1 * d0) / (d0 + d1)


def snap(
    lab: np.ndarray, points: np.ndarray, band: float, sign: int = 0, floor: float = 2.0
) -> np.ndarray:
    """Move a closed outline to the edges within `band` pixels of it.

    Args:
        lab: (H, W, 3) float32, the photograph in CIE Lab, slightly blurred.
        points: (M, 2) xy, about one pixel apart.
        band: largest distance along the normal, pixels.
        sign: see the module's text.
        floor: see the module's text.

    Returns:
        (M, 2) xy.
    """
    ahead = np.roll(points, -2, 0) - np.roll(points, 2, 0)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    normal = np.stack([ahead[:, 1], -ahead[:, 0]], 1)
    area = np.sum(
        points[:, 0] * np.roll(points[:, 1], -1) - np.roll(points[:, 0], -1) * points[:, 1]
    )
    if area < 0:  # make every normal point outwards
        normal = -normal
    offsets = np.arange(-band, band + 1e-9, 0.5)
    at = points[:, None] + offsets[None, :, None] * normal[:, None]
    half = 0.75 * normal[:, None]

    def sample(xy: np.ndarray) -> np.ndarray:
        yx = [xy[..., 1].ravel(), xy[..., 0].ravel()]
        channels = [map_coordinates(lab[..., c], yx, order=1, mode="nearest") for c in range(3)]
        return np.stack(channels, -1).reshape(*xy.shape[:2], 3)

    step = (sample(at - half) - sample(at + half)) / 1.5  # inside minus outside
    edge = np.linalg.norm(step, axis=-1) if sign == 0 else np.maximum(sign * step[..., 0], 0)
    edge = np.maximum(edge - floor, 0)
    edge = edge / (edge + 6.0)  # a strong edge is not much better than a clear one
    cost = -edge + 0.12 * (offsets / band) ** 2
    return points + _closed_path(cost, offsets)[:, None] * normal


def _closed_path(cost: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Offsets (M,) of the closed path of least cost through an (M, K) table."""
    count, width = cost.shape
    jump = 0.35 * (offsets[:, None] - offsets[None, :]) ** 2
    jump[np.abs(offsets[:, None] - offsets[None, :]) > 1.01] = 1e6
    twice = np.concatenate([cost, cost, cost])
    best, back = twice[0].copy(), np.zeros((3 * count, width), int)
    for i in range(1, 3 * count):  # three rounds; the middle one is periodic
        total = best[:, None] + jump
        back[i] = total.argmin(0)
        best = total.min(0) + twice[i]
    k = int(best.argmin())
    path = np.zeros(3 * count, int)
    for i in range(3 * count - 1, -1, -1):
        path[i] = k
        k = back[i, k]
    return offsets[path[count : 2 * count]]


def simplify(points: np.ndarray, tolerance: float = 0.3) -> list[list[float]]:
    """Drop points that the outline does not need (Douglas-Peucker), round to 0.1 pixel."""
    far = int(np.argmax(np.linalg.norm(points - points[0], axis=1)))
    keep = []
    for part in (points[: far + 1], np.concatenate([points[far:], points[:1]])):
        thin = cv2.approxPolyDP(part.astype(np.float32)[:, None], tolerance, False)[:, 0]
        keep.append(thin[:-1])
    rounded = [[round(float(x), 1), round(float(y), 1)] for x, y in np.concatenate(keep)]
    return [p for i, p in enumerate(rounded) if p != rounded[i - 1]]


def lab_of(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W, 3) float32 Lab, blurred with sigma 0.7."""
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return cv2.GaussianBlur(lab, (0, 0), 0.7)


def rings_of(item: dict, lab: np.ndarray) -> list[list[list[float]]]:
    """The rings that `drawn` and `method` of one object lead to."""
    method = item.get("method", {})
    rings = []
    for ring in item["drawn"]:
        points = densify(ring, method.get("curve", False))
        if method.get("band", 0):
            points = snap(
                lab, points, method["band"], method.get("sign", 0), method.get("floor", 2.0)
            )
        rings.append(simplify(points))
    return rings


def dump(data: dict, path: Path) -> None:
    """Write one photograph's file: one line per ring, so that a diff shows what moved."""
    marks: dict[str, str] = {}

    def pack(value: object) -> object:
        if isinstance(value, list) and value and isinstance(value[0], list):
            if value[0] and not isinstance(value[0][0], list):
                key = f"@{len(marks)}@"
                marks[f'"{key}"'] = json.dumps(value, separators=(",", ":"))
                return key
            return [pack(v) for v in value]
        if isinstance(value, list):
            return [pack(v) for v in value]
        if isinstance(value, dict):
            return {k: pack(v) for k, v in value.items()}
        return value

    text = json.dumps(pack(data), indent=1)
    for key, value in marks.items():
        text = text.replace(key, value, 1)
    path.write_text(text + "\n", encoding="utf-8")


def files() -> list[Path]:
    """The data files, in the order of the photographs."""
    return [FOLDER / f"{name}.json" for name in photo_names()]


def build(write: bool) -> int:
    """Recompute rings; returns how many objects changed by more than a few pixels."""
    changed = 0
    for path in files():
        data = json.loads(path.read_text(encoding="utf-8"))
        image = photo(data["photo"])
        lab = lab_of(image)
        for item in [*data["objects"], *data.get("redraws", [])]:
            rings = rings_of(item, lab)
            new, old = (outline_mask(r, image.shape[:2]) for r in (rings, item.get("rings", [])))
            if np.count_nonzero(new != old) > 0.002 * np.count_nonzero(new):
                print(
                    f"{data['photo']}/{item['name']}: {np.count_nonzero(new != old)} pixels differ"
                )
                changed += 1
            item["rings"] = rings
        if write:
            dump(data, path)
    return changed


COLORS = [(255, 230, 0), (0, 255, 255), (255, 90, 255), (120, 255, 60)]
COLORS += [(255, 150, 40), (110, 170, 255), (255, 255, 255), (255, 120, 120)]


def sheet(out: Path, width: int = 400, columns: int = 4) -> None:
    """Draw every photograph with its masks' outlines and their names into one picture."""
    cells = [_tile(name, width) for name in photo_names()]
    rows = []
    for start in range(0, len(cells), columns):
        row = cells[start : start + columns]
        tall = max(len(cell) for cell in row)
        row += [np.full((1, row[0].shape[1], 3), 255, np.uint8)] * (columns - len(row))
        rows.append(
            np.hstack([np.pad(c, ((tall - len(c), 0), (0, 0), (0, 0)), "edge") for c in row])
        )
    picture = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(out), picture, [cv2.IMWRITE_JPEG_QUALITY, 75])
    print(f"{out}: {out.stat().st_size // 1000} KB")


def _tile(name: str, width: int) -> np.ndarray:
    """One photograph of the contact sheet, `width` pixels wide, above the names of its objects."""
    scene = load_scene(name)
    names = [full.split("/")[1] for full in object_names() if photo_of(full) == name]
    scale = width / scene.image.shape[1]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(scene.image, None, fx=scale, fy=scale, interpolation=how)
    for color, thick in ((None, 3), (COLORS, 1)):  # a dark line below each colored one
        for k in range(len(scene)):
            mask = cv2.resize(
                scene.mask(k).astype(np.float32), small.shape[1::-1], interpolation=how
            )
            shape = (mask > 0.5).astype(np.uint8)
            rings, _ = cv2.findContours(shape, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(small, rings, -1, color[k % 8] if color else (0, 0, 0), thick, 16)
    lines = 1 + -(-len(names) // 4)
    text = np.full((14 * lines + 8, width, 3), 255, np.uint8)
    put = {"fontFace": cv2.FONT_HERSHEY_SIMPLEX, "fontScale": 0.38, "lineType": cv2.LINE_AA}
    cv2.putText(text, name, (2, 12), color=(0, 0, 0), **put)
    for k, word in enumerate(names):
        dark = tuple(int(0.55 * c) for c in COLORS[k % 8])
        at = (2 + (k % 4) * width // 4, 12 + 14 * (k // 4 + 1))
        cv2.putText(text, word, at, color=dark, **put)
    return np.pad(np.vstack([small, text]), ((6, 0), (0, 8), (0, 0)), constant_values=255)


def main() -> None:
    parser = argparse.ArgumentParser(description="outlines of the embedded photographs")
    parser.add_argument("command", choices=["build", "check", "sheet", "redraws"])
    parser.add_argument("out", nargs="?", type=Path)
    args = parser.parse_args()
    if args.command == "build":
        print(f"{build(write=True)} objects changed")
    elif args.command == "check":
        raise SystemExit(1 if build(write=False) else 0)
    elif args.command == "redraws":
        for name, iou in redraw_ious().items():
            print(f"{name:32s} IoU {iou:.3f}")
    else:
        if args.out is None:
            parser.error("sheet needs the name of the file to write, for example sheet.jpg")
        sheet(args.out)


if __name__ == "__main__":
    main()
