"""Rules for the repository as a whole: its layout, what its files may contain, its docstrings."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import notebook_style
import pytest
from notebook_format import ROOT, repository

import simpleclick_lite

PACKAGE = ROOT / "simpleclick_lite"
LAYOUT = [
    *("README.md", "pyproject.toml", "environment.yml", "Makefile", ".ci/run", "LICENSE"),
    *("CONTRIBUTING.md", "CITATION.cff", "notebooks", "simpleclick_lite", "data_scripts"),
    *("tests", "benchmarks", "docs"),
]
SHAPE = re.compile(r"\((?:\w[\w+*/. -]*,\s*)+(?:\w[\w+*/. -]*)?\)|\(N,\)|0-d")
# modules of the model; they know nothing of data sets, and data sets know nothing of them
MODEL = {"embedding", "backbone", "pyramid", "head", "model", "checkpoint"}


def python_files() -> list[Path]:
    """Every Python file of the repository."""
    folders = ("simpleclick_lite", "tests", "tools", "data_scripts", "benchmarks")
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def package_files() -> list[Path]:
    """Every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def tracked() -> list[tuple[str, Path]]:
    """Mode and path of every file that git keeps; without git, of every file there is."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--stage", "-z"], cwd=ROOT, capture_output=True, check=True
        ).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return []
    rows = [line.split("\t", 1) for line in listed.split("\0") if line]
    return [(left.split()[0], ROOT / name) for left, name in rows if (ROOT / name).exists()]


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """A Python file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def relative(path: Path) -> str:
    """A path as a test's name."""
    return path.relative_to(ROOT).as_posix()


def test_the_layout_of_the_design_exists():
    missing = [name for name in LAYOUT if not (ROOT / name).exists()]
    assert not missing


def test_git_keeps_no_symlink_and_no_huge_file(require):
    files = tracked()
    require(files, "this is not a git checkout")
    assert not [relative(p) for mode, p in files if mode == "120000"], "symlinks fail on Windows"
    assert not [relative(p) for _, p in files if p.stat().st_size > 16e6]  # the weights, too


def test_tracked_text_names_no_path_of_one_machine(require):
    files = tracked()
    require(files, "this is not a git checkout")
    here = (str(ROOT.parent) + "/", str(Path.home()) + "/")
    found = []
    for _, path in files:
        data = path.read_bytes()
        if b"\0" not in data and any(place.encode() in data for place in here if place != "//"):
            found.append(relative(path))
    assert not found


def test_tracked_text_is_utf8_with_unix_line_ends(require):
    files = tracked()
    require(files, "this is not a git checkout")
    suffixes = {".py", ".md", ".toml", ".yml", ".cff", ".ipynb", ".json", ".svg"}
    for _, path in files:
        if path.suffix in suffixes:
            assert b"\r\n" not in path.read_bytes(), relative(path)
            path.read_text(encoding="utf-8")


