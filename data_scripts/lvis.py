"""LVIS v1 on COCO's photographs, and the index of COCO+LVIS that training reads."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import coco
from _common import Archive, Recipe, run

from simpleclick_lite.data.coco_lvis import FOLDER, build_index, find_sources

SERVERS = (
    "https://dl.fbaipublicfiles.com/LVIS",
    "https://s3-us-west-2.amazonaws.com/dl.fbaipublicfiles.com/LVIS",
)


def convert(root: Path, splits: Sequence[str]) -> None:
    """Build the index of each split that has none."""
    for split in splits:
        index = root / FOLDER / split
        if (index / "index.json").is_file():
            print(f"{index} exists")
            continue
        found = build_index(index, find_sources(root, split))
        print(f"{index}: {found['objects']} objects on {found['images']} images")


def _annotations(split: str, size: int, unpacked: int) -> Archive:
    name = f"lvis_v1_{split}.json"
    urls = tuple(f"{server}/{name}.zip" for server in SERVERS)
    return Archive(
        f"{name}.zip",
        urls,
        takes=(name,),
        size=size,
        unpacked=unpacked,
        part=split,
        into="annotations",
    )


# the photographs of LVIS's validation half lie in both folders of COCO, so both are always needed
RECIPE = Recipe(
    name="coco_lvis",
    folder="COCO",
    source="www.lvisdataset.org for LVIS v1, cocodataset.org for the rest",
    license="LVIS: annotations CC BY 4.0. COCO:\n" + coco.LICENSE.strip(),
    archives=(
        _annotations("train", 350_000_000, 1_200_000_000),
        _annotations("val", 70_000_000, 250_000_000),
        coco.OBJECTS,
        coco.STUFF,
        replace(coco.VAL, part=""),
        replace(coco.TRAIN, part=""),
    ),
    split="val",
    convert=convert,
    converted=1_500_000_000,
)

if __name__ == "__main__":
    sys.exit(run(RECIPE))
