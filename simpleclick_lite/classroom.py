"""Run the course for a class: every student's notebooks, several at a time, results in one table.

`simpleclick-lite course --students N --out DIR` ends here. Each student has a seed and, if the
teacher says so, data and notebooks of her own. A notebook runs in a process of its own and leaves
a small JSON file when it is done, so that neither a failing notebook nor an interruption costs
more than itself. DIR/class.csv is made of these files.
"""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import os
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from .course import find_notebooks, run_notebook, select_notebooks
from .course_pages import NotebookRun, title_of, write_index
from .errors import InputError
from .files import atomic_path, write_json
from .students import Student

SELF_CHECK = re.compile(r"^Exercise (\d+): (solved|not solved yet)", re.MULTILINE)
TABLE = "class.csv"
POLL = 5.0  # seconds between looks at the time limit


@dataclass(frozen=True)
class Task:
    """One notebook of one student."""

    student: str
    notebook: Path
    parameters: dict[str, Any]  # those that this notebook has
    out: Path  # the student's folder

    @property
    def record(self) -> Path:
        """Where the result is kept."""
        return self.out / f"{self.notebook.stem}.json"

    def key(self) -> dict[str, Any]:
        """What a result belongs to: another notebook or other parameters need another run."""
        code = hashlib.sha256(self.notebook.read_bytes()).hexdigest()
        return {"notebook_sha256": code, "parameters": self.parameters}


def self_check_results(executed: Path) -> dict[str, str]:
    """What the self-checks of an executed notebook said: exercise -> solved or not solved yet.

    Args:
        executed: the notebook; missing or broken, it has no results.
    """
    import nbformat

    try:
        cells = nbformat.read(executed, as_version=4).cells
    except Exception:  # nbformat raises many kinds for a broken file
        return {}
    printed = (
        output.get("text", "")
        for cell in cells
        if cell.cell_type == "code"
        for output in cell.get("outputs", [])
        if output.get("name") == "stdout"
    )
    return {number: said for text in printed for number, said in SELF_CHECK.findall(text)}


def tasks_of(
    students: Iterable[Student],
    out: Path,
    names: Sequence[str] = (),
    folder: Path | None = None,
    shared: Mapping[str, Any] | None = None,
) -> list[Task]:
    """All notebooks of all students; a parameter goes to the notebooks that have it.

    Args:
        students: the class.
        out: gets a folder for each student.
        names: beginnings of notebook names; none means all.
        folder: the course's notebooks; None looks for them.
        shared: parameters for everyone; a student's own value wins.

    Raises:
        InputError: no such notebook, or a parameter that none of a student's notebooks has.
    """
    folder = folder or find_notebooks()
    chosen = select_notebooks(folder, names)
    if not chosen:
        raise InputError(f"there are no notebooks in {folder}")
    known: dict[Path, set[str]] = {}
    tasks = []
    for student in students:
        wanted = {"seed": student.seed, **(shared or {}), **student.parameters}
        unused = set(wanted) - {"seed"}
        for original in chosen:
            path = student.notebook(original)
            if path not in known:
                known[path] = _parameter_names(path)
            fitting = {k: v for k, v in wanted.items() if k in known[path]}
            unused -= set(fitting)
            tasks.append(Task(student.name, path, fitting, out / student.name))
        if unused:
            raise InputError(
                f"no notebook of {student.name} has a parameter {', '.join(sorted(unused))}"
            )
    return tasks


def _parameter_names(path: Path) -> set[str]:
    """Names in the parameters cell; none for a file that is no notebook (its run will say so)."""
    from papermill import inspect_notebook

    try:
        return set(inspect_notebook(str(path)))
    except Exception:  # papermill and nbformat raise many kinds for a broken file
        return set()


