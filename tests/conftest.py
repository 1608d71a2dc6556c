"""Fixtures of all tests: copies of the project, and folders of real data."""

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

from kedro_cloud.core import extras
from kedro_cloud.core.run_command import DEFAULT, set_run_command
from kedro_cloud.core.tracking_database import create_database
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

# Examples have no time limit; in CI they are the same in each run.
settings.register_profile(
    "quartet",
    deadline=None,
    derandomize=IN_CI,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("quartet")

INTEGRATION_FIXTURES = {
    *("azurite", "browser", "mariadb", "pyodbc", "site", "viz"),
    *("digits_project", "made_project"),
    *("real_clip", "real_mnist", "real_sensors", "real_stackfaq"),
    *("trained_output", "trained_workspace"),
}
"""A test that uses one of these, directly or indirectly, is an integration test."""


def pytest_configure() -> None:
    """Make child processes react to Ctrl-C, which background processes ignore."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--benchmarks", action="store_true", help="measure and rewrite the tables")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out benchmarks without `--benchmarks`, and the plugin's tests without the extra azure.

    Python 3.13 cannot have that extra.
    """
    if collection_path == ROOT / "tests/benchmarks" and not config.getoption("--benchmarks"):
        return True
    if collection_path == ROOT / "tests/kedro_cloud" and not extras.is_installed("kedro_azureml"):
        return True
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report that tests were left out."""
    if not extras.is_installed("kedro_azureml"):
        terminalreporter.write_line(
            f"SKIPPED {extras.format_missing('tests/kedro_cloud', 'azure')}"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Skip a test that imports a package of the extra azure where that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if extras.find_extra(error) == "azure" and not extras.is_installed("kedro_azureml"):
            pytest.skip(extras.format_missing("this test", "azure"))
        raise


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of servers and browsers as integration tests by their fixtures.

    The files of tests/repository are long: at the end one worker would run such a file alone.
    """
    items.sort(key=lambda item: item.path.parent.name != "repository")
    for item in items:
        if isinstance(item, pytest.Function) and INTEGRATION_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.integration)


@contextmanager
def restore_environment() -> Iterator[None]:
    """Restore environment variables at the end."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def environment_of_a_test() -> Iterator[None]:
    """Restore the environment, into which MLflow writes its tracking URI."""
    with restore_environment():
        yield


@pytest.fixture(autouse=True)
def run_command_of_a_test() -> Iterator[None]:
    """Restore the command that messages advise, which a run in this process sets."""
    yield
    set_run_command(DEFAULT)


@pytest.fixture(autouse=True, scope="module")
def environment_of_a_module() -> Iterator[None]:
    """Restore the environment after the fixtures of a module."""
    with restore_environment():
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


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a tracking database, which takes seconds."""
    file = tmp_path_factory.mktemp("database") / "mlflow.db"
    create_database(file)
    return file


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A project for one test."""
    return make_workspace(tmp_path)


@pytest.fixture(scope="session")
def trained_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which `kedro run` has run once, on the samples; tests must not change it."""
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
    """The output of a command."""

    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def trained_output(trained_workspace: Path) -> RunOutput:
    """The output of the run that made `trained_workspace`, without a terminal."""
    return RunOutput(**json.loads(trained_workspace.with_suffix(".output.json").read_text()))
