"""Every notebook, lesson or solutions, runs from top to bottom in its quick profile.

Each runs in an empty folder of its own, with this interpreter as its kernel.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import notebook_format
import notebook_style
import pytest

from simpleclick_lite.course import execute_notebook

pytestmark = pytest.mark.notebook
CELL_TIMEOUT = 400  # seconds
QUICK = 90  # seconds that the quick profile may take with two cores to itself
BUSY = 5  # a hang is a failure, a busy machine is not: seconds are measured by `make course`


@pytest.mark.parametrize("path", notebook_format.every_notebook(), ids=notebook_format.short_name)
def test_notebook_runs(path: Path, tmp_path: Path):
    executed = tmp_path / "executed" / path.name
    started = time.perf_counter()
    execute_notebook(path, executed, cwd=tmp_path / "work", cell_timeout=CELL_TIMEOUT)
    seconds = time.perf_counter() - started
    assert seconds < QUICK * BUSY, f"the quick profile took {seconds:.0f} s"
    wanted = "solved" if path.parent.name == "solutions" else "not solved yet"
    for cell in notebook_format.read(executed).cells:
        if "self-check" in notebook_format.tags(cell):
            assert notebook_style.verdicts(cell) == [wanted]
    written = [p.name for p in (tmp_path / "work").iterdir()]
    assert set(written) <= {"outputs"}, "a notebook writes only under its out_dir"


# 00 reads the shipped weights, 08 measured results; the others add nothing that a wheel could lack
WHEEL = ("00", "04", "08")


def test_notebooks_run_from_a_wheel_in_an_empty_folder(tmp_path: Path, require):
    import release_check

    paths = notebook_format.every_notebook()
    lessons = [p for p in paths if p.parent.name != "solutions" and p.name[:2] in WHEEL]
    require(lessons, "there are no such notebooks")
    site = release_check.install_wheel(tmp_path)
    names = {
        p.relative_to(site / "simpleclick_lite").as_posix()
        for p in site.rglob("*.*")
        if p.is_relative_to(site / "simpleclick_lite")
    }
    assert {"weights/model.safetensors", "weights/config.json"} <= names
    for path in lessons:
        release_check.run_alone(path, site, tmp_path)
    assert "PYTHONPATH" not in os.environ or str(site) not in os.environ["PYTHONPATH"]
