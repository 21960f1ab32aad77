"""Small copies of every data set, in the format it is released in."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from simpleclick_lite.files import write_png

SIZE = (40, 56)  # height, width of most pictures


def picture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W, 3) uint8 noise, smooth enough for a JPEG."""
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return cv2.blur(noise, (5, 5))


def jpeg(path: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    """Write a photograph."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, picture(seed, size))[1].tobytes())


def labels(seed: int, count: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W) uint8 with `count` rectangles numbered from 1 that do not touch each other."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros(size, np.uint8)
    width = size[1] // count
    for i in range(count):
        top, left = int(rng.integers(1, size[0] // 3)), i * width + 1
        canvas[top : top + size[0] // 2, left : left + width - 2] = i + 1
    return canvas


def palette_png(path: Path, array: np.ndarray) -> None:
    """Write a PNG with a palette, as Pascal VOC and DAVIS do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array.astype(np.uint8)).convert("P")
    image.putdata(array.ravel().tolist())
    image.putpalette([v for i in range(256) for v in ((i * 128) % 256, (i * 64) % 256, i)])
    image.save(path)


def grabcut(root: Path) -> Path:
    for i, suffix in enumerate((".jpg", ".bmp", ".png", ".jpg")):
        jpeg(root / "data_GT" / f"photo{i}{suffix}", i)
        mask = (labels(i, 1) * 255).astype(np.uint8)
        mask[:3] = 128
        path = root / "boundary_GT" / f"photo{i}{'.bmp' if i % 2 else '.png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix, mask)[1].tobytes())
    return root


def berkeley(root: Path) -> Path:
    for i in range(3):
        jpeg(root / "images" / f"{1000 + i}.jpg", i)
    for i, stem in enumerate(("1000", "1001", "1001a", "1002")):
        mask = labels(i, 1) * 255
        write_png(root / "masks" / f"{stem}.png", np.repeat(mask[..., None], 3, axis=2))
    return root


def davis(root: Path) -> Path:
    for i in range(3):
        jpeg(root / "img" / f"{i:03d}.jpg", i)
        palette_png(root / "gt" / f"{i:03d}.png", labels(i, i + 1))
    return root


def pascal_voc(root: Path) -> Path:
    names = [f"2007_{i:06d}" for i in range(4)]
    for i, name in enumerate(names):
        jpeg(root / "JPEGImages" / f"{name}.jpg", i)
        array = labels(i, 1 + i % 3)
        array[0] = 255
        palette_png(root / "SegmentationObject" / f"{name}.png", array)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("\n".join(names[:3]) + "\n", encoding="utf-8")
    (lists / "train.txt").write_text(names[3] + "\n", encoding="utf-8")
    return root


def instance_mat(path: Path, array: np.ndarray) -> None:
    """Write SBD's struct GTinst."""
    from scipy.io import savemat

    path.parent.mkdir(parents=True, exist_ok=True)
    count = int(array.max())
    boundaries = np.empty((count, 1), object)
    boundaries[:] = [[np.zeros(array.shape, np.uint8)]] * count
    struct = {
        "Segmentation": array,
        "Boundaries": boundaries,
        "Categories": np.ones((count, 1), np.uint8),
    }
    savemat(path, {"GTinst": struct}, do_compression=True)


def sbd(root: Path) -> Path:
    names = [f"2008_{i:06d}" for i in range(4)]
    for i, name in enumerate(names):
        jpeg(root / "img" / f"{name}.jpg", i)
        array = labels(i, 2)
        if i == 3:  # an object of two far pixels fills next to nothing of its box
            array[array == 2] = 0
            array[0, 0] = array[-1, -1] = 2
        instance_mat(root / "inst" / f"{name}.mat", array)
    (root / "train.txt").write_text("\n".join(names[2:]) + "\n", encoding="utf-8")
    (root / "val.txt").write_text("\n".join(names[:2]) + "\n", encoding="utf-8")
    return root


