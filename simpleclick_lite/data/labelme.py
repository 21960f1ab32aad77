"""labelme's JSON: one file per image, a list of shapes.

A polygon, rectangle, circle or mask is an object. Shapes with one label and one group number are
one object together; points, lines and strips are left out.
"""

from __future__ import annotations

import base64
import functools
from pathlib import Path

import cv2
import numpy as np

from ..errors import InputError
from .base import Scene
from .coco import read_json
from .layout import PICTURES, Pair, check_image_size, not_empty
from .records import Records

AREAS = ("polygon", "rectangle", "circle", "mask")
_SHIFT = 4  # fractional bits of coordinates


def _groups(content: dict, path: Path) -> list[tuple[str, list[dict]]]:
    """(name, shapes) of every object, in the file's order."""
    groups: dict[object, list[dict]] = {}
    for number, shape in enumerate(content["shapes"]):
        if shape.get("shape_type", "polygon") not in AREAS:
            continue
        group = shape.get("group_id")
        key = number if group is None else (str(shape.get("label")), group)
        groups.setdefault(key, []).append(shape)
    return [
        (f"{shapes[0].get('label', 'object')}{i}", shapes)
        for i, shapes in enumerate(groups.values())
    ]


def draw_shape(shape: dict, height: int, width: int) -> np.ndarray:
    """One shape as (height, width) bool.

    Raises:
        InputError: too few points, or points that are no numbers.
    """
    kind = shape.get("shape_type", "polygon")
    points = np.asarray(shape["points"], dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InputError(f"a {kind} has points of shape {points.shape}")
    if len(points) < {"polygon": 3}.get(kind, 2):
        raise InputError(f"a {kind} has only {len(points)} points")
    mask = np.zeros((height, width), np.uint8)
    if kind == "mask":
        x, y = np.round(points.min(axis=0)).astype(int)
        stamp = cv2.imdecode(np.frombuffer(base64.b64decode(shape["mask"]), np.uint8), 0)
        if stamp is None or x < 0 or y < 0:
            raise InputError("a mask cannot be decoded")
        window = mask[y : y + stamp.shape[0], x : x + stamp.shape[1]]
        window[:] = stamp[: window.shape[0], : window.shape[1]] > 0
        return mask.astype(bool)
    # labelme's (0, 0) is the corner of the first pixel, OpenCV's is its center
    fixed = np.round((points - 0.5) * 2**_SHIFT).astype(np.int64)
    fixed = np.clip(fixed, -(2**20), 2**20).astype(np.int32)
    if kind == "rectangle":
        (x0, y0), (x1, y1) = fixed[:2]
        fixed = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.int32)
    if kind == "circle":
        radius = int(np.hypot(*(fixed[1] - fixed[0])))
        cv2.circle(mask, fixed[0].tolist(), radius, 1, -1, cv2.LINE_8, _SHIFT)
    else:
        cv2.fillPoly(mask, [fixed], 1, cv2.LINE_8, _SHIFT)
    return mask.astype(bool)


class _LabelmeMasks:
    """The objects of one file."""

    def __init__(self, path: Path):
        self.path = path
        content = read_json(path)
        try:
            self.size = (int(content["imageHeight"]), int(content["imageWidth"]))
            groups = _groups(content, path)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"annotation {path} is no labelme file: {error!r}") from error
        self.names = [name for name, _ in groups]
        self.groups = [shapes for _, shapes in groups]

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> np.ndarray:
        try:
            return np.any([draw_shape(shape, *self.size) for shape in self.groups[index]], axis=0)
        except Exception as error:
            raise InputError(
                f"annotation {self.path}: object {self.names[index]} cannot be drawn: "
                f"{error or type(error).__name__}"
            ) from error


def _scene(pair: Pair) -> Scene:
    image_path, json_path = pair.both()
    masks = _LabelmeMasks(json_path)
    image = functools.partial(check_image_size, image_path, masks.size, json_path)
    return Scene(pair.name, image, masks)


def is_labelme(path: Path) -> bool:
    """Whether a JSON file looks like one of labelme's, by its beginning and end."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
            file.seek(max(0, path.stat().st_size - 4096))
            tail = file.read()
    except OSError:
        return False
    return b'"shapes"' in head or b'"imageWidth"' in tail


def open_labelme(name: str, root: Path, files: list[Path]) -> Records[Scene]:
    """Scenes of labelme files; each one's image lies beside it, in images/, or where it says."""
    pairs = [Pair(path.stem, _image_of(path, root), path, path.parent) for path in files]
    return not_empty(Records(name, pairs, _scene, origin=root))


def _image_of(path: Path, root: Path) -> Path | None:
    for folder in (path.parent, root / "images"):
        for suffix in PICTURES:
            for way in (path.with_suffix(suffix).name, path.with_suffix(suffix.upper()).name):
                if (folder / way).is_file():
                    return folder / way
    try:
        named = str(read_json(path).get("imagePath") or "").replace("\\", "/")
    except InputError:
        return None
    return path.parent / named if named and (path.parent / named).is_file() else None
