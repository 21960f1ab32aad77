"""Running the course: order, names, a failing notebook, unknown parameters, the index page."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from simpleclick_lite import cli
from simpleclick_lite.course import (
    check_parameters,
    find_notebooks,
    run_course,
    select_notebooks,
    self_check,
    summary,
)
from simpleclick_lite.course_pages import NotebookRun
from simpleclick_lite.errors import InputError

PARAMETERS = "seed: int = 0  # one seed"
FIGURE = """\
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(4, 2))
axes.plot([seed, 1])
plt.show()
print("seed is", seed)"""


def write_notebook(path: Path, title: str, code: str) -> None:
    """A notebook with a title, a parameters cell and one code cell."""
    parameters = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[new_markdown_cell(title), parameters, new_code_cell(code)])
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["kernelspec"] = kernel
    nbformat.write(notebook, path)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with three notebooks, the second of which fails; entered at a folder inside."""
    folder = tmp_path / "checkout" / "notebooks"
    folder.mkdir(parents=True)
    (folder.parent / "simpleclick_lite").mkdir()
    write_notebook(folder / "00_first.ipynb", "# The first\n\ntext", FIGURE)
    write_notebook(folder / "01_broken.ipynb", "# Broken", "raise ValueError('on purpose')")
    write_notebook(folder / "02_last.ipynb", "# The <last>", "print(1)")
    write_notebook(folder / "draft.ipynb", "# Not numbered", "raise SystemExit")
    monkeypatch.chdir(folder.parent / "simpleclick_lite")
    return folder


def test_the_notebooks_are_found_from_anywhere_in_the_repository(course: Path):
    assert find_notebooks() == course
    assert find_notebooks(course) == course


def test_without_a_checkout_around_the_packages_own_is_used(root: Path, tmp_path: Path):
    assert find_notebooks(tmp_path) == root / "notebooks"


def test_notebooks_are_chosen_by_the_beginning_of_their_name(course: Path):
    assert [p.stem for p in select_notebooks(course)] == ["00_first", "01_broken", "02_last"]
    assert [p.stem for p in select_notebooks(course, ["02", "00_f"])] == ["00_first", "02_last"]
    assert [p.stem for p in select_notebooks(course, ["x/01_broken.ipynb"])] == ["01_broken"]
    with pytest.raises(InputError, match="there is no notebook 07"):
        select_notebooks(course, ["07"])


def test_an_unknown_parameter_is_refused_before_anything_runs(course: Path, tmp_path: Path):
    check_parameters(course / "00_first.ipynb", {"seed": 3})
    with pytest.raises(InputError, match="no parameter sed; its parameters cell has seed"):
        run_course(tmp_path / "out", parameters={"sed": 3}, folder=course)
    assert not (tmp_path / "out").exists()


def test_an_unwritable_folder_is_refused_before_anything_runs(course: Path, tmp_path: Path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(InputError, match="cannot write"):
        run_course(tmp_path / "file" / "out", folder=course)


def test_the_summary_names_notebook_seconds_and_result():
    runs = [NotebookRun("00_a", "A", 1.25), NotebookRun("01_b", "B", 2.0, "cell 3: ValueError: x")]
    lines = summary(runs).splitlines()
    assert lines[1].split() == ["00_a", "1.2", "ok"]
    assert lines[2].endswith("cell 3: ValueError: x")
    assert lines[3].split()[:2] == ["together", "3.2"]
    assert lines[3].endswith("1 failed")


def test_a_self_check_tells_solved_from_unsolved_and_never_raises(capsys):
    def double(x: int) -> int | None: ...

    def check() -> None:
        assert double(2) == 4, "double(2) is 4"

    self_check(2, check)
    self_check(2, lambda: None)
    self_check(3, lambda: 1 / 0)
    assert capsys.readouterr().out.splitlines() == [
        "Exercise 2: not solved yet (AssertionError: double(2) is 4)",
        "Exercise 2: solved",
        "Exercise 3: not solved yet (ZeroDivisionError: division by zero)",
    ]


@pytest.mark.notebook
def test_the_course_survives_a_failing_notebook_and_leaves_an_index(
    course: Path, capsys, monkeypatch
):
    monkeypatch.setenv("MPLBACKEND", "Agg")  # figures appear all the same
    code = cli.main(["course", "--parameter", "seed=5"])
    printed = capsys.readouterr().out
    assert code == 1
    assert "[ 3/3] 02_last" in printed
    assert "ValueError: on purpose" in printed
    out = course.parent / "runs" / "course"
    index = (out / "index.html").read_text(encoding="utf-8")
    assert "2 of 3 notebooks" in index
    assert "The &lt;last&gt;" in index
    for name in ("00_first", "01_broken", "02_last"):
        assert f'href="{name}.html"' in index
        assert (out / f"{name}.html").is_file()
        assert (out / f"{name}.ipynb").is_file()
    assert (out / "thumbnails" / "00_first.png").is_file()
    assert "thumbnails/00_first.png" in index
    assert "seed is 5" in (out / "00_first.ipynb").read_text(encoding="utf-8")
    assert not any(c.outputs for c in nbformat.read(course / "00_first.ipynb", 4).cells[1:])
