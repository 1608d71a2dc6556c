"""What tests of Azure share: one Azurite, and an empty storage account for each test."""

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
from kedro_cloud.core.tracking_database import create_database
from kedro_cloud.jobs import registry
from kedro_cloud.rehearsal import RehearsalDir
from kedro_cloud.rehearsal.tracking import Tracking
from plain import make_plain_project
from published import call
from support import skip_or_fail
from watched import Arrivals, Commands

CONTAINERS = ("raw", "work", "models", "reports")
"""Of conf/azureml/globals.yml."""


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """An emulator of this session's own; skipped, loudly, where it is not installed."""
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
    """Blob storage with the project's containers, empty, which `abfs://` means in this test."""
    for name in (*VARIABLES, ACCOUNT_NAME):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(CONNECTION_STRING, azurite.connection_string)
    filesystem = azurite.filesystem()
    for container in filesystem.ls("", detail=False):
        if container not in CONTAINERS:
            filesystem.rmdir(container)  # with all that is in it, at once
        elif left := filesystem.find(container):
            filesystem.rm(left)
    azurite.make_containers(*CONTAINERS)
    return filesystem


@pytest.fixture(scope="session")
def control_plane(azurite: Azurite) -> Iterator[ControlPlane]:
    """Azure's control plane, for all tests of the session."""
    with control_plane_running(azurite.connection_string) as plane:
        yield plane


@pytest.fixture
def plane(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    """An Azure with an empty workspace; this process is signed in, and waits for no retry."""
    control_plane.reset()
    monkeypatch.setattr(HttpTransport, "sleep", lambda transport, seconds: None)
    for name, value in control_plane.environment.items():
        monkeypatch.setenv(name, value)
    return control_plane


@pytest.fixture(scope="session")
def plain_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain project, not to be changed."""
    return make_plain_project(tmp_path_factory.mktemp("made"))


@pytest.fixture
def project(plain_project: Path, tmp_path: Path) -> Path:
    """A plain project of one's own."""
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
    """The plain project's pipelines are those that Kedro has in this process."""
    bootstrap_project(plain_project)


@pytest.fixture(autouse=True, scope="module")
def nodes_again() -> Iterator[None]:
    """Restore the project, its pipelines as they are written, and the paths of code."""
    paths, package = list(sys.path), kedro_project.PACKAGE_NAME
    yield
    sys.path[:] = paths
    if package not in (None, kedro_project.PACKAGE_NAME):
        kedro_project.configure_project(package)
    pipelines.set_requested(None)
    registry.use_nodes()


@pytest.fixture(autouse=True, scope="module")
def headers_again() -> Iterator[None]:
    """The SDK keeps the deployment that one request named in a table that all later ones send."""
    yield
    if endpoints := sys.modules.get("azure.ai.ml.constants._endpoint"):
        endpoints.EndpointInvokeFields.DEFAULT_HEADER.pop("azureml-model-deployment", None)


@pytest.fixture
def proxy(
    azurite: Azurite, blobs: BlobFileSystem, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyProxy]:
    """The same storage behind a proxy that so far fails nothing; `abfs://` goes through it."""
    with faulty_proxy_running(azurite) as proxy:
        monkeypatch.setenv(CONNECTION_STRING, proxy.connection_string)
        yield proxy


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that requests would wait before they are tried again; here they do not."""
    waited: list[float] = []

    async def sleep(transport: AsyncHttpTransport, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(AsyncHttpTransport, "sleep", sleep)
    return waited


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new tracking database, which takes seconds to make."""
    file = tmp_path_factory.mktemp("database") / "mlflow.db"
    create_database(file)
    return file


@pytest.fixture(scope="session")
def empty_tracking(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """An MLflow server's database without runs."""
    place = RehearsalDir(tmp_path_factory.mktemp("tracking"))
    shutil.copy(empty_database, place.folder)
    Tracking(place, "tests")
    return place.folder / "mlflow.db"


@pytest.fixture
def place(tmp_path: Path, empty_tracking: Path) -> RehearsalDir:
    """Where to rehearse jobs of a test."""
    place = RehearsalDir(tmp_path / "rehearsals")
    place.folder.mkdir()
    shutil.copy(empty_tracking, place.folder)
    return place


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A snapshot of little code."""
    folder = tmp_path / "code"
    (folder / "src").mkdir(parents=True)
    (folder / "src/which.py").write_text("print('snapshot')\n")
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder by which steps tell the test something."""
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """What a watcher starts for each file, in place of `kedro run`."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Commands(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Arrivals:
    """A folder of this machine in which files arrive."""
    return Arrivals(None, tmp_path / "incoming")


@pytest.fixture
def container(blobs: BlobFileSystem, tmp_path: Path) -> Iterator[Arrivals]:
    """A container of blob storage in which files arrive."""
    found = Arrivals(blobs, tmp_path)
    yield found
    found.clear()