def run_class(
    tasks: Sequence[Task],
    out: Path,
    at_once: int | None = None,
    time_limit: float = 1800.0,
) -> list[dict[str, Any]]:
    """Run what has no result yet, or failed last time; keep DIR/class.csv up to date.

    Args:
        tasks: see `tasks_of`.
        out: folder of the table.
        at_once: notebooks that run side by side; None: as many as there are processors.
        time_limit: seconds after which a notebook is stopped and counts as failed.

    Returns:
        one record a task: student, notebook, seconds, error (None when all cells ran), checks,
        parameters.

    Raises:
        InputError: `out` cannot be written.
        KeyboardInterrupt: Ctrl-C; finished notebooks are kept, a later call goes on.
    """
    at_once = at_once or os.cpu_count() or 1
    threads = max(1, (os.cpu_count() or 1) // at_once)
    write_table(tasks, out)  # refuse an unwritable folder before any run
    waiting = [task for task in tasks if _finished(task) is None]
    print(f"{len(tasks)} notebooks, {len(tasks) - len(waiting)} of them done", flush=True)
    context = multiprocessing.get_context("spawn")
    running: dict[Any, tuple[Task, Any, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                task = waiting.pop(0)
                task.record.unlink(missing_ok=True)
                process = context.Process(target=_work, args=(task, threads))
                process.start()
                running[process.sentinel] = (task, process, time.monotonic())
            ended = wait(list(running), timeout=POLL)
            for sentinel, (task, process, started) in list(running.items()):
                seconds = time.monotonic() - started
                if sentinel not in ended and seconds < time_limit:
                    continue
                late = sentinel not in ended
                if late:
                    process.terminate()
                process.join()
                del running[sentinel]
                if late or not task.record.is_file():
                    why = f"stopped after {time_limit:g} seconds" if late else None
                    why = why or f"the process ended with code {process.exitcode}"
                    _keep(task, seconds, why, {})
                _report(task)
                write_table(tasks, out)
    finally:
        for _, process, _ in running.values():
            process.terminate()
        for _, process, _ in running.values():
            process.join()
    return write_table(tasks, out)


def _work(task: Task, threads: int) -> None:
    """The process of one notebook: run it, write its page, keep the result."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    started = time.perf_counter()
    try:
        run = run_notebook(task.notebook, task.out, task.parameters)
        error, seconds = run.error, run.seconds
    except KeyboardInterrupt:
        return  # no result: the next call runs it again
    except Exception as failure:  # whatever is wrong with one student's file stays with her
        error = (f"{type(failure).__name__}: {failure}".splitlines() or ["failed"])[0]
        seconds = time.perf_counter() - started
    if error and "KeyboardInterrupt" in error:
        return
    _keep(task, seconds, error, self_check_results(task.out / task.notebook.name))


def _end_with_parent() -> None:
    """Stop when the call that started this process was killed; the kernel ends with its parent."""
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive():
        time.sleep(1.0)
    os._exit(1)


def _keep(task: Task, seconds: float, error: str | None, checks: dict[str, str]) -> None:
    """Write the result of one notebook."""
    result = {"seconds": round(seconds, 1), "error": error, "checks": checks}
    write_json(task.record, {**task.key(), **result})


def _read(task: Task) -> dict[str, Any] | None:
    """The result kept for this notebook with these parameters, if there is one."""
    try:
        record = json.loads(task.record.read_text(encoding="utf-8"))
        key = json.loads(json.dumps(task.key()))
        return record if all(record.get(k) == v for k, v in key.items()) else None
    except (OSError, ValueError, AttributeError):
        return None


def _finished(task: Task) -> dict[str, Any] | None:
    """A result that needs no other run."""
    record = _read(task)
    return record if record is not None and record["error"] is None else None


def _report(task: Task) -> None:
    record = _read(task) or {"error": "no result", "seconds": 0.0, "checks": {}}
    solved = sum(said == "solved" for said in record["checks"].values())
    said = record["error"] or f"ok, {solved} of {len(record['checks'])} exercises solved"
    print(f"{task.student}, {task.notebook.stem}: {said} ({record['seconds']:.1f} s)", flush=True)


def write_table(tasks: Sequence[Task], out: Path) -> list[dict[str, Any]]:
    """Write class.csv, one line a notebook; returns the records."""
    records = []
    for task in tasks:
        found = _read(task) or {"seconds": "", "error": "not run yet", "checks": {}}
        facts = {"student": task.student, "notebook": task.notebook.stem}
        records.append({**found, **facts, "parameters": task.parameters})
    exercises = sorted({number for r in records for number in r["checks"]}, key=int)
    head = ["student", "notebook", "result", "seconds", "solved", "exercises"]
    with (
        atomic_path(out / TABLE) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow([*head, *(f"exercise {number}" for number in exercises), "parameters"])
        for r in records:
            solved = sum(said == "solved" for said in r["checks"].values())
            row = [r["student"], r["notebook"], r["error"] or "ok", r["seconds"]]
            row += [solved, len(r["checks"]), *(r["checks"].get(n, "") for n in exercises)]
            table.writerow([*row, json.dumps(r["parameters"])])
    return records


def write_pages(tasks: Sequence[Task]) -> None:
    """Every student's index.html, with the notebooks that have run."""
    runs: dict[Path, list[NotebookRun]] = {}
    for task in tasks:
        record = _read(task)
        if record is not None:
            run = NotebookRun(task.notebook.stem, task.notebook.stem, record["seconds"])
            if task.notebook.is_file() and record["error"] is None:
                run = replace(run, title=title_of(task.notebook))
            runs.setdefault(task.out, []).append(replace(run, error=record["error"]))
    for folder, found in runs.items():
        write_index(folder, found)
