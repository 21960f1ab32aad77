"""Every exercise of the course: its self-check refuses the stub and takes the solution."""

import re

import nbformat
import pytest
import torch
from notebook_format import NOTEBOOKS, tags

import simpleclick_lite as scl

LESSONS = sorted(path.stem for path in NOTEBOOKS.glob("[0-9]*.ipynb"))
VERDICT = re.compile(r"^Exercise (\d+): (solved|not solved yet)", re.MULTILINE)


def cells(folder, stem, tag):
    """The sources of all cells with this tag; none where there is no such notebook."""
    path = folder / f"{stem}.ipynb"
    if not path.is_file():
        return []
    notebook = nbformat.read(path, as_version=4)
    return [cell.source for cell in notebook.cells if tag in tags(cell)]


def verdicts(exercises, checks, capsys):
    """What the self-checks print, each after its exercise cell, in the notebook's order."""
    found = []
    names = {"torch": torch, "scl": scl}  # the set-up cell's; later cells see earlier imports
    for exercise, check in zip(exercises, checks, strict=True):
        exec(compile(exercise, "exercise", "exec"), names)
        exec(compile(check, "self-check", "exec"), names)
        found += VERDICT.findall(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("stem", LESSONS)
def test_a_self_check_refuses_the_stub_and_takes_the_solution(stem, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checks = cells(NOTEBOOKS, stem, "self-check")
    stubs = cells(NOTEBOOKS, stem, "exercise")
    solutions = cells(NOTEBOOKS / "solutions", stem, "exercise")
    numbers = [str(number) for number in range(1, len(checks) + 1)]
    assert verdicts(stubs, checks, capsys) == [(n, "not solved yet") for n in numbers]
    assert verdicts(solutions, checks, capsys) == [(n, "solved") for n in numbers]
