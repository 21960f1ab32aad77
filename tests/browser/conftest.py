"""One JupyterLab and one Chromium for all browser tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_page import CHROMIUM, FLAGS, ROOT, JupyterLab, NotebookPage, poll

# a tool on two photographs with a predictor that is fast and whose answers are known
FAKE_CELL = f"""\
sys.path.insert(0, {str(ROOT / "tests")!r})
from fake_predictor import FakePredictor
from simpleclick_lite.data import photos
from simpleclick_lite.widget import ClickTool
images = {{name: photos.photo(name) for name in ("coffee", "chelsea")}}
tool = ClickTool(images, FakePredictor(40, seconds=0.3), out_dir="annotations")
tool
"""


@pytest.fixture(scope="session")
def lab(require, tmp_path_factory) -> Iterator[JupyterLab]:
    """A server that shows an empty folder."""
    for package in ("jupyterlab", "ipycanvas", "ipyevents", "anywidget", "playwright"):
        require(importlib.util.find_spec(package), f"{package} is not installed")
    server = JupyterLab(tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("home"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def browser(require) -> Iterator[object]:
    """The system's Chromium, without a window."""
    require(CHROMIUM, "no chromium on the PATH")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False
        )
        yield chromium
        chromium.close()


@pytest.fixture
def open_notebook(lab, browser) -> Iterator[Callable[..., NotebookPage]]:
    """`open_notebook(path)` copies a notebook to a folder of its own and opens it."""
    opened: list[NotebookPage] = []

    def _open(source: Path, **how: object) -> NotebookPage:
        folder = lab.root / f"{source.stem}-{len([*lab.root.iterdir()])}"
        folder.mkdir()
        (folder / source.name).write_bytes(source.read_bytes())
        opened.append(NotebookPage(lab, browser, f"{folder.name}/{source.name}", **how))
        opened[-1].folder = folder
        return opened[-1]

    yield _open
    for page in opened:
        page.close()


@pytest.fixture
def fake(open_notebook, tmp_path):
    """`fake()` opens a notebook with the tool on the fake predictor and runs it.

    `without` names packages that seem not to be installed; `among` other cells, the tool is the
    second of three, and the others are as high as the window.
    """
    import nbformat

    kernel = {"name": "python3", "display_name": "Python 3"}

    def _fake(without: tuple[str, ...] = (), among: bool = False, **how) -> NotebookPage:
        missing = "".join(f"sys.modules[{name!r}] = None\n" for name in without)
        cell = nbformat.v4.new_code_cell("import sys\n" + missing + FAKE_CELL)
        high = [nbformat.v4.new_markdown_cell("\n\n".join(["text"] * 40)) for _ in "ab"]
        cells = [high[0], cell, high[1]] if among else [cell]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, tmp_path / "fake.ipynb")
        page = open_notebook(tmp_path / "fake.ipynb", **how)
        page.run_all()
        page.canvas.wait_for()
        poll(lambda: page.pixels().std() > 20, "the photograph is on the canvas")
        if "anywidget" not in without:
            page.page.locator(".click-tool[tabindex]").wait_for()  # keys are caught
        return page

    return _fake
