"""Fixtures of all tests: copies of the project."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support import make_workspace, run_kedro

# Examples have no time limit; in CI they are the same in each run.
settings.register_profile(
    "project",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("project")


def pytest_configure() -> None:
    """Make child processes react to Ctrl-C, which background processes ignore."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def untouched_environment() -> Iterator[None]:
    """Restore the environment, into which MLflow writes its tracking URI."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a copy of the project for one test."""
    return make_workspace(tmp_path)


@pytest.fixture(scope="session")
def trained_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project after one `kedro run`; tests must not change it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # shared by all workers: the first creates the copy, the others wait
    folder /= "trained"
    failure = folder.with_suffix(".failed")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            result = run_kedro(make_workspace(folder), "run")
            if result.returncode:
                failure.write_text(result.stderr)
    assert not failure.exists(), failure.read_text()
    return folder
