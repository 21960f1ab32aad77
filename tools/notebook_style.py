"""The rules for a notebook's form: what a test refuses and `notebooks.py check` prints.

They keep the course in one shape (the same parts in the same order), readable without running
(outputs present and fresh, figures with alt text) and light (500 KB). What a notebook teaches no
rule can check.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
from notebook_format import NOTEBOOKS, ROOT, STAMP, code_hash, read, setup_source, tags

MAX_BYTES = 500 * 1024
MAX_CELL_LINES = 45
MAX_CELLS = 80
MAX_WORDS = 3000
WITH_EXERCISES = {*(f"{number:02}" for number in range(1, 13)), "14"}  # 00 and 13 may have some
MACHINE_PATH = re.compile(
    r"(?<![\w.:/])/(?:home|root|work|tmp|Users|var|opt|usr|mnt|content)/|\b[A-Z]:\\(?:Users|\w+\\)"
)
IMAGE = re.compile(r"!\[(?P<alt>[^\]]*)\]\((?P<target>[^)\s]+)[^)]*\)")
HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
HTML_TARGET = re.compile(r"<(?:img|a)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"", re.IGNORECASE)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)[^)]*\)")
SELF_CHECK = re.compile(r"^Exercise (\d+): (solved|not solved yet)", re.MULTILINE)


def problems(path: Path) -> list[str]:
    """Every rule that a notebook breaks, one sentence each."""
    notebook = read(path)
    found = [
        *_file(path),
        *_code(notebook),
        *_outputs(notebook),
        *_parameters(notebook),
        *_text(path, notebook),
    ]
    if path.parent.name == "solutions":
        found += _solutions(path, notebook)
    else:
        found += _template(path, notebook)
    return found


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The code cells that hold code."""
    return [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]


def output_text(cell: nbformat.NotebookNode) -> str:
    """What a cell printed or showed as text."""
    parts = []
    for output in cell.get("outputs", []):
        parts.append(output.get("text", ""))
        parts.append(output.get("data", {}).get("text/plain", ""))
        parts.append(output.get("data", {}).get("text/html", ""))
    return "\n".join(parts)


def broken_links(path: Path, text: str) -> list[str]:
    """Relative link targets in Markdown that do not exist, as seen from the file's folder."""
    targets = [m["target"] for m in LINK.finditer(text)] + HTML_TARGET.findall(text)
    broken = []
    for target in targets:
        if re.match(r"[a-z][a-z0-9+.-]*:|#", target):
            continue
        if not (path.parent / unquote(target.split("#")[0])).exists():
            broken.append(f"the link to {target} leads nowhere")
    return broken


def missing_alt(text: str) -> list[str]:
    """Pictures in Markdown without alternative text."""
    found = [m["target"] for m in IMAGE.finditer(text) if not m["alt"].strip()]
    found += [tag for tag in HTML_IMAGE.findall(text) if not re.search(r'\balt="[^"]+"', tag)]
    return [f"the picture {target} has no alt text" for target in found]


def _file(path: Path) -> list[str]:
    size = path.stat().st_size
    return [f"{size} bytes are more than {MAX_BYTES}"] if size > MAX_BYTES else []


def _code(notebook: nbformat.NotebookNode) -> list[str]:
    """Set-up cell, stamp, order of execution, length of cells, imports."""
    found = []
    setup = [c for c in notebook.cells if "setup" in tags(c)]
    if len(setup) != 1:
        found.append(f"{len(setup)} cells are tagged setup, there must be one")
    elif setup[0].source != setup_source():
        found.append("the set-up cell is out of date: run tools/notebooks.py badges")
    stamp = notebook.metadata.get(STAMP, {}).get("code_sha256")
    if stamp != code_hash(notebook):
        found.append("the code has changed since the outputs were made: run tools/notebooks.py")
    cells = code_cells(notebook)
    if [c.execution_count for c in cells] != list(range(1, len(cells) + 1)):
        found.append("the cells were not run in order from the top")
    for index, cell in enumerate(cells, start=1):
        lines = len(cell.source.splitlines())
        if lines > MAX_CELL_LINES:
            found.append(f"code cell {index} has {lines} lines, more than {MAX_CELL_LINES}")
        if re.search(r"^\s*from \S+ import \*", cell.source, re.MULTILINE):
            found.append(f"code cell {index} imports *")
        if "sys.path" in cell.source:
            found.append(f"code cell {index} changes sys.path; import the installed package")
        if MACHINE_PATH.search(cell.source):
            found.append(f"code cell {index} names a path of one machine")
    return found


def _outputs(notebook: nbformat.NotebookNode) -> list[str]:
    """No errors, warnings or machine paths; an alt text for every figure."""
    found = []
    for index, cell in enumerate(code_cells(notebook), start=1):
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"code cell {index} ended in an error: {output.ename}")
            if output.get("name") == "stderr" and "Warning" in output.text:
                found.append(f"code cell {index} shows a warning: {output.text.strip()[:80]}")
            for kind in ("image/png", "image/jpeg", "image/svg+xml"):
                alt = output.get("metadata", {}).get(kind, {}).get("alt", "")
                if kind in output.get("data", {}) and not alt.strip():
                    found.append(
                        f"a figure of code cell {index} has no alt text: show it with plots.show"
                    )
        text = output_text(cell)
        if path := MACHINE_PATH.search(text):
            around = text[max(0, path.start() - 10) : path.end() + 30]
            found.append(f"an output of code cell {index} names a path of one machine: {around!r}")
        found += [f"{problem} (output of code cell {index})" for problem in missing_alt(text)]
    return found


