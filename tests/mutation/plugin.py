"""A pytest plugin that tells coverage which test runs, or which shared fixture is made, and notes who uses what.

coverage run --data-file=FILE -m pytest -p mutation.plugin      ($MUTATION_NOTES names the file of notes)
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

_context = [""]
_notes: dict[str, dict[str, Any]] = {}


def _switch(name: str) -> None:
    running = coverage.Coverage.current()
    if running is not None:
        running.switch_context(name)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Iterator[None]:
    """What a shared fixture runs is run for all tests that use it."""
    if fixturedef.scope == "function":
        return (yield)
    _context.append(f"fixture:{fixturedef.argname}")
    _switch(_context[-1])
    try:
        return (yield)
    finally:
        _context.pop()
        _switch(_context[-1])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: Any, nextitem: Any) -> Iterator[None]:
    """All three phases of a test are its own, but for shared fixtures."""
    _context[:] = [item.nodeid]
    _switch(item.nodeid)
    _notes[item.nodeid] = {"fixtures": list(item.fixturenames), "seconds": 0.0, "passed": False}
    return (yield)


def pytest_runtest_logreport(report: Any) -> None:
    """How long a test takes, and that it passes."""
    if report.when == "call":
        _notes[report.nodeid].update(seconds=report.duration, passed=report.passed)


def pytest_sessionfinish() -> None:
    """Write the notes."""
    Path(os.environ["MUTATION_NOTES"]).write_text(json.dumps(_notes))
