"""The pages that a run of the course leaves behind: one a notebook, and the index of all."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .files import atomic_path, write_png

THUMBNAIL = 320  # pixels, the width of a picture on the index page


@dataclass(frozen=True)
class NotebookRun:
    """What came of one notebook."""

    name: str  # file name without .ipynb
    title: str  # its first heading
    seconds: float
    error: str | None = None  # one line, None when every cell ran


def title_of(path: Path) -> str:
    """The first heading of a notebook, its name where it has none."""
    import nbformat

    for cell in nbformat.read(path, as_version=4).cells:
        for line in cell.source.splitlines():
            if cell.cell_type == "markdown" and line.startswith("# "):
                return line.removeprefix("# ").strip()
    return path.stem


def write_page(executed: Path, out: Path, title: str) -> None:
    """Write an executed notebook as HTML, and its last figure as the thumbnail."""
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(executed, as_version=4)
    figures = [
        data[kind]
        for cell in notebook.cells
        for data in (output.get("data", {}) for output in cell.get("outputs", []))
        for kind in ("image/png", "image/jpeg")
        if kind in data
    ]
    if figures:
        pixels = np.frombuffer(base64.b64decode(figures[-1]), np.uint8)
        picture = cv2.imdecode(pixels, cv2.IMREAD_COLOR)[..., ::-1]
        scale = min(1, THUMBNAIL / picture.shape[1])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        write_png(out / "thumbnails" / f"{executed.stem}.png", small)
    body, _ = HTMLExporter().from_notebook_node(notebook, {"metadata": {"name": title}})
    with atomic_path(executed.with_suffix(".html")) as page:
        page.write_text(body, encoding="utf-8")


_INDEX = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>SimpleClick Lite: the course</title>
<style>
body {{ font-family: sans-serif; margin: 2em auto; max-width: 60em; color: #222 }}
td, th {{ padding: .5em 1em; text-align: left; border-bottom: 1px solid #ccc }}
img {{ width: 160px; max-height: 120px; object-fit: contain }}
.failed {{ color: #b00020; font-weight: bold }}
</style>
<h1>SimpleClick Lite: the course</h1>
<p>{ran} of {total} notebooks ran without an error, in {seconds:.0f} seconds together.</p>
<table><tr><th></th><th>Notebook</th><th>Seconds</th><th>Result</th></tr>
{rows}
</table></html>
"""


def write_index(out: Path, runs: list[NotebookRun]) -> None:
    """Write `index.html`: a row a notebook with links, time, result and thumbnail."""
    rows = []
    for run in runs:
        thumbnail = f"thumbnails/{run.name}.png"
        title = html.escape(run.title)
        image = f'<img src="{thumbnail}" alt="last figure of {title}">'
        picture = image if (out / thumbnail).is_file() else ""
        result = f'<td class="failed">{html.escape(run.error)}</td>' if run.error else "<td>ok</td>"
        rows.append(
            f'<tr><td>{picture}</td><td><a href="{run.name}.html">{title}</a> '
            f'(<a href="{run.name}.ipynb">.ipynb</a>)</td><td>{run.seconds:.1f}</td>{result}</tr>'
        )
    page = _INDEX.format(
        ran=sum(run.error is None for run in runs),
        total=len(runs),
        seconds=sum(run.seconds for run in runs),
        rows="\n".join(rows),
    )
    with atomic_path(out / "index.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
