"""COCO 2017: photographs, objects and stuff."""

import sys

from _common import Archive, Recipe, run

SERVER = "http://images.cocodataset.org"
# sizes: cocodataset.org; checksums: COCO publishes none, these are the ones in GluonCV
TRAIN = Archive(
    "train2017.zip",
    (f"{SERVER}/zips/train2017.zip",),
    takes=("train2017",),
    hash="sha1:10ad623668ab00c62c096f0ed636d6aff41faca5",
    size=19_300_000_000,
    unpacked=19_400_000_000,
    part="train",
)
VAL = Archive(
    "val2017.zip",
    (f"{SERVER}/zips/val2017.zip",),
    takes=("val2017",),
    hash="sha1:4950dc9d00dbe1c933ee0170f5797584351d2a41",
    size=820_000_000,
    unpacked=820_000_000,
    part="val",
)
OBJECTS = Archive(
    "annotations_trainval2017.zip",
    (f"{SERVER}/annotations/annotations_trainval2017.zip",),
    takes=("annotations/instances_train2017.json", "annotations/instances_val2017.json"),
    hash="sha1:8551ee4bb5860311e79dace7e79cb91e432e78b3",
    size=253_000_000,
    unpacked=820_000_000,
)
STUFF = Archive(
    "stuff_annotations_trainval2017.zip",
    (f"{SERVER}/annotations/stuff_annotations_trainval2017.zip",),
    takes=("annotations/stuff_train2017.json", "annotations/stuff_val2017.json"),
    hash="sha1:e7aa0f7515c07e23873a9f71d9095b06bcea3e12",
    size=1_150_000_000,
    unpacked=3_000_000_000,
)
LICENSE = """
annotations CC BY 4.0; the photographs are from flickr, each under its own license, which the
annotation file names."""

RECIPE = Recipe(
    name="coco",
    folder="COCO",
    source="cocodataset.org, the files of 2017; stuff is needed by coco_lvis alone (lvis.py)",
    license=LICENSE,
    archives=(OBJECTS, VAL, TRAIN),
    split="val",
)

if __name__ == "__main__":
    sys.exit(run(RECIPE))
