"""Berkeley: 100 objects on 96 photographs."""

import sys

from _common import Archive, Recipe, release, run

RECIPE = Recipe(
    name="berkeley",
    folder="Berkeley",
    source="""
Berkeley.zip of the f-BRS release on GitHub; objects marked by McGuinness and O'Connor (2010) on
photographs of the Berkeley segmentation data set. That project's repository was reported missing
at times; two names of its owner are tried.""",
    license="""
the photographs are for non-commercial research and education; for the masks we know of no
statement.""",
    archives=(
        Archive(
            "Berkeley.zip",
            tuple(release("Berkeley.zip")),
            takes=("images", "masks"),
            size=7_000_000,
            unpacked=20_000_000,
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run(RECIPE))