def calls(path: Path) -> Iterator[ast.Call]:
    """Every call in a Python file."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield node


def opens_text(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes a file as text."""
    if isinstance(call.func, ast.Name):
        name, method = call.func.id, False
    elif isinstance(call.func, ast.Attribute):
        name, method = call.func.attr, True
    else:
        return False
    if name in ("read_text", "write_text"):
        return True
    mode = call.args[0 if method else 1 :][:1]
    mode += [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    text = ast.literal_eval(mode[0]) if mode and isinstance(mode[0], ast.Constant) else None
    if name != "open" or (
        method and not (isinstance(text, str) and re.fullmatch("[rwabxt+]+", text))
    ):
        return False  # a method `open` without a mode is no file's
    return not (isinstance(text, str) and "b" in text)


def test_text_files_are_opened_with_an_encoding():
    """Windows would otherwise read UTF-8 as the local code page."""
    unsaid = [
        f"{relative(path)}:{call.lineno} {ast.unparse(call)[:60]}"
        for path in python_files()
        for call in calls(path)
        if opens_text(call) and "encoding" not in {keyword.arg for keyword in call.keywords}
    ]
    assert not unsaid


def test_paths_are_pathlib_and_replacement_is_os_replace():
    """os.path.relpath is allowed: pathlib has its equal only from Python 3.12 on."""
    pattern = re.compile(r"os\.path\.(?!relpath)|os\.rename\(|symlink_to")
    found = [relative(p) for p in package_files() if pattern.search(p.read_text(encoding="utf-8"))]
    assert not found


def test_loader_workers_start_with_spawn():
    """Windows and macOS have nothing else, and a forked process inherits locks that are held."""
    loaders = [
        call
        for path in package_files()
        for call in calls(path)
        if ast.unparse(call.func).rsplit(".", 1)[-1] == "DataLoader"
    ]
    assert loaders
    for call in loaders:
        options = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert options["multiprocessing_context"] == "'spawn'"


def test_no_module_imports_everything_of_another():
    found = [
        f"{relative(path)}:{node.lineno}"
        for path in python_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and any(name.name == "*" for name in node.names)
    ]
    assert not found


def test_the_package_sets_no_global_seed():
    """Randomness comes in as an argument; a global seed would be shared by everything."""
    seeds = ("np.random.seed", "random.seed", "torch.cuda.manual_seed_all", "torch.seed")
    found = [
        f"{relative(path)}:{call.lineno}"
        for path in package_files()
        for call in calls(path)
        if ast.unparse(call.func) in seeds
    ]
    assert not found


# --- the package's modules ---------------------------------------------------------------------


def imports(path: Path) -> set[str]:
    """The package's own modules that a module imports, `data/` as one, wherever it does so."""
    found: set[str] = set()
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.level:
            if node.level < depth:
                found.add("data")  # from inside data/
            elif node.module:
                found.add(node.module.split(".")[0])
            else:
                found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("simpleclick_"):
            found.add((node.module or "").split(".")[-1])
    return found


def module_of(path: Path) -> str:
    """`clicks`, or `data` for everything in that folder."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_the_model_and_the_data_sets_do_not_know_each_other():
    for path in package_files():
        if module_of(path) in MODEL:
            assert "data" not in imports(path), relative(path)
        elif module_of(path) == "data":
            assert not imports(path) & MODEL, relative(path)


def test_no_two_modules_import_each_other():
    """A module imports only from modules above it, so the modules can be read in an order."""
    graph: dict[str, set[str]] = {}
    for path in package_files():
        if path.name != "__init__.py" or module_of(path) != "__init__":
            graph.setdefault(module_of(path), set()).update(imports(path) - {module_of(path)})
    left = dict(graph)
    while left:
        free = [name for name, needs in left.items() if not needs & set(left)]
        assert free, f"these modules import each other in a circle: {sorted(left)}"
        for name in free:
            del left[name]


def test_a_module_is_short_enough_to_be_read_in_one_go():
    for path in package_files():
        count = len(path.read_text(encoding="utf-8").splitlines())
        assert count <= 300, f"{relative(path)} has {count} lines; move one of its ideas out"


def public_functions(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Public functions, classes and their public methods, with the docstring of what holds them."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node, ast.get_docstring(tree) or ""
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            if any("Protocol" in ast.unparse(base) for base in node.bases):
                continue  # one line each, explained by the class
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    yield method, ast.get_docstring(node) or ""


def test_every_module_and_public_function_has_a_docstring():
    bare = [relative(path) for path in package_files() if not ast.get_docstring(tree_of(path))]
    for path in package_files():
        for node, _ in public_functions(tree_of(path)):
            if not ast.get_docstring(node):
                bare.append(f"{relative(path)}:{node.lineno} {node.name}")
    assert not bare


def test_docstrings_tell_the_shapes_of_tensors():
    """In the function's own docstring, or in that of its class or module; nine in ten do."""
    silent, count = [], 0
    for path in package_files():
        for node, around in public_functions(tree_of(path)):
            if not isinstance(node, ast.FunctionDef):
                continue
            given = [a.annotation for a in node.args.args + node.args.kwonlyargs if a.annotation]
            if any(re.search(r"\b(Tensor|ndarray)\b", ast.unparse(kind)) for kind in given):
                count += 1
                if not SHAPE.search((ast.get_docstring(node) or "") + around):
                    silent.append(f"{relative(path)}:{node.lineno} {node.name}")
    assert len(silent) <= count / 10, f"of {count}: {silent}"


def inherited(tree: ast.Module) -> set[ast.AST]:
    """Methods that another class of the same file has too: its base says what they take."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found: set[ast.AST] = set()
    for node in classes.values():
        bases = [classes[b.id] for b in node.bases if isinstance(b, ast.Name) and b.id in classes]
        known = {m.name for b in bases for m in b.body if isinstance(m, ast.FunctionDef)}
        found |= {m for m in node.body if isinstance(m, ast.FunctionDef) and m.name in known}
    return found


def test_public_functions_are_annotated():
    bare = []
    for path in package_files():
        exempt = inherited(tree_of(path))
        for node, _ in public_functions(tree_of(path)):
            if isinstance(node, ast.FunctionDef) and node not in exempt:
                arguments = node.args.args + node.args.kwonlyargs
                if any(a.annotation is None and a.arg not in ("self", "cls") for a in arguments):
                    bare.append(f"{relative(path)}:{node.lineno} {node.name}")
    assert not bare


def test_the_readmes_python_turns_clicks_into_a_mask():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", readme, re.DOTALL).group(1)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    mask = names["mask"]
    assert mask.shape == (512, 512)
    assert mask[83, 232], "what was clicked belongs to the mask"
    assert 0.01 < mask.mean() < 0.5


def test_the_readme_lists_every_lesson():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lessons = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert not [path.name for path in lessons if f"(notebooks/{path.name})" not in readme]


# --- metadata and pages ------------------------------------------------------------------------


def test_version_and_holder_are_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    holder = "The SimpleClick Lite contributors"
    assert f"version: {simpleclick_lite.__version__}\n" in citation
    assert holder in citation
    assert holder in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert holder in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_repository_address_is_empty_or_an_https_address():
    assert re.fullmatch(r"(https://[\w./-]+)?", repository())


def test_conda_installs_from_the_one_list_of_packages():
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    listed = [line.strip(" -") for line in lines if line.lstrip().startswith("- ")]
    assert listed == ["conda-forge", "python>=3.10", "pip", "pip:", "e .[course,widget]"]


def test_the_readme_gives_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make course" in readme
    assert "make test" in readme


@pytest.mark.parametrize("path", notebook_style.markdown_files(), ids=relative)
def test_links_lead_somewhere_and_pictures_have_alt_text(path: Path):
    text = path.read_text(encoding="utf-8")
    assert notebook_style.broken_links(path, text) + notebook_style.missing_alt(text) == []


def test_no_known_misspelling_in_prose_and_docstrings():
    command = [sys.executable, "-m", "codespell_lib", "--builtin", "clear,rare"]
    skip = "*.ipynb,*.json,*.svg,*.png,*.jpg,*.safetensors,__pycache__"
    places = ["README.md", "CONTRIBUTING.md", "docs", "simpleclick_lite", "tools", "tests"]
    places += ["data_scripts", "benchmarks"]
    options = ["--skip", skip, "--ignore-words", "tests/words.txt"]
    done = subprocess.run([*command, *options, *places], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
