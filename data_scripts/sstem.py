"""ssTEM: mitochondria in sections of a fly's nerve cord, under the electron microscope."""

import sys

from _common import Archive, Recipe, run

RECIPE = Recipe(
    name="sstem",
    folder="ssTEM",
    source="""
github.com/unidesigner/groundtruth-drosophila-vnc (Gerhard, Funke, Martel, Cardona, Fetter 2013,
doi 10.6084/m9.figshare.856713), the first of its two stacks. GitHub packs this file on demand, so
its bytes, and with them any checksum, may change.""",
    license="""
CC BY 4.0 as others quote it; look at the repository and its figshare page.""",
    archives=(
        Archive(
            "groundtruth-drosophila-vnc-master.zip",
            (
                "https://github.com/unidesigner/groundtruth-drosophila-vnc/archive/refs/heads/"
                "master.zip",
            ),
            takes=("raw", "mitochondria"),
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run(RECIPE))
