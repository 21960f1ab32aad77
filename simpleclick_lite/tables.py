"""The tables of the paper, each with the rows that were measured with this package.

Used in notebooks 05, 08, 10 and 11. Published rows ship with the package; measured rows are read
from a folder of JSON files, usually `benchmarks/results`. Two kinds of files count, all others in
the folder are passed over:

- what `simpleclick-lite evaluate --json` writes. Its `settings` say what the row is called and how
  it was measured: `data` (the benchmark), and if present `model` (a name), `preset`,
  `training_data`, `steps`, `machine`. Results of one model on several benchmarks join in one row.
- `{"table": NAME, "rows": [...]}`: rows with the keys of `published_results.json`, plus
  `training_data`, `steps` and `machine`.

A cell that nobody measured stays empty.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from .errors import InputError

Row = dict[str, Any]
NATURAL = {
    "grabcut": "GrabCut",
    "berkeley": "Berkeley",
    "sbd": "SBD",
    "davis": "DAVIS",
    "pascal_voc": "Pascal VOC",
}
MEDICAL = {"sstem": "ssTEM", "brats": "BraTS", "oaizib": "OAIZIB"}
MEDICAL_KEYS = ("sstem_miou10", "brats_miou10", "brats_miou20", "oaizib_miou10", "oaizib_miou20")
BACKBONES = {"xtiny": "ViT-xT", "base": "ViT-B", "large": "ViT-L", "huge": "ViT-H"}


def published() -> dict[str, Any]:
    """The paper's tables as nested lists and dictionaries."""
    text = resources.files(__package__).joinpath("published_results.json")
    return json.loads(text.read_text(encoding="utf-8"))


def print_table(name: str, results_dir: str | Path = "benchmarks/results") -> str:
    """One table of the paper in Markdown, published rows first, then rows measured here.

    Args:
        name: parameters, efficiency, comparison, medical, tiny or ablation.
        results_dir: folder of measured results; it may be missing.

    Raises:
        InputError: an unknown table, or a results file that is no JSON.
    """
    if name not in TABLES:
        raise InputError(f"table {name!r} is not one of {', '.join(TABLES)}")
    return TABLES[name](published(), _read_results(Path(results_dir)))


def _read_results(folder: Path) -> list[dict]:
    """All JSON objects of a folder, in the order of their names."""
    found = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InputError(f"results file {path} is not JSON; repair or remove it") from error
        if isinstance(data, dict):
            found.append(data | {"file": path.stem})
    return found


def _rows_of(results: list[dict], table: str) -> list[Row]:
    """Rows given for this table by name."""
    return [
        row | {"source": _measured(row)}
        for data in results
        if data.get("table") == table and isinstance(data.get("rows"), list)
        for row in data["rows"]
    ]


def _measured(facts: dict, objects: Iterable[str] = ()) -> str:
    """'measured here (data, steps, machine kind)' with what is known of it."""
    steps = facts.get("steps")
    known = [
        facts.get("training_data"),
        f"{steps} steps" if steps is not None else None,
        facts.get("machine"),
        *objects,
    ]
    inside = ", ".join(str(value) for value in known if value)
    return f"measured here ({inside})" if inside else "measured here"


def _evaluations(results: list[dict], sets: Iterable[str]) -> list[tuple[str, str, dict]]:
    """Evaluation files on the given sets, one (label, source, {set: file}) per model."""
    groups: dict[tuple, dict[str, dict]] = {}
    for data in results:
        settings = data.get("settings")
        if not isinstance(settings, dict) or settings.get("data") not in sets:
            continue
        if "noc90" not in data:
            continue
        label = settings.get("model") or settings.get("weights") or settings.get("method", "model")
        facts = tuple((k, settings.get(k)) for k in ("training_data", "steps", "machine"))
        groups.setdefault((str(label), facts), {})[settings["data"]] = data
    rows = []
    for (label, facts), files in groups.items():
        counts = [
            f"{name}: {data['settings'].get('number_of_objects', '?')} objects"
            for name, data in files.items()
        ]
        rows.append((label, _measured(dict(facts), counts), files))
    return rows


def _backbone(settings: dict) -> str | None:
    return settings.get("backbone") or BACKBONES.get(settings.get("preset", ""))


def _miou(data: dict | None, k: int) -> float | None:
    values = (data or {}).get("miou") or []
    return 100 * values[k - 1] if len(values) >= k else None


def _cell(value: Any) -> str:
    if value is None or isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _round(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


def _markdown(head: list[str], rows: list[list[Any]]) -> str:
    lines = [[*head], *([_cell(v) for v in row] for row in rows)]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(head))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(v.ljust(w) for v, w in zip(line, widths, strict=True)) + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def _parameters(data: dict, results: list[dict]) -> str:
    from .counting import count_parameters

    parts = ("vit", "neck", "head")
    rows = [row | {"source": "published"} for row in data["parameters_millions"]]
    for name, label in BACKBONES.items():
        count = count_parameters(name)
        sizes = {part: getattr(count, f"table_{part}") for part in parts}
        rows.append({"model": label, **sizes, "source": "counted here"})
    rows += _rows_of(results, "parameters")
    cells = [[r.get("model"), *(_round(r.get(p), 1) for p in parts), r["source"]] for r in rows]
    note = (
        "\n\nUnit: 2^20 parameters; the unused classifier counts with the ViT, the click "
        "embedding with nothing."
    )
    return _markdown(["model", "ViT", "neck", "head", "source"], cells) + note


