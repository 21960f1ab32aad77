"""What an export folder holds, so that one export after the other, or of two tools, fits together.

Used by export.py (notebooks/13_click_tool.ipynb). COCO's files and YOLO's list of classes speak of
all images at once, also of those that this export does not know. So a small file beside them,
`.index.json`, keeps for each image its objects and its files: the common files are written from
that, and a file that no longer holds (an object got another name, or is gone) is removed. Nothing
else in the folder is touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .files import atomic_path
from .polygons import join

NAME = ".index.json"
COMMON = ("coco", "yolo")  # formats of which some files speak of all images


@dataclass
class Entry:
    """One image.

    Attributes:
        key: beginning of its file names.
        file: the image, as the exported files name it.
        size: (H, W).
        objects: dicts of id, name, segmentation (run lengths), polygons, bbox, area; None: not
            asked for in this export.
        files: what was written for it, relative to the folder.
    """

    key: str
    file: str
    size: tuple[int, int]
    objects: list[dict[str, Any]] | None = None
    files: list[str] = field(default_factory=list)


def update(
    folder: Path, entries: Iterable[Entry], formats: Iterable[str], emptied: Iterable[str] = ()
) -> list[Path]:
    """Take over what was just written, remove what no longer holds, write the common files.

    Args:
        folder: of the export; the caller keeps other writers away.
        entries: the images just written.
        formats: in which formats that was; files of other formats stay as they are.
        emptied: keys of images that have no object any more.

    Returns:
        the common files.
    """
    formats = set(formats)
    index = read(folder)
    for key in emptied:
        _remove(folder, index.pop(key, {}).get("files", []))
    for entry in entries:
        before = index.get(entry.key, {"objects": [], "files": []})
        kept = [f for f in before["files"] if f not in entry.files]
        stale = [f for f in kept if f.split("/")[0] in formats]
        _remove(folder, stale)
        index[entry.key] = {
            "file": entry.file,
            "size": list(entry.size),
            "objects": before["objects"] if entry.objects is None else entry.objects,
            "files": entry.files + [f for f in kept if f not in stale],
        }
    classes = [o["name"] for item in index.values() for o in item["objects"]]
    classes = list(dict.fromkeys(classes))
    files = []
    if "coco" in formats:
        files += _write_coco(folder, index, classes)
    if "yolo" in formats:
        for key, item in index.items():
            if item["objects"] or f"yolo/{key}.txt" in item["files"]:
                replace_text(folder / "yolo" / f"{key}.txt", _yolo(item, classes))
        text = "".join(f"{name}\n" for name in classes)
        files.append(replace_text(folder / "yolo" / "classes.txt", text))
    replace_text(folder / NAME, json.dumps(index, separators=(",", ":")) + "\n")
    return files


def read(folder: Path) -> dict[str, Any]:
    """Key -> what is known of an image; empty where nothing was exported, or not by us."""
    try:
        index = json.loads((folder / NAME).read_text(encoding="utf-8"))
        for item in index.values():
            _ = item["file"], item["size"], item["objects"], item["files"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return index


def replace_text(path: Path, text: str) -> Path:
    """Replace a file by this text, unless it holds it already."""
    try:
        if path.read_text(encoding="utf-8") == text:
            return path
    except (OSError, ValueError):
        pass
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _remove(folder: Path, files: Iterable[str]) -> None:
    for file in files:
        (folder / file).unlink(missing_ok=True)


def _write_coco(folder: Path, index: dict[str, Any], classes: list[str]) -> list[Path]:
    images, exact, outlines = [], [], []
    for number, item in enumerate(index.values(), 1):
        height, width = item["size"]
        size = {"width": width, "height": height}
        images.append({"id": number, "file_name": item["file"]} | size)
        for target in item["objects"]:
            common = {
                "id": len(exact) + 1,
                "image_id": number,
                "category_id": classes.index(target["name"]) + 1,
                "bbox": target["bbox"],
                "area": target["area"],
                "iscrowd": 0,
            }
            exact.append(common | {"segmentation": target["segmentation"]})
            outlines.append(common | {"segmentation": target["polygons"]})
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(classes)]
    return [
        replace_text(
            folder / name,
            json.dumps({"images": images, "annotations": found, "categories": categories}) + "\n",
        )
        for name, found in (("coco.json", exact), ("coco_polygons.json", outlines))
    ]


def _yolo(item: dict[str, Any], classes: list[str]) -> str:
    """One line per object; its parts are joined, because YOLO takes each line for an object."""
    lines = []
    for target in item["objects"]:
        rings = [np.array(ring, float).reshape(-1, 2) for ring in target["polygons"]]
        points = join(rings) / (item["size"][1], item["size"][0])
        numbers = " ".join(f"{v:.6f}" for v in points.ravel())
        lines.append(f"{classes.index(target['name'])} {numbers}\n")
    return "".join(lines)
