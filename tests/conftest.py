"""Fixtures shared by all tests: a project of one's own to run in, and where real data lies."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from support import (
    IN_CI,
    LIGHT,
    REAL_DATA,
    ROOT,
    make_workspace,
    real_data,
    run_kedro,
    skip_or_fail,
)

# How long an example takes is the machine's affair; in CI the same examples come each time.
settings.register_profile(
    "quartet", deadline=None, derandomize=IN_CI, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("quartet")

INTEGRATION_FIXTURES = {
    *("azurite", "browser", "mariadb", "pyodbc", "site", "viz"),
    *("digits_project", "made_project"),
    *("real_clip", "real_mnist", "real_sensors", "real_stackfaq"),
}
"""A test that asks for one of these, directly or through others, is an integration test."""


def pytest_configure() -> None:
    """Let programs that tests start be stopped by Ctrl-C, also where the tests themselves are not.

    A program that is started in the background ignores it, and so do all that it starts.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--benchmarks", action="store_true", help="measure and rewrite the tables")


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of servers and browsers by the fixtures that start these."""
    for item in items:
        if isinstance(item, pytest.Function) and INTEGRATION_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.integration)


@contextmanager
def restored_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def untouched_environment() -> Iterator[None]:
    """MLflow writes its address into the environment, which later tests hand to processes."""
    with restored_environment():
        yield


@pytest.fixture(autouse=True, scope="module")
def environment_of_others() -> Iterator[None]:
    """The same for what fixtures of a whole file do."""
    with restored_environment():
        yield


@pytest.fixture(scope="session")
def real_mnist() -> Path:
    """The folder of the real MNIST: $QUARTET_REAL_DATA/mnist, or what `make mnist` fetched."""
    candidates = [
        REAL_DATA / "mnist",
        ROOT / "data/01_raw/mnist_original",
    ]
    for folder in candidates:
        if (folder / "train-images-idx3-ubyte.gz").exists():
            return folder.resolve()
    skip_or_fail("the real MNIST is not here: make mnist")
    raise AssertionError


@pytest.fixture(scope="session")
def real_stackfaq() -> Path:
    """The folder of StackFAQ's three tables."""
    return real_data("faq/stackfaq")


@pytest.fixture(scope="session")
def real_sensors() -> Path:
    """The folder of real readings: the reference system's table, SMD and NAB."""
    return real_data("sensors")


@pytest.fixture(scope="session")
def real_clip() -> Path:
    """Five seconds of a real film."""
    return real_data("video/bigbuckbunny_720p_5s.mp4")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A project to run in, thrown away after the test."""
    return make_workspace(tmp_path)


@pytest.fixture(scope="session")
def trained_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which `kedro run` has run once, on the samples; not to be changed."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers: the first makes the project, the others wait
    folder /= "trained"
    failure = folder.with_suffix(".failed")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            result = run_kedro(make_workspace(folder), "run", "--params", LIGHT, fresh=True)
            output = {"stdout": result.stdout, "stderr": result.stderr}
            folder.with_suffix(".output.json").write_text(json.dumps(output))
            if result.returncode:
                failure.write_text(result.stderr)
    assert not failure.exists(), failure.read_text()
    return folder


class RunOutput(NamedTuple):
    """What a command wrote."""

    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def trained_output(trained_workspace: Path) -> RunOutput:
    """What the run wrote that made `trained_workspace`, as it is when neither is a terminal."""
    return RunOutput(**json.loads(trained_workspace.with_suffix(".output.json").read_text()))
