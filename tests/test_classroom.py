"""A class: who is in it, own seeds and notebooks, failures, interruptions, limits."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from simpleclick_lite import cli
from simpleclick_lite.classroom import (
    Task,
    run_class,
    self_check_results,
    tasks_of,
    write_table,
)
from simpleclick_lite.errors import InputError
from simpleclick_lite.students import Student, make_class

CHECK = """\
from pathlib import Path
from simpleclick_lite.course import self_check

with open("runs.txt", "a") as file:
    file.write("run\\n")


def check():
    assert answer == seed, "the answer is the seed"


self_check(1, check)
self_check(2, lambda: None)"""


def write_notebook(path: Path, code: str, parameters: str = "seed: int = 0\nanswer: int = 1"):
    """A notebook with a parameters cell and one code cell."""
    cell = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[cell, new_code_cell(code)])
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["kernelspec"] = kernel
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def lines(out: Path) -> dict[tuple[str, str], dict[str, str]]:
    """class.csv as (student, notebook) -> line."""
    with open(out / "class.csv", newline="", encoding="utf-8") as file:
        return {(line["student"], line["notebook"]): line for line in csv.DictReader(file)}


def times_run(out: Path, student: str, notebook: str) -> int:
    """How often a notebook's code began."""
    log = out / student / "files" / notebook / "runs.txt"
    return len(log.read_text(encoding="utf-8").splitlines()) if log.is_file() else 0


# --- who is in the class


def test_without_a_file_everyone_has_a_number_and_a_seed():
    assert [(s.name, s.seed) for s in make_class(2)] == [("student_01", 1), ("student_02", 2)]


def test_a_csv_file_names_students_seeds_parameters_and_notebooks(tmp_path: Path):
    (tmp_path / "ada").mkdir()
    file = tmp_path / "class.csv"
    text = "student,seed,steps,data,notebooks\nAda Lovelace,7,20,photos,ada\nBo,,,,\n"
    file.write_text("\ufeff" + text, encoding="utf-8")
    ada, bo, third = make_class(3, file)
    assert ada == Student("Ada Lovelace", 7, {"steps": 20, "data": "photos"}, tmp_path / "ada")
    assert bo == Student("Bo", 2)
    assert third == Student("student_03", 3)


def test_a_json_file_is_a_list_of_students_or_values_for_all(tmp_path: Path):
    file = tmp_path / "class.json"
    file.write_text('[{"student": "Ada", "sizes": [1, 2]}]', encoding="utf-8")
    assert make_class(1, file) == [Student("Ada", 1, {"sizes": [1, 2]})]
    file.write_text('{"steps": 5}', encoding="utf-8")
    assert [s.parameters for s in make_class(2, file)] == [{"steps": 5}] * 2


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "student\nAda\nada\n", "two students are called ada"),
        ("c.csv", "student\na/b\n", "cannot be the name of a folder"),
        ("c.csv", "student\n..\n", "cannot be the name of a folder"),
        ("c.csv", "seed\nx\n", "must be a whole number from 0"),
        ("c.csv", "student,a b\nAda,1\n", "is not the name of a parameter"),
        ("c.csv", "student\nAda,1\n", "more cells than the first line"),
        ("c.csv", "student,notebooks\nAda,nowhere\n", "no such folder"),
        ("c.csv", "student\na\nb\nc\n", "has 3 students; give --students 3"),
        ("c.json", "{", "cannot be read"),
        ("c.json", "[1]", "should hold a list of objects"),
        ("c.txt", "", "neither .csv nor .json"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, name: str, text: str, message: str):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        make_class(2, tmp_path / name)


