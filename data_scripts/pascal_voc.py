"""Pascal VOC 2012: objects of the segmentation task."""

import sys

from _common import Archive, Recipe, run

RECIPE = Recipe(
    name="pascal_voc",
    folder="PascalVOC",
    source="""
host.robots.ox.ac.uk/pascal/VOC/voc2012, the file of training and validation; its checksum is the
one in torchvision.""",
    license="""
the photographs are from flickr and under flickr's terms of use; see the page of VOC 2012.""",
    archives=(
        Archive(
            "VOCtrainval_11-May-2012.tar",
            (
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            ),
            takes=("JPEGImages", "SegmentationObject", "ImageSets"),
            hash="md5:6cd6e144f989b92b3379bac3b3de84fd",
            size=2_000_000_000,
            unpacked=2_000_000_000,
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run(RECIPE))