def _parameters(notebook: nbformat.NotebookNode) -> list[str]:
    """The parameters cell: `name: type = literal  # comment`, one a line."""
    cells = [c for c in notebook.cells if "parameters" in tags(c)]
    if not cells:
        return []
    found = [] if len(cells) == 1 else ["more than one cell is tagged parameters"]
    lines = cells[0].source.splitlines()
    for statement in ast.parse(cells[0].source).body:
        line = lines[statement.lineno - 1]
        if not isinstance(statement, ast.AnnAssign) or statement.value is None:
            found.append(f"the parameters cell holds more than `name: type = value`: {line}")
            continue
        try:
            ast.literal_eval(statement.value)
        except ValueError:
            found.append(f"a parameter is not a literal, papermill cannot read it: {line}")
        if "#" not in line or statement.end_lineno != statement.lineno:
            found.append(f"a parameter is not one line with a comment that explains it: {line}")
    return found


def _text(path: Path, notebook: nbformat.NotebookNode) -> list[str]:
    """A title first; links that lead somewhere; pictures with alt text; not too long."""
    found = []
    markdown = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    opening = next((c for c in notebook.cells if "badge" not in tags(c)), None)
    if opening is None or opening.cell_type != "markdown" or not opening.source.startswith("# "):
        found.append("the first cell is not Markdown that begins with a title (# …)")
    if sum(bool(re.match(r"# ", text)) for text in markdown) > 1:
        found.append("there is more than one title; sections begin with ##")
    for text in markdown:
        found += broken_links(path, text) + missing_alt(text)
        if "base64," in text:
            found.append("a picture is stored inside Markdown; keep it as a file")
        if MACHINE_PATH.search(text):
            found.append(f"the text names a path of one machine: {text[:80]!r}")
    words = sum(len(text.split()) for text in markdown)
    if words > MAX_WORDS:
        found.append(f"{words} words are more than {MAX_WORDS}")
    if len(notebook.cells) > MAX_CELLS:
        found.append(f"{len(notebook.cells)} cells are more than {MAX_CELLS}; split the notebook")
    return found


def _template(path: Path, notebook: nbformat.NotebookNode) -> list[str]:
    """The parts that every lesson has, in order."""
    found = []
    if not any("parameters" in tags(c) for c in notebook.cells):
        found.append("no cell is tagged parameters")
    markdown = [c.source for c in notebook.cells if c.cell_type == "markdown" and not tags(c)]
    opening = markdown[0] if markdown else ""
    for word in ("**Time on a CPU:**", "**Needs:**", "you will be able to"):
        if word.lower() not in opening.lower():
            found.append(f"the title cell does not say {word!r}")
    wanted = ["Summary"]
    if path.name[:2] in WITH_EXERCISES:
        wanted += ["Exercises", "Further reading"]
    headings = re.findall(r"^## (.+?)\s*$", "\n".join(markdown), re.MULTILINE)
    places = [headings.index(h) if h in headings else -1 for h in wanted]
    found += [f"there is no section '## {h}'" for h, i in zip(wanted, places, strict=True) if i < 0]
    if -1 not in places and places != sorted(places):
        found.append(f"the last sections must be in the order {', '.join(wanted)}")
    if path.name[:2] in WITH_EXERCISES:
        if not (NOTEBOOKS / "solutions" / path.name).is_file():
            found.append(f"there is no notebooks/solutions/{path.name}")
        checks = [c for c in notebook.cells if "self-check" in tags(c)]
        if not 3 <= len(checks) <= 4:
            found.append(f"{len(checks)} cells are tagged self-check, there must be three or four")
        if "\n".join(markdown).count("<details>") < len(checks):
            found.append("an exercise has no hint in <details>")
    for cell in notebook.cells:
        if "self-check" in tags(cell) and verdicts(cell) != ["not solved yet"]:
            found.append(f"a self-check passes on the untouched stub: {output_text(cell)[:80]!r}")
    return found


def _solutions(path: Path, notebook: nbformat.NotebookNode) -> list[str]:
    """The same self-checks as in the lesson, all of them passed."""
    lesson = NOTEBOOKS / path.name
    if not lesson.is_file():
        return [f"there is no lesson notebooks/{path.name} for these solutions"]
    checks = [c for c in notebook.cells if "self-check" in tags(c)]
    asked = [c.source for c in read(lesson).cells if "self-check" in tags(c)]
    found = []
    if [c.source for c in checks] != asked:
        found.append("the self-checks are not those of the lesson, word for word")
    for cell in checks:
        if verdicts(cell) != ["solved"]:
            found.append(f"a self-check refuses the solution: {output_text(cell)[:120]!r}")
    return found


def verdicts(cell: nbformat.NotebookNode) -> list[str]:
    """What the self-check of one cell printed."""
    return [verdict for _, verdict in SELF_CHECK.findall(output_text(cell))]


def markdown_files() -> list[Path]:
    """The repository's Markdown pages whose links a test follows."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("simpleclick_lite/**/*.md")]
    return sorted([*pages, *ROOT.glob("benchmarks/**/*.md"), *ROOT.glob("data_scripts/**/*.md")])
