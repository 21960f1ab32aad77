"""The evaluations of benchmarks/results in one small file that the notebooks can read.

A notebook runs without the repository, so what it shows of longer measurements ships with the
package. report.py and course_results.py write the file; a test compares it with the results.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simpleclick_lite.files import atomic_path

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "simpleclick_lite" / "measured" / "evaluations.json"
WITH_OBJECTS = ("shipped_photos",)  # whose single objects a notebook looks at
KEYS = ("noc80", "noc85", "noc90", "failures85", "failures90", "miou", "settings")


def collected(results: Path) -> dict[str, Any]:
    """The numbers of all evaluations of a folder, without their objects where nobody asks."""
    found: dict[str, Any] = {}
    for path in sorted(results.glob("evaluation_*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        name = path.stem.removeprefix("evaluation_")
        found[name] = {key: data[key] for key in KEYS}
        if name in WITH_OBJECTS:
            found[name]["objects"] = {row["name"]: row["iou"] for row in data["objects"]}
    onnx_file = results / "onnx_photos.json"
    answer: dict[str, Any] = {"command": "python benchmarks/course_results.py --datasets DIR"}
    answer["evaluations"] = found
    if onnx_file.exists():
        data = json.loads(onnx_file.read_text(encoding="utf-8"))
        answer["onnx_photos"] = {k: v for k, v in data.items() if k != "objects"}
    return answer


def collect(results: Path) -> None:
    """Write simpleclick_lite/measured/evaluations.json."""
    lines = []
    for key, value in collected(results).items():
        text = json.dumps(value, ensure_ascii=False)
        if key == "evaluations":
            rows = (f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            text = "{\n" + ",\n".join(rows) + "\n }"
        lines.append(f' "{key}": {text}')
    with atomic_path(MEASURED) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"wrote {MEASURED.relative_to(ROOT)}")
