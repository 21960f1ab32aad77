"""SBD, the semantic boundaries data set: objects of 11,355 photographs of Pascal VOC."""

import sys

from _common import Archive, Recipe, run

RECIPE = Recipe(
    name="sbd",
    folder="SBD",
    source="""
benchmark.tgz of Hariharan et al. (ICCV 2011) at the University of California, Berkeley; its
checksum is the one in torchvision.""",
    license="""
none is stated that we know of; the photographs are those of Pascal VOC 2011, under flickr's terms
of use.""",
    archives=(
        Archive(
            "benchmark.tgz",
            (
                "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/"
                "semantic_contours/benchmark.tgz",
                "http://www.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/"
                "semantic_contours/benchmark.tgz",
            ),
            takes=("img", "inst", "train.txt", "val.txt"),
            hash="md5:82b4d87ceb2ed10f6038a1cba92111cb",
            size=1_420_000_000,
            unpacked=2_000_000_000,
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run(RECIPE))
