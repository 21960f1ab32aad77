"""REQUIRE_ALL=1 leaves no way to skip: every kind of skip becomes a failure with its reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SKIPS = {
    "call": "import pytest\ndef test_it():\n    pytest.skip('no reason')\n",
    "mark": "import pytest\n@pytest.mark.skip(reason='no reason')\ndef test_it():\n    pass\n",
    "condition": "import pytest\n@pytest.mark.skipif(True, reason='no reason')\n"
    "def test_it():\n    pass\n",
    "module": "import pytest\npytest.importorskip('no_such_module', reason='no reason')\n"
    "def test_it():\n    pass\n",
    "require": "def test_it(require):\n    require(False, 'no reason')\n",
    "fixtures": "def test_it(golden):\n    pass\n",
}


def outcome(folder: Path, code: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of pytest on one file beside this project's conftest.py."""
    source = Path(__file__).with_name("conftest.py").read_text(encoding="utf-8")
    (folder / "conftest.py").write_text(source, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "test_one.py").write_text(code, encoding="utf-8")
    clean = {k: v for k, v in os.environ.items() if k not in ("REQUIRE_ALL", "SIMPLECLICK_SHARED")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_one.py"],
        cwd=folder,
        env=clean | environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("kind", SKIPS)
def test_a_skip_fails_where_everything_is_required(tmp_path, kind):
    code, printed = outcome(tmp_path, SKIPS[kind], REQUIRE_ALL="1")
    assert code != 0
    assert "REQUIRE_ALL=1 allows no skip" in printed
    assert ("SIMPLECLICK_SHARED" if kind == "fixtures" else "no reason") in printed


def test_elsewhere_a_skip_is_a_skip(tmp_path):
    code, printed = outcome(tmp_path, SKIPS["fixtures"])
    assert code == 0 and "1 skipped" in printed


def test_an_expected_failure_stays_one(tmp_path):
    expected = "import pytest\n@pytest.mark.xfail\ndef test_it():\n    assert False\n"
    code, printed = outcome(tmp_path, expected, REQUIRE_ALL="1")
    assert code == 0 and "1 xfailed" in printed
