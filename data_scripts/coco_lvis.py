"""Build the index of COCO+LVIS from the released annotation files.

    python data_scripts/coco_lvis.py --root datasets/COCO [--split train]

Needs, in ROOT or ROOT/annotations, any of
  lvis_v1_SPLIT.json          LVIS v1, CC BY 4.0, 1.1 GB for train    www.lvisdataset.org
  instances_SPLIT2017.json    COCO, CC BY 4.0, 450 MB for train       cocodataset.org
  stuff_SPLIT2017.json        COCO stuff, CC BY 4.0, 540 MB for train cocodataset.org
and writes ROOT/coco_lvis_index/SPLIT, about 1 GB for train. Nothing is downloaded;
lvis.py downloads the files and then does the same.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from simpleclick_lite.data.coco_lvis import FOLDER, build_index, find_sources
from simpleclick_lite.errors import InputError


def main() -> int:
    """Build, and print the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "val"), default="train")
    settings = parser.parse_args()
    try:
        sources = find_sources(settings.root, settings.split)
        for source in sources:
            print(f"{source.what:6} {source.path}")
        found = build_index(settings.root / FOLDER / settings.split, sources)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{found['objects']} objects on {found['images']} images")
    for reason, count in found["left out"].items():
        print(f"left out, {reason}: {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
