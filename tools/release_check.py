"""Does the course run from a wheel? Build one, and run notebooks with it in empty folders.

    python tools/release_check.py [NAME …]      names as in tools/notebooks.py; none means all

The wheel is installed without its dependencies, which come from this environment, into a folder
that stands first on the kernel's path: so the package's files come from the wheel alone, and a
file that is missing there is noticed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from notebook_format import ROOT, every_notebook, short_name
from papermill.exceptions import PapermillExecutionError

from simpleclick_lite.course import execute_notebook
from simpleclick_lite.errors import InputError


def install_wheel(folder: Path) -> Path:
    """Build a wheel of the working tree and unpack it.

    Args:
        folder: an empty folder, which gets the wheel and the installed package.

    Returns:
        The folder to put first on PYTHONPATH.
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    site = folder / "site"
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, **quiet)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], **quiet)
    return site


def run_alone(notebook: Path, site: Path, folder: Path) -> float:
    """Run one notebook in an empty folder, the package coming from `site`.

    Returns:
        Seconds it took.

    Raises:
        RuntimeError: the package was not imported from `site`.
        papermill.PapermillExecutionError: a cell failed.
    """
    work = folder / "work" / notebook.stem
    work.mkdir(parents=True)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(site)
    try:
        ask = [sys.executable, "-c", "import simpleclick_lite as s; print(s.__file__)"]
        found = subprocess.run(ask, cwd=work, check=True, capture_output=True, text=True).stdout
        if not Path(found.strip()).is_relative_to(site):
            raise RuntimeError(f"the package came from {found.strip()}, not from the wheel")
        started = time.perf_counter()
        execute_notebook(notebook, folder / "executed" / notebook.name, cwd=work, progress=True)
        return time.perf_counter() - started
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def main(names: list[str]) -> int:
    """Check the notebooks; returns the number of those that failed."""
    notebooks = every_notebook(names)
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        print("building the wheel", flush=True)
        site = install_wheel(folder)
        for notebook in notebooks:
            try:
                target = folder / "solutions" if notebook.parent.name == "solutions" else folder
                seconds = run_alone(notebook, site, target)
            except PapermillExecutionError as error:
                failed += 1
                print(f"{short_name(notebook)}: FAILED\n{error}", flush=True)
            else:
                print(f"{short_name(notebook)}: ok, {seconds:.1f} s", flush=True)
    print(f"{len(notebooks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"error: {error}")