def run_lengths(mask: np.ndarray) -> list[int]:
    """Uncompressed RLE of (H, W) bool: column by column, starting with zeros."""
    flat = mask.T.ravel().astype(np.int8)
    edges = np.flatnonzero(np.diff(flat, prepend=0))
    return np.diff([0, *edges.tolist(), mask.size]).tolist()


def coco_content(count: int = 3) -> dict:
    """A COCO file: per image a polygon, an RLE, a compressed RLE, a crowd and a tiny object."""
    from pycocotools import mask as coco_mask

    height, width = SIZE
    images, annotations = [], []
    for i in range(count):
        images.append(
            {"id": 10 + i, "file_name": f"{i:012d}.jpg", "height": height, "width": width}
        )
        array = labels(i, 4)
        ways = [
            [[2.0, 3.0, 20.0, 3.0, 20.0, 30.0, 2.0, 30.0]],
            {"size": [height, width], "counts": run_lengths(array == 2)},
            coco_mask.encode(np.asfortranarray((array == 3).astype(np.uint8))),
            {"size": [height, width], "counts": run_lengths(array == 4)},
            [[1.0, 1.0, 3.0, 1.0, 3.0, 3.0]],
        ]
        ways[2] = {"size": [height, width], "counts": ways[2]["counts"].decode("ascii")}
        for j, way in enumerate(ways):
            annotations.append(
                {
                    "id": 100 * i + j,
                    "image_id": 10 + i,
                    "category_id": 1,
                    "segmentation": way,
                    "area": 4.0 if j == 4 else 300.0,
                    "iscrowd": int(j == 3),
                    "bbox": [0, 0, width, height],
                }
            )
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "thing"}],
    }


def coco(root: Path, split: str = "val2017") -> Path:
    content = coco_content()
    for i, entry in enumerate(content["images"]):
        jpeg(root / split / entry["file_name"], i)
    path = root / "annotations" / f"instances_{split}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return root


def coco_lvis(root: Path) -> Path:
    """The released files of a training split, LVIS and COCO, and the index built from them."""
    from simpleclick_lite.data.coco_lvis import FOLDER, build_index, find_sources

    coco(root, "train2017")
    content = coco_content()
    for entry in content["images"]:  # LVIS tells folder and file in one address
        name = entry.pop("file_name")
        entry["coco_url"] = f"http://images.cocodataset.org/train2017/{name}"
    kept = (0, 2)  # LVIS has some of COCO's objects, and others that COCO lacks
    content["annotations"] = [a for a in content["annotations"] if a["id"] % 100 in kept]
    path = root / "annotations" / "lvis_v1_train.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    build_index(root / FOLDER / "train", find_sources(root, "train"), progress=False)
    return root


def sstem(root: Path) -> Path:
    for i in range(2):
        jpeg(root / "raw" / f"{i:02d}.tif", i)
        write_png(root / "mitochondria" / f"{i:02d}.png", (labels(i, 3) > 0).astype(np.uint8) * 255)
    return root


def brats(root: Path) -> Path:
    for i in range(3):
        jpeg(root / "image" / f"{i:03d}.png", i)
        write_png(root / "annotation" / f"{i:03d}.png", labels(i, 3))
    return root


def oaizib(root: Path) -> Path:
    for i in range(2):
        jpeg(root / "test" / "image" / f"{i:03d}.png", i)
        write_png(root / "test" / "annotations" / f"{i:03d}.png", labels(i, 2))
    return root


def nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    """Write a volume."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)


def volume(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (float32) and labels (uint8), (20, 24, 6); slice 4 shows most."""
    rng = np.random.default_rng(seed)
    voxels = rng.uniform(0, 900, (20, 24, 6)).astype(np.float32)
    marks = np.zeros((20, 24, 6), np.uint8)
    marks[4:9, 5:9, 2] = 1
    marks[4:12, 5:9, 4] = 1
    marks[4:12, 12:20, 4] = 2
    return voxels, marks


def volumes(root: Path) -> Path:
    for i in range(2):
        voxels, marks = volume(i)
        nifti(root / "images" / f"case{i}.nii.gz", voxels)
        nifti(root / "labels" / f"case{i}.nii.gz", marks)
    return root


