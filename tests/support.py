"""Helpers of several folders: the project's root, runs of `kedro`, skips with a reason."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from forked import run_forked
from kedro_cloud.core import extras
from kedro_cloud.provisioning.environment import CUDA_LOCK, DOCKERFILES, LOCK

if TYPE_CHECKING:
    from kedro.framework.startup import ProjectMetadata

ROOT = Path(__file__).parents[1]
REAL_DATA = Path(os.environ.get("QUARTET_REAL_DATA", ROOT.parent / "shared/data"))
IN_CI = os.environ.get("CI") == "true"
GUARD_S = 600
"""Timeout of all waits in tests, in seconds; only a hang takes that long."""
_LIGHT = {
    "mnist_training": "convnet_training.minimum_steps=300",
    "faq_tuning": "reference_recipe.trees=100",
}
LIGHT = ",".join(text for name, text in _LIGHT.items() if (ROOT / "conf/base" / name).exists())
"""Parameters that shorten a run on all samples."""
QUICK = "convnet_training.minimum_steps=60,convnet_training.epochs=1"
"""Parameters that minimise the training of the network."""


needs_azure = pytest.mark.skipif(
    not extras.is_installed("kedro_azureml"), reason=extras.format_missing("this test", "azure")
)


def skip_or_fail(reason: str) -> None:
    """Skip with a reason, or fail in CI."""
    if IN_CI:
        pytest.fail(f"{reason}; in CI nothing may be skipped")
    pytest.skip(reason)


def real_data(name: str) -> Path:
    """Return the path of data that is not part of the project; skip, or fail in CI, without it.

    `CONTRIBUTING.md` lists the contents of `$QUARTET_REAL_DATA` and their sources.
    """
    path = REAL_DATA / name
    if not path.exists():
        skip_or_fail(f"{name} is not here: set QUARTET_REAL_DATA to the folder that has it")
    return path.resolve()


@cache
def bootstrap() -> ProjectMetadata:
    """Bootstrap this project once in this process and return its metadata.

    Kedro reads the settings again on each call, which is slow in a process with many imports.
    """
    from kedro.framework.startup import bootstrap_project

    return bootstrap_project(ROOT)


@cache
def read_configuration(kind: str, environment: str = "base", **params: str) -> dict[str, Any]:
    """Return the catalog or the parameters of a run with these `--params`, read once.

    The caller must not change it.
    """
    from kedro.framework.project import settings

    loader = settings.CONFIG_LOADER_CLASS(
        str(ROOT / "conf"), env=environment, runtime_params=params, **settings.CONFIG_LOADER_ARGS
    )
    return {name: entry for name, entry in loader[kind].items() if not name.startswith("_")}


def make_workspace(folder: Path) -> Path:
    """Copy the project without its results: configuration, samples and source."""
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf/local").mkdir()
    fetched = shutil.ignore_patterns("mnist_original")
    shutil.copytree(ROOT / "data/01_raw", folder / "data/01_raw", ignore=fetched)
    (folder / "data/06_models/style").mkdir(parents=True)
    for style in (ROOT / "data/06_models/style").glob("*.safetensors"):
        shutil.copy(style, folder / "data/06_models/style")
    for name in ("pyproject.toml", ".telemetry", LOCK, CUDA_LOCK, *DOCKERFILES.values()):
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignored)
    return folder


def drop_times(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics without times, rates and memory sizes, which differ between runs."""
    ends = ("_s", "_mib", "workers")
    return {
        name: value
        for name, value in metrics.items()
        if "second" not in name and not name.endswith(ends)
    }


def clean_environment() -> dict[str, str]:
    """Return the environment without variables that MLflow may have set in this process."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}


def run_kedro(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str | None] | None = None,
    fresh: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run `kedro` in a folder; the output is captured and the exit code not checked.

    Args:
        folder: Where the command is given.
        arguments: Of `kedro`.
        environment: Changes to this process's own variables; None removes one.
        fresh: Start a new Python, for tests of the start itself. Otherwise the command runs in a
            fork of a process that has imported the libraries, which saves seconds.
    """
    changed = {**clean_environment(), "COLUMNS": "200", **(environment or {})}
    variables = {name: value for name, value in changed.items() if value is not None}
    if not fresh:
        return run_forked(folder, arguments, variables, seconds=GUARD_S)
    return run_program(
        sys.executable, "-m", "kedro", *arguments, folder=folder, environment=variables
    )


def run_program(
    *command: str | Path,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program; the output is captured and the exit code not checked.

    Args:
        command: The program and its arguments.
        folder: Where the command is given; by default this process's own.
        environment: All of its variables; by default those of `clean_environment`.
        timeout: Seconds after which the program is killed and the test fails; for what may hang.
    """
    return subprocess.run(
        command,
        cwd=folder,
        env=clean_environment() if environment is None else environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def read_metrics(folder: Path, pipeline: str, data: str = "data") -> dict[str, Any]:
    """Return the metrics that a pipeline has saved in a project, below its folder of data."""
    path = folder / data / f"08_reporting/{pipeline}/metrics.json"
    metrics: dict[str, Any] = json.loads(path.read_text())
    return metrics


def on_ranks(ranks: int, *arguments: str) -> list[str]:
    """Return the command that runs `python ARGUMENTS` on MPI ranks of this machine."""
    mpirun = str(Path(sys.executable).parent / "mpirun")
    options = ["--allow-run-as-root", "--oversubscribe", "-n", str(ranks)]
    return [mpirun, *options, sys.executable, *arguments]


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    # The system's own choice may lie above 49151, where Kedro-Viz refuses to listen.
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port")


@contextmanager
def running_server(
    folder: Path,
    command: list[str],
    path: str,
    log_file: Path | None = None,
    options: Sequence[str] = ("--host", "127.0.0.1"),
) -> Iterator[str]:
    """Run `python -m COMMAND --host … --port …` and yield its URL once `path` responds.

    The command runs in its own process group, so that the servers it starts are stopped with it.
    Their output is written to `log_file`.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with log_file.open("w+") if log_file else tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, *options, "--port", str(port)],
            cwd=folder,
            env=clean_environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_for(url + path, process, log)
            yield url
        finally:
            for end in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, end)
                process.wait(timeout=GUARD_S)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: IO[str]) -> None:
    deadline = time.monotonic() + GUARD_S
    while True:
        try:
            urlopen(url, timeout=GUARD_S).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                raise AssertionError(f"{url} does not answer:\n{log.read()}") from None
            time.sleep(0.2)
