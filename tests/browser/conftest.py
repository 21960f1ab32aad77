"""One JupyterLab and one Chromium for all browser tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_page import CHROMIUM, FLAGS, JupyterLab, NotebookPage


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