def coco_mval(root: Path) -> Path:
    for stem in ("cat00_000000000007", "dog00_000000000007", "cat01_000000000009"):
        jpeg(root / "img" / f"{stem}.jpg", int(stem[-1]))
        write_png(root / "gt" / f"{stem}.png", labels(len(stem), 1) * 255)
    return root


def bsds_regions(root: Path) -> Path:
    for stem in ("100", "200"):
        jpeg(root / "img" / f"{stem}.jpg", int(stem))
        for k in range(2):
            array = labels(k, 2).astype(np.uint16) + 1
            write_png(root / "seg" / f"{stem}_{k}.png", array)
    return root


def ccp(root: Path) -> Path:
    for i in range(2):
        jpeg(root / "img" / f"{i:04d}.jpg", i)
        write_png(root / "labels" / f"{i:04d}.png", labels(i, 3) * 7)
    return root


def pets(root: Path) -> Path:
    for i in range(2):
        jpeg(root / "img" / f"pug_{i}.jpg", i)
        array = np.full(SIZE, 2, np.uint8)
        array[5:30, 5:30] = 3
        array[8:27, 8:27] = 1
        write_png(root / "trimaps" / f"pug_{i}.png", array)
    return root


def nuclei(root: Path) -> Path:
    for i in range(2):
        jpeg(root / "img" / f"{i:02d}.jpg", i)
        write_png(root / "seg" / f"{i:02d}.png", labels(i, 4).astype(np.uint16))
    return root


def folder(root: Path) -> Path:
    for i in range(3):
        jpeg(root / "images" / f"my{i}.jpg", i)
        write_png(root / "masks" / f"my{i}.png", labels(i, 1 + i) * (255 if i == 0 else 1))
    return root


def labelme_shape(kind: str, points: list, **more) -> dict:
    """One shape of labelme's JSON."""
    return {"label": "cat", "points": points, "shape_type": kind, "group_id": None, **more}


def labelme(root: Path) -> Path:
    stamp = np.full((6, 5), 255, np.uint8)
    stamp[0, 0] = 0
    shapes = [
        labelme_shape("polygon", [[2, 2], [20, 2], [20, 20], [2, 20]]),
        labelme_shape("rectangle", [[30, 5], [40, 15]], group_id=1),
        labelme_shape("rectangle", [[45, 5], [50, 15]], group_id=1),
        labelme_shape("circle", [[30, 28], [36, 28]]),
        labelme_shape(
            "mask",
            [[3, 25], [8, 31]],
            mask=base64.b64encode(cv2.imencode(".png", stamp)[1].tobytes()).decode(),
        ),
        labelme_shape("point", [[1, 1]]),
    ]
    height, width = SIZE
    for i in range(2):
        jpeg(root / f"cat{i}.jpg", i)
        content = {
            "version": "5.4.1",
            "flags": {},
            "shapes": shapes,
            "imagePath": f"cat{i}.jpg",
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        (root / f"cat{i}.json").write_text(json.dumps(content), encoding="utf-8")
    return root


# data set -> (writer, objects it writes)
WRITERS: dict[str, tuple[Callable[[Path], Path], int]] = {
    "folder": (folder, 6),
    "grabcut": (grabcut, 4),
    "berkeley": (berkeley, 4),
    "davis": (davis, 3),
    "pascal_voc": (pascal_voc, 6),
    "sbd": (sbd, 4),
    "coco": (coco, 9),
    "sstem": (sstem, 6),
    "brats": (brats, 3),
    "oaizib": (oaizib, 4),
    "coco_mval": (coco_mval, 3),
    "bsds_regions": (bsds_regions, 12),
    "ccp": (ccp, 2),
    "pets": (pets, 2),
    "nuclei": (nuclei, 8),
}

# the split that a written copy has, where the loader's default may be another
SPLIT = {"coco": "val", "pascal_voc": "val", "sbd": "val"}
