"""Photograph the click tool in a real JupyterLab page: docs/figures/click_tool.png.

    python tools/click_tool_picture.py [--photo NAME] [--objects NAME …] [--clicks N] [--out FILE]

The robot clicks on known objects of `photos`, the weights are the shipped ones. Run it again when
the weights or the tool's looks change. Needs chromium and playwright, as the browser tests do.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import nbformat
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "browser"))
from lab_page import CHROMIUM, FLAGS, JupyterLab, NotebookPage  # noqa: E402

CELL = """
from simpleclick_lite.data import Sample, photos
from simpleclick_lite.simulation import robot_click
from simpleclick_lite.widget import ClickTool

tool = ClickTool({{{photo!r}: photos.photo({photo!r})}}, out_dir="annotations")
for name in {objects!r}:
    truth = photos.load_object({photo!r} + "/" + name).mask
    for _ in range({clicks}):
        target = tool.session.current
        click = robot_click(tool.session.mask(), truth, target.clicks if target else ())
        tool.session.add_click(click.x, click.y, click.positive)
    tool.session.rename(name)
    if name != {objects!r}[-1]:
        tool.session.finish()
tool._screen.refresh()
tool
"""


def main() -> None:
    """Take the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", default="astronaut")
    parser.add_argument("--objects", nargs="+", default=["helmet", "head"])
    parser.add_argument("--clicks", type=int, default=5, help="on each object")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "figures" / "click_tool.png")
    args = parser.parse_args()
    source = CELL.format(photo=args.photo, objects=args.objects, clicks=args.clicks)
    kernel = {"name": "python3", "display_name": "Python 3"}
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source)], metadata={"kernelspec": kernel}
    )
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root, home = Path(folder, "root"), Path(folder, "home")
        root.mkdir()
        home.mkdir()
        nbformat.write(notebook, root / "tool.ipynb")
        lab = JupyterLab(root, home)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = NotebookPage(lab, browser, "tool.ipynb", size=(1400, 1300))
            page.run_all()
            page.wait_status(f"{args.clicks} clicks")
            args.out.parent.mkdir(parents=True, exist_ok=True)
            page.page.wait_for_timeout(1000)  # the last frame is painted
            page.page.locator(".click-tool").screenshot(path=args.out)
            page.close()
        finally:
            browser.close()
            lab.close()
    print(f"wrote {args.out}, {args.out.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
