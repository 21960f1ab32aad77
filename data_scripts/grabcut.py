"""GrabCut: 50 photographs with one object each."""

import sys

from _common import Archive, Recipe, release, run

RECIPE = Recipe(
    name="grabcut",
    folder="GrabCut",
    source="""
GrabCut.zip of the f-BRS release on GitHub, in the form that papers on interactive segmentation
use; collected by Rother, Kolmogorov and Blake (SIGGRAPH 2004) at Microsoft Research. That
project's repository was reported missing at times; two names of its owner are tried.""",
    license="""
none is stated that we know of; part of the photographs come from the Berkeley segmentation data
set, which is for non-commercial research and education.""",
    archives=(
        Archive(
            "GrabCut.zip",
            tuple(release("GrabCut.zip")),
            takes=("data_GT", "boundary_GT"),
            size=11_000_000,
            unpacked=40_000_000,
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run(RECIPE))