def _efficiency(data: dict, results: list[dict]) -> str:
    from .counting import count_operations, count_parameters

    rows = [row | {"source": "published"} for row in data["efficiency"]]
    for name, size in (
        *(("xtiny", 224), ("xtiny", 448), ("base", 224), ("base", 448)),
        *(("large", 448), ("huge", 448)),
    ):
        operations = count_operations(name, size)
        rows.append(
            {
                "backbone": BACKBONES[name],
                "input": size,
                "params_m": count_parameters(name).paper / 1e6,
                "flops_g": operations.paper / 1e9,
                "true_flops_g": operations.published / 1e9,
                "source": "counted here",
            }
        )
    rows += _rows_of(results, "efficiency")
    cells = [
        [
            *(row.get(k) for k in ("backbone", "input", "params_m", "flops_g", "true_flops_g")),
            row.get("memory_gb"),
            _round(row.get("spc_ms"), 0),
            row["source"],
        ]
        for row in rows
    ]
    head = ["backbone", "input", "params (M)", "FLOPs (G)", "true FLOPs (G)", "memory (GB)"]
    note = (
        "\n\nParameters and FLOPs by the paper's convention; true FLOPs count attention, and two "
        "per multiply-and-add."
    )
    return _markdown([*head, "ms per click", "source"], cells) + note


def _comparison(data: dict, results: list[dict]) -> str:
    rows = []
    for row in [*data["comparison"], *_rows_of(results, "comparison")]:
        pairs = [(row.get(f"noc{t}") or {}).get(s) for s in NATURAL for t in (85, 90)]
        who = [row.get("method"), row.get("backbone"), row.get("training")]
        rows.append([*who, *pairs, row.get("source", "published")])
    for label, source, files in _evaluations(results, NATURAL):
        settings = next(iter(files.values()))["settings"]
        pairs = [files.get(s, {}).get(f"noc{t}") for s in NATURAL for t in (85, 90)]
        who = [label, _backbone(settings), settings.get("training_data")]
        rows.append([*who, *pairs, source])
    sets = [f"{name} NoC@{t}" for name in NATURAL.values() for t in (85, 90)]
    return _markdown(["method", "backbone", "training", *sets, "source"], rows)


def _medical(data: dict, results: list[dict]) -> str:
    rows = [
        [row.get("model"), *(row.get(k) for k in MEDICAL_KEYS), row.get("source", "published")]
        for row in [*data["medical"], *_rows_of(results, "medical")]
    ]
    for label, source, files in _evaluations(results, MEDICAL):
        cells = []
        for key in MEDICAL_KEYS:
            name, _, k = key.rpartition("_miou")
            cells.append(_miou(files.get(name), int(k)))
        rows.append([label, *cells, source])
    head = [f"{MEDICAL[k.partition('_')[0]]} mIoU@{k[-2:]}" for k in MEDICAL_KEYS]
    return _markdown(["model", *head, "source"], rows)


def _tiny(data: dict, results: list[dict]) -> str:
    keys = ("model", "backbone", "pretrained", "params_m", "noc85", "noc90")
    rows = [
        [*(row.get(k) for k in keys), row.get("source", "published")]
        for row in [*data["tiny"], *_rows_of(results, "tiny")]
    ]
    for label, source, files in _evaluations(results, ("sbd",)):
        file = files["sbd"]
        settings = file["settings"]
        if settings.get("preset") not in ("micro", "xtiny"):
            continue
        facts = [label, _backbone(settings), settings.get("pretrained"), settings.get("params_m")]
        rows.append([*facts, file.get("noc85"), file.get("noc90"), source])
    head = ["model", "backbone", "pretrained", "params (M)", "NoC@85", "NoC@90", "source"]
    return _markdown(head, rows)


def _with_range(value: float | None, row: Row) -> float | str | None:
    """A mean with the lowest and highest of its runs, where the row gives them."""
    if value is None or "range" not in row:
        return value
    low, high = row["range"]
    return f"{value:.2f} ({low:.2f} to {high:.2f}, {row['runs']} runs)"


def _ablation(data: dict, results: list[dict]) -> str:
    rows = []
    for row in [*data["ablation"], *_rows_of(results, "ablation")]:
        cells = [
            _with_range((row.get(b) or {}).get(s), row)
            for b in ("vit_b", "vit_l")
            for s in ("sbd", "pascal_voc")
        ]
        other = [row.get("backbone"), row.get("data"), _with_range(row.get("noc90"), row)]
        source = row.get("source", "published")
        rows.append([row.get("design"), row.get("frozen_vit"), *cells, *other, source])
    head = [f"{b} {s}" for b in ("ViT-B", "ViT-L") for s in ("SBD", "Pascal VOC")]
    other = ["other backbone", "other data", "NoC@90 there"]
    note = "\n\nNoC@90; the published rows were trained on SBD."
    return _markdown(["design", "frozen ViT", *head, *other, "source"], rows) + note


TABLES: dict[str, Callable[[dict, list[dict]], str]] = {
    "parameters": _parameters,
    "efficiency": _efficiency,
    "comparison": _comparison,
    "medical": _medical,
    "tiny": _tiny,
    "ablation": _ablation,
}
