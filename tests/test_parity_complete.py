"""No fixture without a test, and no test of a fixture that can be skipped in CI."""

from __future__ import annotations

import json
import re

import numpy as np


def test_every_fixture_is_read_by_a_test(golden, root):
    # this file names fixtures as well, which must not count as reading them
    files = [p for p in (root / "tests").glob("*.py") if p.name != "test_parity_complete.py"]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    named = {name for name in re.findall(r"[\w]+\.(?:npz|json|pth)", code)}
    named |= {f"simpleclick_{name}.pth" for name in ("micro12", "micro_tuned")}  # made from tags
    there = {path.name for path in golden.iterdir() if path.suffix in (".npz", ".json", ".pth")}
    repeated = {"eval_clicks.json", "zoom_in_eval.json"}  # the same arrays as the .npz
    assert there - named - repeated == set()


def test_the_json_beside_an_npz_repeats_it(golden):
    """So that comparing with the arrays alone leaves nothing out."""
    clicks = np.load(golden / "eval_clicks.npz")["clicks"]
    told = json.loads((golden / "eval_clicks.json").read_text(encoding="utf-8"))
    assert [case["clicks"] for case in told["cases"]] == clicks.tolist()
    arrays = np.load(golden / "zoom_in_eval.npz")
    told = json.loads((golden / "zoom_in_eval.json").read_text(encoding="utf-8"))
    tags = {key.removesuffix("_clicks") for key in arrays if key.endswith("_clicks")}
    assert {key for key, value in told.items() if "clicks" in value} == tags
    for tag in tags:
        for part in ("clicks", "roi"):
            assert told[tag][part] == arrays[f"{tag}_{part}"].tolist(), tag


def test_parity_tests_have_no_way_to_skip(root):
    for path in (root / "tests").glob("*parity*.py"):
        if path.name != "test_parity_complete.py":
            code = path.read_text(encoding="utf-8")
            assert not re.search(r"skip|xfail|importorskip|require\(", code), path.name
