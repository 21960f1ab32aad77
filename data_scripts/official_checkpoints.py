"""The weights that the authors of SimpleClick trained."""

import sys
from pathlib import Path

from _common import Recipe, run

from simpleclick_lite.errors import FetchError

FOLDER = "https://drive.google.com/drive/folders/1qpK0gtAPkVMF7VC42UA9XF4xMWr5KJmL"


def verify(root: Path) -> list[str]:
    """Load every .pth in the root.

    Raises:
        FetchError: there is none; InputError: one is broken or something else.
    """
    from simpleclick_lite.checkpoint import load_model

    lines = []
    for path in sorted(root.glob("*.pth")):
        config = load_model(path).config
        lines.append(f"{path} is read: width {config.width}, input {config.image_size}")
    if not lines:
        raise FetchError(f"{root} holds no .pth; fetch one by hand as told above")
    return lines + ["use one with: simpleclick-lite evaluate --weights FILE ..."]


RECIPE = Recipe(
    name="",
    folder="simpleclick",
    source="the folder that the README of github.com/uncbiag/SimpleClick links to",
    license="""
the authors' code is under the MIT license; for the weights nothing else is said that we know of.
They started from MAE's encoders, which are CC BY-NC 4.0.""",
    by_hand=f"""
everything: the files lie in a Google Drive, which asks a person before it gives large files.
1. open {FOLDER}
   in a browser (if it is gone, the README named above may have a new address);
2. fetch the files you want, for example cocolvis_vit_huge.pth (2.7 GB); other names and sizes we
   have not verified;
3. put them into the root and run this script: it loads each one and says what it is. No checksums
   are published, so this is all that can be compared.""",
    verify=verify,
)

if __name__ == "__main__":
    sys.exit(run(RECIPE))
