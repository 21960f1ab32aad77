"""Results of experiments too long for a notebook, which the notebooks draw.

Each is a JSON file beside this one, written by a script in benchmarks/ and holding the command,
data, steps, seeds and machine beside the numbers. They are package data so that a notebook can
run without the repository.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import InputError

FOLDER = Path(__file__).parent


def measured(name: str, folder: Path = FOLDER) -> dict:
    """One committed result.

    Args:
        name: of the file, without .json.
        folder: where it lies; the default is the package's own.

    Raises:
        InputError: there is no such result.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.json"))) or "none"
        raise InputError(f"there is no measured result {name!r}; there are {known}")
    return json.loads(path.read_text(encoding="utf-8"))
