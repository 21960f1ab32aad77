"""Notebooks as text and back, and the cells that depend on the repository's address.

Used by notebooks.py (the command line) and notebook_style.py (the rules a test enforces).
"""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

from simpleclick_lite.errors import InputError
from simpleclick_lite.files import atomic_path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
STAMP = "simpleclick_lite"  # the notebook's metadata entry that holds the hash
MARKER = re.compile(r"^# %%(?P<markdown> \[markdown\])?(?: tags=(?P<tags>\[.*\]))?\s*$")

SETUP = """\
# Set-up: where the package is missing (Colab), install it; elsewhere only say what is used.
import importlib.util
import platform

if importlib.util.find_spec("simpleclick_lite") is None:
    {install}

import torch

import simpleclick_lite as scl

print(f"simpleclick_lite {{scl.__version__}}, torch {{torch.__version__}},", end=" ")
print(f"Python {{platform.python_version()}} on {{platform.system()}}")"""
INSTALL = '%pip install --quiet "simpleclick-lite[widget] @ git+{repository}"'
NO_INSTALL = 'raise ModuleNotFoundError("install the package first, as the README says")'
COLAB = "https://colab.research.google.com"
BADGE = "[![Open in Colab]({colab}/assets/colab-badge.svg)]({colab}/github/{slug}/blob/main/{path})"


def every_notebook(names: list[str] | None = None) -> list[Path]:
    """All notebooks of the course and their solutions, or those that begin with one of `names`."""
    paths = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
    paths += sorted((NOTEBOOKS / "solutions").glob("[0-9]*.ipynb"))
    if not names:
        return paths
    wanted = [n.removeprefix("notebooks/").removesuffix(".ipynb") for n in names]
    found = {n: [p for p in paths if short_name(p).startswith(n)] for n in wanted}
    for name, hits in found.items():
        if not hits:
            raise InputError(f"there is no notebook {name} in {NOTEBOOKS}")
    return [path for path in paths if any(path in hits for hits in found.values())]


def short_name(path: Path) -> str:
    """`03_plain_vit`, or `solutions/03_plain_vit`."""
    return path.relative_to(NOTEBOOKS).with_suffix("").as_posix()


def repository() -> str:
    """The public address from pyproject.toml, without a slash at the end; may be empty."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return project["tool"]["simpleclick-lite"]["repository"].rstrip("/")


def tags(cell: nbformat.NotebookNode) -> list[str]:
    """A cell's tags."""
    return cell.metadata.get("tags", [])


def code_hash(notebook: nbformat.NotebookNode) -> str:
    """SHA-256 of the code cells, without the set-up cell, which depends on the address."""
    sources = [c.source for c in notebook.cells if c.cell_type == "code" and "setup" not in tags(c)]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def read(path: Path) -> nbformat.NotebookNode:
    """A notebook as nbformat reads it."""
    return nbformat.read(path, as_version=4)


def write(path: Path, notebook: nbformat.NotebookNode) -> None:
    """Write a valid notebook, one space of indentation, atomically."""
    nbformat.validate(notebook)
    with atomic_path(path) as temporary:
        nbformat.write(notebook, temporary)


# --- text to notebook and back ----------------------------------------------------------------


def from_text(text: str) -> nbformat.NotebookNode:
    """Percent format to a notebook without outputs.

    A line `# %%` opens a code cell, `# %% [markdown]` a Markdown cell whose lines each begin
    with `# `; `tags=["parameters"]` may follow. What stands before the first marker is dropped.
    A cell tagged `setup` is filled in from the template above.
    """
    cells: list[nbformat.NotebookNode] = []
    seen: dict[str, int] = {}
    blocks: list[tuple[re.Match, list[str]]] = []
    for line in text.splitlines():
        marker = MARKER.match(line)
        if marker:
            blocks.append((marker, []))
        elif line.startswith("# %%"):
            raise InputError(f"cannot read the cell marker {line!r}")
        elif blocks:
            blocks[-1][1].append(line)
    for marker, lines in blocks:
        if marker["markdown"]:
            lines = [re.sub(r"^# ?", "", line) for line in lines]
        source = "\n".join(lines).strip("\n")
        cell = (new_markdown_cell if marker["markdown"] else new_code_cell)(source)
        if marker["tags"]:
            cell.metadata["tags"] = ast.literal_eval(marker["tags"])
        if "setup" in tags(cell):
            cell.source = setup_source()
        # an id from the content, so that an edit changes only its own cell in a diff
        digest = hashlib.sha256(source.encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        cells.append(cell)
    notebook = new_notebook(cells=cells)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "file_extension": ".py"},
        }
    )
    return notebook


def to_text(notebook: nbformat.NotebookNode) -> str:
    """A notebook in percent format, the inverse of `from_text` (outputs and badge left out)."""
    parts = []
    for cell in notebook.cells:
        if "badge" in tags(cell):
            continue
        markdown = cell.cell_type == "markdown"
        marker = "# %% [markdown]" if markdown else "# %%"
        if tags(cell):
            marker += " tags=[" + ", ".join(f'"{tag}"' for tag in tags(cell)) + "]"
        lines = cell.source.splitlines()
        if "setup" in tags(cell):
            lines = []
        if markdown:
            lines = [f"# {line}".rstrip() for line in lines]
        parts.append("\n".join([marker, *lines]))
    return "\n\n".join(parts) + "\n"


# --- what depends on the repository's address --------------------------------------------------


def setup_source() -> str:
    """The source of every notebook's set-up cell."""
    address = repository()
    return SETUP.format(install=INSTALL.format(repository=address) if address else NO_INSTALL)


def write_address(path: Path, notebook: nbformat.NotebookNode) -> None:
    """Bring the badge and the set-up cell of one notebook up to date, in place."""
    notebook.cells = [cell for cell in notebook.cells if "badge" not in tags(cell)]
    slug = repository().removeprefix("https://github.com/")
    if slug:
        badge = BADGE.format(colab=COLAB, slug=slug, path=path.relative_to(ROOT).as_posix())
        cell = new_markdown_cell(badge, id="badge", metadata={"tags": ["badge"]})
        notebook.cells.insert(0, cell)
    for cell in notebook.cells:
        if "setup" in tags(cell):
            cell.source = setup_source()