def test_a_missing_file_is_one_sentence(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read"):
        make_class(2, tmp_path / "no.csv")


# --- which notebooks run with what


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A checkout with two notebooks; the second fails for the seed 2 until a file says stop."""
    folder = tmp_path / "checkout" / "notebooks"
    (folder.parent / "simpleclick_lite").mkdir(parents=True)
    write_notebook(folder / "00_one.ipynb", CHECK)
    fails = CHECK + "\nif seed == 2 and not Path('../../../repaired').exists():\n    1 / 0"
    write_notebook(folder / "01_two.ipynb", fails, "seed: int = 0\nanswer: int = 0\nsteps: int = 1")
    return folder


def test_a_parameter_goes_to_the_notebooks_that_have_it(course: Path, tmp_path: Path):
    ada = Student("Ada", 4, {"steps": 9})
    first, second = tasks_of([ada], tmp_path, folder=course, shared={"answer": 3, "steps": 1})
    assert first.parameters == {"seed": 4, "answer": 3}
    assert second.parameters == {"seed": 4, "answer": 3, "steps": 9}
    with pytest.raises(InputError, match="no notebook of Ada has a parameter step"):
        tasks_of([Student("Ada", 4, {"step": 9})], tmp_path, folder=course)


def test_a_students_own_notebook_replaces_the_courses(course: Path, tmp_path: Path):
    own = tmp_path / "own"
    write_notebook(own / "01_two.ipynb", "pass")
    first, second = tasks_of([Student("Ada", 1, {}, own)], tmp_path / "out", folder=course)
    assert (first.notebook, second.notebook) == (course / "00_one.ipynb", own / "01_two.ipynb")


def test_the_table_counts_only_results_of_this_notebook_with_these_parameters(
    course: Path, tmp_path: Path
):
    task = Task("Ada", course / "00_one.ipynb", {"seed": 1}, tmp_path / "Ada")
    result = {"seconds": 2.0, "error": None, "checks": {"1": "solved", "2": "not solved yet"}}
    task.record.parent.mkdir()
    task.record.write_text(json.dumps({**task.key(), **result}), encoding="utf-8")
    write_table([task], tmp_path)
    line = lines(tmp_path)["Ada", "00_one"]
    assert (line["result"], line["solved"], line["exercises"]) == ("ok", "1", "2")
    assert (line["exercise 1"], line["exercise 2"]) == ("solved", "not solved yet")
    other = Task("Ada", course / "00_one.ipynb", {"seed": 2}, tmp_path / "Ada")
    assert write_table([other], tmp_path)[0]["error"] == "not run yet"
    write_notebook(course / "00_one.ipynb", "pass")
    assert write_table([task], tmp_path)[0]["error"] == "not run yet"
    task.record.write_text("{cut o", encoding="utf-8")
    assert write_table([task], tmp_path)[0]["error"] == "not run yet"


def test_a_missing_or_broken_notebook_has_no_results(tmp_path: Path):
    assert self_check_results(tmp_path / "no.ipynb") == {}
    (tmp_path / "broken.ipynb").write_text("{", encoding="utf-8")
    assert self_check_results(tmp_path / "broken.ipynb") == {}


def test_an_unwritable_folder_is_refused_before_anything_runs(course: Path, tmp_path: Path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    out = tmp_path / "file" / "out"
    with pytest.raises(InputError, match="cannot write"):
        run_class(tasks_of(make_class(1), out, folder=course), out)


def test_a_file_of_parameters_needs_students(capsys):
    assert cli.main(["course", "--parameters", "class.csv"]) == 2
    assert "give --students N" in capsys.readouterr().err


# --- running


@pytest.mark.notebook
def test_a_class_runs_fails_in_part_and_is_completed(course: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(course.parent)
    out = tmp_path / "out"
    own = tmp_path / "own"
    own.mkdir()
    (own / "01_two.ipynb").write_text("this is no notebook", encoding="utf-8")
    (tmp_path / "class.csv").write_text(
        "student,notebooks,answer\nAda,own,\nBo,,2\n", encoding="utf-8"
    )
    command = ["course", "--students", "2", "--out", str(out), "--at-once", "2"]
    command += ["--parameters", str(tmp_path / "class.csv")]
    assert cli.main(command) == 1
    found = lines(out)
    assert len(found) == 4
    ada, bo = found["Ada", "00_one"], found["Bo", "00_one"]
    assert (ada["result"], ada["solved"], ada["exercises"]) == ("ok", "2", "2")
    assert (bo["result"], bo["exercise 1"]) == ("ok", "solved")
    assert json.loads(bo["parameters"]) == {"seed": 2, "answer": 2}
    assert float(bo["seconds"]) > 0
    assert found["Ada", "01_two"]["result"] != "ok"
    assert "ZeroDivisionError" in found["Bo", "01_two"]["result"]
    assert found["Bo", "01_two"]["exercise 1"] == "solved", "what came before the failure counts"
    assert (out / "Bo" / "00_one.html").is_file()
    assert "1 of 2 notebooks" in (out / "Bo" / "index.html").read_text(encoding="utf-8")

    (out / "repaired").touch()
    (own / "01_two.ipynb").unlink()
    assert cli.main(command) == 0
    assert all(line["result"] == "ok" for line in lines(out).values())
    assert times_run(out, "Ada", "00_one") == 1, "what was done is not done again"
    assert times_run(out, "Bo", "01_two") == 2


@pytest.mark.notebook
def test_after_a_kill_the_class_goes_on(course: Path, tmp_path: Path):
    out = tmp_path / "out"
    held = CHECK + "\nimport time\nwhile not Path('../../../go').exists():\n    time.sleep(0.1)"
    write_notebook(course / "01_two.ipynb", held)
    command = [sys.executable, "-m", "simpleclick_lite.cli", "course", "--students", "1"]
    command += ["--out", str(out), "--at-once", "1"]
    first = subprocess.Popen(command, cwd=course.parent, env=os.environ)
    deadline = time.monotonic() + 900
    while not times_run(out, "student_01", "01_two"):
        assert first.poll() is None and time.monotonic() < deadline, "the first call did not run"
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert lines(out)["student_01", "01_two"]["result"] == "not run yet"
    time.sleep(3)  # its notebook's process notices and ends
    (out / "go").touch()
    second = subprocess.run(command, cwd=course.parent, env=os.environ, timeout=900)
    assert second.returncode == 0
    assert times_run(out, "student_01", "00_one") == 1
    assert times_run(out, "student_01", "01_two") == 2


@pytest.mark.notebook
def test_a_notebook_that_never_ends_or_dies_costs_only_itself(course: Path, tmp_path: Path):
    write_notebook(course / "00_one.ipynb", "import time\ntime.sleep(3600)")
    write_notebook(course / "01_two.ipynb", "import os\nos._exit(3)")
    tasks = tasks_of(make_class(1), tmp_path / "out", folder=course)
    ends, dies = run_class(tasks, tmp_path / "out", at_once=2, time_limit=45)
    assert ends["error"] == "stopped after 45 seconds"
    assert dies["error"] and ("DeadKernel" in dies["error"] or "stopped" in dies["error"])
