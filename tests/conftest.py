"""Fixtures for all tests, and the rule that a skipped test is a failure under REQUIRE_ALL=1."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Data outside the repository, named by SIMPLECLICK_SHARED; the test is skipped without it."""
    path = os.environ.get("SIMPLECLICK_SHARED")
    if not path or not Path(path).is_dir():
        pytest.skip("SIMPLECLICK_SHARED does not name a folder")
    return Path(path).resolve()


@pytest.fixture(scope="session")
def golden(shared: Path) -> Path:
    """Outputs of the official implementation that ours must reproduce."""
    return shared / "golden"


@pytest.fixture(scope="session")
def require() -> Callable[[object, str], None]:
    """`require(condition, reason)` skips the test unless the condition holds."""

    def _require(condition: object, reason: str) -> None:
        if not condition:
            pytest.skip(reason)

    return _require


def _as_failure(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that tells the skip's reason."""
    reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"REQUIRE_ALL=1 allows no skip: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Under REQUIRE_ALL=1 a skipped test fails (an expected failure stays one)."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        _as_failure(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Under REQUIRE_ALL=1 a module that skips itself while it is imported fails."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        _as_failure(report)
    return report


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[dict[str, float]], None]:
    """`report({stage: largest difference})` shows a comparison at the end of the run."""

    def _report(differences: dict[str, float]) -> None:
        worst = sorted(differences, key=differences.__getitem__, reverse=True)
        values = ", ".join(f"{differences[stage]:.1e} {stage}" for stage in worst[:3])
        line = f"{request.node.name}: {values}" + (" …" if worst[3:] else "")
        request.node.user_properties.append(("largest difference", line))

    return _report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what `report` was given, also when the tests ran in several processes."""
    lines = [
        line
        for outcome in ("passed", "failed")
        for found in terminalreporter.stats.get(outcome, [])
        for name, line in getattr(found, "user_properties", [])
        if name == "largest difference" and found.when == "call"
    ]
    if lines:
        terminalreporter.section("largest differences from the published implementation")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, root: Path) -> Callable[[str], ModuleType]:
    """Imports a script of benchmarks/ as its neighbors import it."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return importlib.import_module
