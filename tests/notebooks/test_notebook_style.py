"""The committed notebooks obey the rules of notebook_style.py, and the rules find offences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import notebook_format as form
import notebook_style as style
import pytest
from nbformat.v4 import new_code_cell, new_output


@pytest.mark.parametrize("path", form.every_notebook(), ids=form.short_name)
def test_notebook_is_in_form(path: Path):
    assert style.problems(path) == []


def test_every_lesson_number_occurs_once():
    numbers = [p.name[:2] for p in form.every_notebook() if p.parent.name != "solutions"]
    assert sorted(set(numbers)) == numbers


def test_prose_of_notebooks_has_no_known_misspelling(tmp_path: Path):
    import subprocess
    import sys

    for path in form.every_notebook():
        prose = [c.source for c in form.read(path).cells if c.cell_type == "markdown"]
        target = tmp_path / f"{form.short_name(path).replace('/', '-')}.md"
        target.write_text("\n\n".join(prose), encoding="utf-8")
    words = Path(__file__).parent.parent / "words.txt"
    command = [sys.executable, "-m", "codespell_lib", "--builtin", "clear,rare"]
    command += ["--ignore-words", str(words), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


LESSON = """\
# %% [markdown]
# # 99 · A lesson for the tests
#
# **Time on a CPU:** none. **Needs:** nothing. After it you will be able to stop.

# %% tags=["setup"]

# %% tags=["parameters"]
seed: int = 0  # one seed

# %%
print(seed)

# %% [markdown]
# ## Summary
#
# - It is short.
"""


@pytest.fixture
def lesson(tmp_path: Path) -> nbformat.NotebookNode:
    """A lesson in perfect form, as if executed."""
    notebook = form.from_text(LESSON)
    for count, cell in enumerate(style.code_cells(notebook), start=1):
        cell.execution_count = count
    notebook.metadata[form.STAMP] = {"code_sha256": form.code_hash(notebook)}
    return notebook


def problems(notebook: nbformat.NotebookNode, folder: Path) -> list[str]:
    """What the rules say of a notebook."""
    path = folder / "99_lesson.ipynb"
    form.write(path, notebook)
    return style.problems(path)


def test_a_lesson_in_form_has_no_problems(lesson, tmp_path):
    assert problems(lesson, tmp_path) == []


def change_code(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[3].source = "print(seed + 1)"


def run_out_of_order(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[3].execution_count = 7


def fail(notebook: nbformat.NotebookNode) -> None:
    error = new_output("error", ename="ValueError", evalue="no", traceback=[])
    notebook.cells[3].outputs = [error]


def show_without_alt(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[3].outputs = [new_output("display_data", data={"image/png": "aGk="})]


def name_a_machine(notebook: nbformat.NotebookNode) -> None:
    folder = "/" + "home/somebody/data"
    notebook.cells[3].outputs = [new_output("stream", name="stdout", text=f"read {folder}\n")]


def warn(notebook: nbformat.NotebookNode) -> None:
    text = "x.py:3: FutureWarning: soon gone\n"
    notebook.cells[3].outputs = [new_output("stream", name="stderr", text=text)]


def compute_a_parameter(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[2].source = "seed: int = 3 * 4  # a product"


def leave_a_parameter_unexplained(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[2].source = "seed: int = 0"


def break_a_link(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[4].source += "\n- See [the code](../simpleclick_lite/nowhere.py)."


def drop_the_alt_text(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[4].source += '\n- <img src="https://example.org/x.png">'


def drop_the_summary(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[4].source = "## The end"


def drop_the_goals(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[0].source = "# 99 · A lesson"


def write_a_long_cell(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[3].source = "\n".join(f"a{i} = {i}" for i in range(46))


def change_the_set_up(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[1].source = "import torch"


def pass_on_the_stub(notebook: nbformat.NotebookNode) -> None:
    cell = new_code_cell("self_check(1, check)", execution_count=4)
    cell.metadata["tags"] = ["self-check"]
    cell.outputs = [new_output("stream", name="stdout", text="Exercise 1: solved\n")]
    notebook.cells.append(cell)


@pytest.mark.parametrize(
    ("offence", "says"),
    [
        (change_code, "code has changed since"),
        (run_out_of_order, "not run in order"),
        (fail, "ended in an error: ValueError"),
        (show_without_alt, "no alt text"),
        (name_a_machine, "path of one machine"),
        (warn, "shows a warning"),
        (compute_a_parameter, "not a literal"),
        (leave_a_parameter_unexplained, "comment that explains it"),
        (break_a_link, "leads nowhere"),
        (drop_the_alt_text, "no alt text"),
        (drop_the_summary, "no section '## Summary'"),
        (drop_the_goals, "you will be able to"),
        (write_a_long_cell, "46 lines"),
        (change_the_set_up, "set-up cell is out of date"),
        (pass_on_the_stub, "passes on the untouched stub"),
    ],
)
def test_an_offence_is_found(
    offence: Callable[[nbformat.NotebookNode], None], says: str, lesson, tmp_path: Path
):
    offence(lesson)
    assert any(says in problem for problem in problems(lesson, tmp_path))


def test_text_and_notebook_are_each_others_inverse(lesson):
    assert form.to_text(lesson) == LESSON
    assert form.code_hash(form.from_text(form.to_text(lesson))) == form.code_hash(lesson)


def test_the_address_makes_badge_and_set_up_cell(lesson, monkeypatch):
    path = form.NOTEBOOKS / "99_lesson.ipynb"
    before = form.code_hash(lesson)
    monkeypatch.setattr(form, "repository", lambda: "https://github.com/owner/name")
    form.write_address(path, lesson)
    assert "colab.research.google.com/github/owner/name/blob/main/notebooks/99" in (
        lesson.cells[0].source
    )
    assert "git+https://github.com/owner/name" in lesson.cells[2].source
    assert form.code_hash(lesson) == before, "an address does not make the outputs stale"
    form.write_address(path, lesson)
    assert [form.tags(c) for c in lesson.cells].count(["badge"]) == 1
    monkeypatch.setattr(form, "repository", lambda: "")
    form.write_address(path, lesson)
    assert form.to_text(lesson) == LESSON
    assert "%pip" not in lesson.cells[1].source
