"""Fixtures: one Azurite, with an empty storage account for each test, and Azure ML."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from azure.core.pipeline.transport import AsyncHttpTransport, HttpTransport
from click.testing import Result
from kedro.framework import project as kedro_project
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project

import quartet.settings  # noqa: F401  registers the file systems, as Kedro does on start-up
from control_plane import ControlPlane
from control_plane import running as control_plane_running
from emulator import Azurite
from faulty_proxy import FaultyProxy
from faulty_proxy import running as faulty_proxy_running
from kedro_cloud.blobs.azurite import running
from kedro_cloud.blobs.file_system import BlobFileSystem
from kedro_cloud.blobs.storage import ACCOUNT_NAME, CONNECTION_STRING, VARIABLES
from kedro_cloud.jobs import registry
from kedro_cloud.rehearsal import RehearsalDir
from kedro_cloud.rehearsal.tracking import Tracking
from plain import make_plain_project
from published import call
from support import skip_or_fail
from watched import Arrivals, Commands

CONTAINERS = ("raw", "work", "models", "reports")
"""Containers in conf/azureml/globals.yml."""


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Start an emulator; skip with a reason if it is not installed."""
    try:
        emulator = running()
        started = emulator.__enter__()
    except OSError as error:
        skip_or_fail(str(error))
        raise
    yield Azurite(started)
    emulator.__exit__(None, None, None)


@pytest.fixture
def blobs(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> BlobFileSystem:
    """Return the file system of `abfs://`, with the project's containers, all empty."""
    for name in (*VARIABLES, ACCOUNT_NAME):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(CONNECTION_STRING, azurite.connection_string)
    filesystem = azurite.filesystem()
    for container in filesystem.ls("", detail=False):
        if container not in CONTAINERS:
            filesystem.rmdir(container)  # with its blobs, at once
        elif left := filesystem.find(container):
            filesystem.rm(left)
    azurite.make_containers(*CONTAINERS)
    return filesystem


@pytest.fixture(scope="session")
def control_plane(azurite: Azurite) -> Iterator[ControlPlane]:
    """Run Azure's control plane for the session."""
    with control_plane_running(azurite.connection_string) as plane:
        yield plane


@pytest.fixture
def plane(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    """Return an Azure with an empty workspace, signed in, and without waits before retries."""
    control_plane.reset()
    monkeypatch.setattr(HttpTransport, "sleep", lambda transport, seconds: None)
    for name, value in control_plane.environment.items():
        monkeypatch.setenv(name, value)
    return control_plane


@pytest.fixture(scope="session")
def plain_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a plain project, which tests must not change."""
    return make_plain_project(tmp_path_factory.mktemp("made"))


@pytest.fixture
def project(plain_project: Path, tmp_path: Path) -> Path:
    """Copy the plain project."""
    return shutil.copytree(plain_project, tmp_path / "plain")


@pytest.fixture
def run(
    request: pytest.FixtureRequest, plane: ControlPlane, project: Path
) -> Callable[..., Result]:
    """Run the command of the test's module, its `COMMAND`, in a workspace."""
    return partial(call, project, *request.module.COMMAND)


@pytest.fixture
def succeed(run: Callable[..., Result]) -> Callable[..., str]:
    """Run the command as in `run`; it must succeed. Return what it prints."""

    def run_and_check(*arguments: str) -> str:
        result = run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run_and_check


@pytest.fixture(scope="module")
def plain_pipelines(plain_project: Path) -> None:
    """Make the plain project the one of Kedro in this process."""
    bootstrap_project(plain_project)


@pytest.fixture(autouse=True, scope="module")
def restore_project() -> Iterator[None]:
    """Restore the project, its pipelines as nodes, and `sys.path`."""
    paths, package = list(sys.path), kedro_project.PACKAGE_NAME
    yield
    sys.path[:] = paths
    if package not in (None, kedro_project.PACKAGE_NAME):
        kedro_project.configure_project(package)
    pipelines.set_requested(None)
    registry.use_nodes()


@pytest.fixture(autouse=True, scope="module")
def restore_headers() -> Iterator[None]:
    """Remove the deployment that the SDK adds to the headers of all later requests."""
    yield
    if endpoints := sys.modules.get("azure.ai.ml.constants._endpoint"):
        endpoints.EndpointInvokeFields.DEFAULT_HEADER.pop("azureml-model-deployment", None)


@pytest.fixture
def proxy(
    azurite: Azurite, blobs: BlobFileSystem, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyProxy]:
    """Run a proxy without faults before the storage of `abfs://`."""
    with faulty_proxy_running(azurite) as proxy:
        monkeypatch.setenv(CONNECTION_STRING, proxy.connection_string)
        yield proxy


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the list of waits before retries in seconds; tests do not wait."""
    waited: list[float] = []

    async def sleep(transport: AsyncHttpTransport, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(AsyncHttpTransport, "sleep", sleep)
    return waited


@pytest.fixture(scope="session")
def empty_tracking(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Create a tracking database with an experiment, without runs."""
    directory = RehearsalDir(tmp_path_factory.mktemp("tracking"))
    shutil.copy(empty_database, directory.folder)
    Tracking(directory, "tests")
    return directory.folder / "mlflow.db"


@pytest.fixture
def place(tmp_path: Path, empty_tracking: Path) -> RehearsalDir:
    """Return a rehearsal directory with a tracking database."""
    place = RehearsalDir(tmp_path / "rehearsals")
    place.folder.mkdir()
    shutil.copy(empty_tracking, place.folder)
    return place


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a snapshot with one module."""
    folder = tmp_path / "code"
    (folder / "src").mkdir(parents=True)
    (folder / "src/which.py").write_text("print('snapshot')\n")
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder outside of the steps' folders, to which they can write."""
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Return shell commands in place of `kedro run`, for a watcher."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Commands(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Arrivals:
    """Return a local folder in which files arrive."""
    return Arrivals(None, tmp_path / "incoming")


@pytest.fixture
def container(blobs: BlobFileSystem, tmp_path: Path) -> Iterator[Arrivals]:
    """Return a container in which files arrive."""
    found = Arrivals(blobs, tmp_path)
    yield found
    found.clear()
