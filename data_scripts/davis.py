"""DAVIS: 345 frames out of 50 videos."""

import sys

from _common import Archive, Recipe, release, run

RECIPE = Recipe(
    name="davis",
    folder="DAVIS",
    source="""
DAVIS.zip of the f-BRS release on GitHub: every tenth frame or so of DAVIS 2016
(davischallenge.org), in the choice that papers on interactive segmentation share. That project's
repository was reported missing at times; two names of its owner are tried.""",
    license="""
not certain: look at davischallenge.org before any use beyond research.""",
    archives=(
        Archive(
            "DAVIS.zip",
            tuple(release("DAVIS.zip")),
            takes=("img", "gt"),
            size=43_000_000,
            unpacked=100_000_000,
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run(RECIPE))
