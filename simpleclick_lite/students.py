"""Who is in a class: names, seeds, parameters and notebooks of their own, from a file or a number.

Used by classroom.py. A CSV file has a line a student; a JSON file a list with an object a student,
or one object whose values hold for everyone. The columns `student` and `notebooks` are the name and
a folder with her own copies of notebooks; every other column is a parameter of the notebooks.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import InputError

NAME = re.compile(r"[\w .@+-]+")  # becomes a folder


@dataclass(frozen=True)
class Student:
    """One student.

    Attributes:
        name: names her folder.
        seed: goes to every notebook that has a parameter `seed`.
        parameters: her own values for the parameters cells.
        notebooks: folder with her own copies; what is not there is taken from the course.
    """

    name: str
    seed: int
    parameters: dict[str, Any] = field(default_factory=dict)
    notebooks: Path | None = None

    def notebook(self, original: Path) -> Path:
        """Her copy of a notebook of the course, or the course's own."""
        own = self.notebooks / original.name if self.notebooks else original
        return own if own.is_file() else original


def make_class(count: int, file: Path | None = None) -> list[Student]:
    """A class of `count` students: those of the file first, numbered ones after them.

    Args:
        count: number of students.
        file: .csv or .json, see the module's docstring.

    Raises:
        InputError: a file that cannot be read, more lines than students, names that cannot be
            folders or come twice, or a folder of notebooks that does not exist.
    """
    rows = _read(file) if file is not None else []
    everyone: dict[str, Any] = {}
    if isinstance(rows, dict):
        everyone, rows = rows, []
    if len(rows) > count:
        raise InputError(f"{file} has {len(rows)} students; give --students {len(rows)}")
    rows += [{}] * (count - len(rows))
    students = [_student(k, {**everyone, **row}, file) for k, row in enumerate(rows, start=1)]
    names = [student.name.lower() for student in students]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two students are called {twice[0]}; each needs a name of her own")
    return students


def _student(number: int, row: dict[str, Any], file: Path | None) -> Student:
    row = dict(row)
    name = str(row.pop("student", "") or f"student_{number:02}").strip()
    if not NAME.fullmatch(name) or not name.strip(". "):
        raise InputError(f"{name!r} cannot be the name of a folder; use letters and digits")
    seed = row.pop("seed", number)
    if type(seed) is not int or seed < 0:
        raise InputError(f"the seed of {name} must be a whole number from 0, not {seed!r}")
    notebooks = row.pop("notebooks", None)
    if notebooks is not None:
        # as seen from the file, so that a class can be moved
        notebooks = (file.parent if file else Path()) / str(notebooks)
        if not notebooks.is_dir():
            raise InputError(f"the notebooks of {name} should be in {notebooks}: no such folder")
    for key in row:
        if not key.isidentifier():
            raise InputError(f"{file}: {key!r} is not the name of a parameter")
    return Student(name, seed, row, notebooks)


def _read(file: Path) -> list[dict[str, Any]] | dict[str, Any]:
    """Rows of a CSV or JSON file; empty cells of a CSV are left out."""
    try:
        text = file.read_text(encoding="utf-8-sig")  # spreadsheets write a byte order mark
        if file.suffix.lower() == ".json":
            data = json.loads(text)
        elif file.suffix.lower() == ".csv":
            data = [_values(row, file) for row in csv.DictReader(text.splitlines())]
        else:
            raise InputError(f"{file} is neither .csv nor .json")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    if isinstance(data, dict) or isinstance(data, list) and all(isinstance(r, dict) for r in data):
        return data
    raise InputError(f"{file} should hold a list of objects, or one object for everyone")


def _values(row: dict[str | None, Any], file: Path) -> dict[str, Any]:
    """One line of a CSV file; cells are Python literals where they can be read as ones."""
    if None in row:
        raise InputError(f"{file} has a line with more cells than the first line")
    found: dict[str, Any] = {}
    for key, text in row.items():
        if not text or not text.strip():
            continue
        found[key.strip()] = text.strip()
        if key.strip() not in ("student", "notebooks"):
            with contextlib.suppress(ValueError, SyntaxError):
                found[key.strip()] = ast.literal_eval(text.strip())
    return found
