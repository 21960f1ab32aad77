"""Write, execute and stamp the course's notebooks.

    python tools/notebooks.py build SOURCE.py …       text in percent format -> notebooks/NAME.ipynb
    python tools/notebooks.py text NOTEBOOK.ipynb     a notebook as such text, on standard output
    python tools/notebooks.py execute [NAME …]        run in the quick profile, store the outputs
    python tools/notebooks.py check [NAME …]          what the style test would say
    python tools/notebooks.py badges                  write badges and set-up cells anew

A NAME is the beginning of a notebook's name ("03", "solutions/03"); none means all of them. Only
`execute` stores outputs, so every committed output came from the code above it: it stamps the
notebook with a hash of its code, and a test compares the two.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from notebook_format import (
    NOTEBOOKS,
    ROOT,
    STAMP,
    code_hash,
    every_notebook,
    from_text,
    read,
    repository,
    short_name,
    to_text,
    write,
    write_address,
)
from notebook_style import problems

from simpleclick_lite.course import execute_notebook
from simpleclick_lite.errors import InputError

CELL_TIMEOUT = 300  # seconds; a notebook's quick profile needs far less


def execute(path: Path) -> float:
    """Run one notebook in an empty folder, store its outputs and stamp it.

    Returns:
        Seconds it took.

    Raises:
        papermill.PapermillExecutionError: a cell failed; the notebook is left as it was.
    """
    notebook = read(path)
    write_address(path, notebook)
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "in", path.name), Path(folder, "out", path.name)
        source.parent.mkdir()
        nbformat.write(notebook, source)
        started = time.perf_counter()
        work = Path(folder, "work")
        execute_notebook(source, output, cwd=work, cell_timeout=CELL_TIMEOUT, progress=True)
        seconds = time.perf_counter() - started
        executed = read(output)
    copy_outputs(executed, notebook)
    notebook.metadata.pop("widgets", None)  # a stored widget cannot answer a click
    notebook.metadata[STAMP] = {"code_sha256": code_hash(notebook)}
    write(path, notebook)
    return seconds


def tidied(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook as ruff formats it; what ruff cannot mend is printed."""
    ruff = [sys.executable, "-m", "ruff"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "notebook.ipynb")
        write(path, notebook)
        config = ["--config", str(ROOT / "pyproject.toml")]
        subprocess.run([*ruff, "format", "--quiet", *config, str(path)], check=True)
        subprocess.run([*ruff, "check", "--fix", "--quiet", *config, str(path)], check=False)
        subprocess.run([*ruff, "format", "--quiet", *config, str(path)], check=True)
        return read(path)


def keep_outputs(old: nbformat.NotebookNode, new: nbformat.NotebookNode) -> None:
    """Carry outputs and stamp over where the code is the same: prose may change without a run."""
    if code_hash(old) != code_hash(new) or STAMP not in old.metadata:
        return
    copy_outputs(old, new)
    new.metadata[STAMP] = old.metadata[STAMP]


def copy_outputs(source: nbformat.NotebookNode, target: nbformat.NotebookNode) -> None:
    """Copy the outputs of the code cells, which are the same in both, in place."""
    pairs = [[c for c in n.cells if c.cell_type == "code"] for n in (source, target)]
    for done, cell in zip(*pairs, strict=True):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count


def build_command(args: argparse.Namespace) -> int:
    """`build`: one notebook for each text; outputs stay where the code is the same."""
    for source in args.sources:
        target = args.out.resolve() / source.with_suffix(".ipynb").name
        notebook = from_text(source.read_text(encoding="utf-8"))
        if target.is_relative_to(ROOT):
            write_address(target, notebook)
        notebook = tidied(notebook)
        if target.is_file():
            keep_outputs(read(target), notebook)
        write(target, notebook)
        print(f"wrote {target}")
    return 0


def text_command(args: argparse.Namespace) -> int:
    """`text`: print a notebook in percent format."""
    print(to_text(read(args.notebook)), end="")
    return 0


def execute_command(args: argparse.Namespace) -> int:
    """`execute`: run, store, stamp; a failing notebook is reported and left as it was."""
    from papermill.exceptions import PapermillExecutionError

    failed = 0
    for path in every_notebook(args.names):
        try:
            seconds = execute(path)
        except PapermillExecutionError as error:
            failed += 1
            print(f"{short_name(path)}: FAILED\n{error}", file=sys.stderr)
        else:
            size = path.stat().st_size / 1024
            print(f"{short_name(path)}: {seconds:.1f} s, {size:.0f} KB", flush=True)
            for problem in problems(path):
                print(f"    {problem}", flush=True)
    return 1 if failed else 0


def check_command(args: argparse.Namespace) -> int:
    """`check`: print what the style test would say."""
    found = [f"{short_name(p)}: {text}" for p in every_notebook(args.names) for text in problems(p)]
    print("\n".join(found) or "nothing to mend")
    return 1 if found else 0


def badges_command(args: argparse.Namespace) -> int:
    """`badges`: write badge and set-up cells of all notebooks from the address in pyproject."""
    for path in every_notebook():
        notebook = read(path)
        write_address(path, notebook)
        write(path, notebook)
    print(f"repository: {repository() or 'none, so no badges'}")
    return 0


def main() -> int:
    """Parse the command line and run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="text in percent format -> .ipynb")
    build.add_argument("sources", nargs="+", type=Path)
    build.add_argument("--out", type=Path, default=NOTEBOOKS, help="folder (default: notebooks)")
    build.set_defaults(run=build_command)
    text = commands.add_parser("text", help="a notebook as percent format, on standard output")
    text.add_argument("notebook", type=Path)
    text.set_defaults(run=text_command)
    for name, run in {"execute": execute_command, "check": check_command}.items():
        command = commands.add_parser(name)
        command.add_argument("names", nargs="*")
        command.set_defaults(run=run)
    commands.add_parser("badges").set_defaults(run=badges_command)
    args = parser.parse_args()
    try:
        return args.run(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
