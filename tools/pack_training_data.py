"""Shrink the photographs that the shipped weights are trained on, to carry them to another machine.

    python tools/pack_training_data.py DATA OUT [--short-side 250] [--quality 60]

DATA holds the folders COCO_MVal, coco_mini, BSDS_regions, CCP, pets and nuclei; OUT gets the same
folders with smaller pictures, under the same names, so that

    simpleclick-lite train --preset shipped_gpu --root OUT --out runs/shipped_gpu

reads it as it reads DATA. Masks are resized without mixing labels, COCO's outlines are scaled. What
is there already is kept: an interrupted run goes on; with other settings it is refused. Crops of
448 pixels from photographs this small are enlarged ones: carry as much as the way allows.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from simpleclick_lite.files import atomic_path, write_json

# folder -> where photographs are, where label maps are
SETS = {
    "COCO_MVal": ("img", "gt"),
    "BSDS_regions": ("img", "seg"),
    "CCP": ("img", "labels"),
    "pets": ("img", "trimaps"),
    "nuclei": ("img", "seg"),
}
COCO = "coco_mini"
COCO_FOLDERS = ("train2017", "val2017", "annotations")
SETTINGS = "packed.json"  # in OUT: how its pictures were made
PICTURES = {".jpg", ".jpeg", ".png", ".tif", ".bmp"}


def resized(image: np.ndarray, short_side: int, labels: bool) -> np.ndarray:
    """The picture with its shorter side at most `short_side`.

    Args:
        image: (H, W) or (H, W, C).
        short_side: pixels.
        labels: take the nearest value instead of a mean.
    """
    height, width = image.shape[:2]
    scale = min(1.0, short_side / min(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_NEAREST if labels else cv2.INTER_AREA
    return image if scale == 1 else cv2.resize(image, size, interpolation=how)


def pack_picture(source: Path, target: Path, short_side: int, quality: int, labels: bool) -> None:
    """Write one smaller picture under the same name.

    Raises:
        SystemExit: it cannot be read.
    """
    if target.exists():
        return
    image = cv2.imdecode(np.fromfile(source, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SystemExit(f"error: {source} is not a picture that OpenCV reads")
    jpeg = not labels and source.suffix.lower() in (".jpg", ".jpeg")
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if jpeg else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    small = resized(image, short_side, labels)
    _, data = cv2.imencode(source.suffix, small, options)
    with atomic_path(target) as temporary:
        temporary.write_bytes(data.tobytes())


def scale_coco(data: dict, short_side: int) -> dict:
    """Annotations for photographs that `resized` made smaller; crowds (RLE) are left out.

    Args:
        data: an `instances_*.json`.
        short_side: as given to `resized`.
    """
    scales = {}
    images = []
    for image in data["images"]:
        width, height = image["width"], image["height"]
        scale = min(1.0, short_side / min(width, height))
        new = (max(1, round(width * scale)), max(1, round(height * scale)))
        scales[image["id"]] = (new[0] / width, new[1] / height)
        images.append(
            {k: image[k] for k in ("id", "file_name")}
            | dict(zip(("width", "height"), new, strict=True))
        )
    annotations = []
    for row in data["annotations"]:
        if not isinstance(row["segmentation"], list):
            continue
        x, y = scales[row["image_id"]]
        outlines = [
            [round(v * (y if i % 2 else x), 1) for i, v in enumerate(outline)]
            for outline in row["segmentation"]
        ]
        box = [round(v * (y if i % 2 else x), 1) for i, v in enumerate(row["bbox"])]
        annotations.append(
            row | {"segmentation": outlines, "bbox": box, "area": row["area"] * x * y}
        )
    return {"images": images, "annotations": annotations, "categories": data["categories"]}


def check(data: Path, out: Path, settings: dict[str, int]) -> None:
    """Whether all sets are there, and `out` is a place for them.

    Args:
        data: folder of the sets.
        out: folder for the packed ones.
        settings: how pictures are made.

    Raises:
        SystemExit: a folder or the annotations are missing, `out` is inside `data`, or holds
            pictures made with other settings.
    """
    folders = [data / name / folder for name, pair in SETS.items() for folder in pair]
    for folder in [*folders, *(data / COCO / name for name in COCO_FOLDERS)]:
        if not folder.is_dir():
            raise SystemExit(f"error: {data} lacks the folder {folder.relative_to(data)}")
    if not any((data / COCO / "annotations").glob("instances_*.json")):
        raise SystemExit(f"error: {data / COCO / 'annotations'} holds no instances_*.json")
    inside = [data / name for name in [*SETS, COCO]]
    if any(out.resolve().is_relative_to(folder.resolve()) for folder in inside) or (
        out.resolve() == data.resolve()
    ):
        raise SystemExit(f"error: {out} is the data itself; choose another folder for the copy")
    found = out / SETTINGS
    if found.exists():
        before = json.loads(found.read_text(encoding="utf-8"))
        if before != settings:
            raise SystemExit(f"error: {out} was packed with {before}; remove it or choose another")
    elif any((out / name).exists() for name in [*SETS, COCO]):
        raise SystemExit(f"error: {out} holds data of unknown settings; choose another folder")


def pack(data: Path, out: Path, short_side: int, quality: int) -> int:
    """Pack all sets.

    Args:
        data: folder of the sets.
        out: folder for the packed ones.
        short_side: most pixels of a picture's shorter side.
        quality: of JPEG files.

    Returns:
        bytes of the packed folder.

    Raises:
        SystemExit: as `check`, or a picture cannot be read.
    """
    settings = {"short_side": short_side, "quality": quality}
    check(data, out, settings)
    write_json(out / SETTINGS, settings)
    work = []
    for name, (pictures, maps) in SETS.items():
        for folder, labels in ((pictures, False), (maps, True)):
            files = sorted((data / name / folder).iterdir())
            work += [(f, out / name / folder / f.name, labels) for f in files]
    for folder in ("train2017", "val2017"):
        files = sorted((data / COCO / folder).iterdir())
        work += [(f, out / COCO / folder / f.name, False) for f in files]
    for source, target, labels in tqdm(work, unit="file"):
        if source.suffix.lower() in PICTURES:
            pack_picture(source, target, short_side, quality, labels)
    for source in sorted((data / COCO / "annotations").glob("instances_*.json")):
        text = json.dumps(scale_coco(json.loads(source.read_text(encoding="utf-8")), short_side))
        with atomic_path(out / COCO / "annotations" / source.name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return sum(os.path.getsize(f) for f in out.rglob("*") if f.is_file())


def main() -> None:
    """Read the arguments, pack, say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--short-side", type=int, default=250, help="pixels")
    parser.add_argument("--quality", type=int, default=60, help="of the JPEG files")
    args = parser.parse_args()
    size = pack(args.data, args.out, args.short_side, args.quality)
    print(f"{args.out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
