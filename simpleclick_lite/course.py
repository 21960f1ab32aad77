"""Run the course: every notebook in order, with a summary and an index page.

`simpleclick-lite course` and `make course` end here. The executed copies, their HTML pages and
`index.html` go to `runs/course`; the notebooks themselves are not touched. `self_check` is the
line under each exercise that tells the reader whether it is solved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from .course_pages import NotebookRun, title_of, write_index, write_page
from .errors import InputError
from .files import atomic_path

START_TIMEOUT = 300  # seconds; on a busy machine a kernel may take more than the usual minute


def self_check(number: int, check: Callable[[], object]) -> None:
    """Say whether an exercise is solved: `check` returns for a solution and raises otherwise.

    An unsolved exercise must not stop the notebook, so that the rest can be read and run.

    Args:
        number: the exercise's number, as in its heading.
        check: a function of no arguments whose assertions describe the wanted behaviour.
    """
    try:
        check()
    except Exception as error:  # the reader's code may fail in any way
        lines = str(error).strip().splitlines()
        detail = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        print(f"Exercise {number}: not solved yet ({detail})")
    else:
        print(f"Exercise {number}: solved")


def find_notebooks(start: Path | None = None) -> Path:
    """The course's notebooks folder, for a working directory anywhere in the repository.

    Raises:
        InputError: neither `start` nor the installed package lies in a checkout.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents, Path(__file__).resolve().parent.parent):
        if (folder / "notebooks").is_dir() and (folder / "simpleclick_lite").is_dir():
            return folder / "notebooks"
    raise InputError(
        f"{start} is not inside a checkout of the repository; the notebooks are only there"
    )


def select_notebooks(folder: Path, names: Iterable[str] = ()) -> list[Path]:
    """The numbered notebooks in order, or those whose names begin with one of `names`.

    Raises:
        InputError: a name that fits no notebook.
    """
    every = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    wanted = [Path(name).name.removesuffix(".ipynb") for name in names]
    for name in wanted:
        if not any(path.stem.startswith(name) for path in every):
            have = ", ".join(path.stem for path in every)
            raise InputError(f"there is no notebook {name}; there are {have}")
    return [p for p in every if not wanted or any(p.stem.startswith(name) for name in wanted)]


def check_parameters(path: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse names that the notebook's `parameters` cell lacks; papermill would only log them.

    Raises:
        InputError: an unknown name.
    """
    if not parameters:
        return
    from papermill import inspect_notebook

    known = set(inspect_notebook(str(path)))
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise InputError(
            f"{path.name} has no parameter {', '.join(unknown)}; "
            f"its parameters cell has {', '.join(sorted(known)) or 'none'}"
        )


def _kernel_manager() -> type:
    """A kernel of the running interpreter, whatever kernels the machine has registered."""
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    class ThisInterpreter(AsyncKernelManager):
        """Starts `sys.executable` instead of looking for a kernel by name."""

        @property
        def kernel_spec(self) -> KernelSpec:
            # runs sys.executable; the log level hides notes about its start and its end
            spec = KernelSpec(**get_kernel_dict(["--log-level=50"]))
            # figures are wanted inline even where the environment asks for a bare Agg
            spec.env = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
            return spec

    return ThisInterpreter


def execute_notebook(
    path: Path,
    output: Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    cwd: Path,
    cell_timeout: int | None = None,
    progress: bool = False,
) -> None:
    """Run one notebook with papermill, the running interpreter as its kernel.

    Args:
        path: the notebook, left as it is.
        output: the executed copy, also written when a cell fails.
        parameters: values for the `parameters` cell, by name.
        cwd: the folder in which its code runs; made if missing.
        cell_timeout: seconds after which a cell is stopped, None for no limit.
        progress: show a bar over the cells (only on a terminal).

    Raises:
        InputError: an unknown parameter name.
        papermill.PapermillExecutionError: a cell failed.
    """
    import papermill

    check_parameters(path, parameters or {})
    cwd.mkdir(parents=True, exist_ok=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    papermill.execute_notebook(
        str(path),
        str(output),
        parameters=dict(parameters or {}),
        cwd=str(cwd),
        kernel_name="python3",
        kernel_manager_class=_kernel_manager(),
        start_timeout=START_TIMEOUT,
        execution_timeout=cell_timeout,
        # disable=None: no bar where the output is not a terminal
        progress_bar={"desc": path.stem, "disable": None, "leave": False} if progress else False,
    )


def run_course(
    out: Path,
    names: Iterable[str] = (),
    parameters: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
) -> list[NotebookRun]:
    """Run the notebooks in order, go on after a failing one, and write the index page.

    Without `parameters` every notebook runs in its quick profile, which is its default.

    Args:
        out: folder of the executed copies, their pages and `index.html`.
        names: beginnings of notebook names, e.g. "03"; none means all.
        parameters: values for the parameters cells; every chosen notebook must know the names.
        folder: where the notebooks are; None looks for it.

    Returns:
        One entry a notebook, in order.

    Raises:
        InputError: no checkout, no such notebook, unknown parameter, `out` cannot be written.
    """
    folder = folder or find_notebooks()
    chosen = select_notebooks(folder, names)
    if not chosen:
        raise InputError(f"there are no notebooks in {folder}")
    for path in chosen:
        check_parameters(path, parameters or {})
    with atomic_path(out / "index.html") as page:  # refuse an unwritable folder before any run
        page.write_text("<p>The course is running.</p>\n", encoding="utf-8")

    runs: list[NotebookRun] = []
    for index, path in enumerate(chosen, start=1):
        print(f"[{index:2}/{len(chosen)}] {path.stem} ...", flush=True)
        run = run_notebook(path, out, parameters)
        runs.append(run)
        print(f"        {run.error or 'ok'} ({run.seconds:.1f} s)", flush=True)
        write_index(out, runs)
    return runs


def run_notebook(path: Path, out: Path, parameters: Mapping[str, Any] | None) -> NotebookRun:
    """Execute one notebook into `out`, with its page; a failure becomes one line.

    Args:
        path: the notebook.
        out: folder of the executed copy and the page; its code runs in out/files/NAME.
        parameters: values for its parameters cell; an unknown name is an InputError.
    """
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    executed = out / path.name
    error = None
    started = time.perf_counter()
    try:
        execute_notebook(path, executed, parameters, cwd=out / "files" / path.stem, progress=True)
    except PapermillExecutionError as failure:
        error = f"cell {failure.cell_index + 1}: {failure.ename}: {failure.evalue}".splitlines()[0]
    except (CellTimeoutError, DeadKernelError) as failure:
        error = f"{type(failure).__name__}: {failure}".splitlines()[0]
    seconds = time.perf_counter() - started
    title = title_of(path)
    write_page(executed, out, title)
    return NotebookRun(path.stem, title, seconds, error)


def summary(runs: list[NotebookRun]) -> str:
    """The runs as a table of plain text: notebook, seconds, result."""
    width = max([len("notebook"), *(len(run.name) for run in runs)])
    lines = [f"{'notebook':{width}}  seconds  result"]
    lines += [f"{run.name:{width}}  {run.seconds:7.1f}  {run.error or 'ok'}" for run in runs]
    total = sum(run.seconds for run in runs)
    failed = sum(run.error is not None for run in runs)
    lines.append(f"{'together':{width}}  {total:7.1f}  {failed or 'none'} failed")
    return "\n".join(lines)
