"""Check and create the MLflow tracking database, and end the runs of killed processes."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from kedro_cloud.core import processes
from kedro_cloud.core.config import SQLITE

_SCHEMES = (
    *("sqlite", "postgresql", "mysql", "mssql"),
    *("http", "https", "azureml", "databricks", "databricks-uc"),
)
_BUSY_SECONDS = 20
"""Timeout for locks of other writers; the same as MLflow's."""
_CONTEXT = "MLFLOW_RUN_CONTEXT"
"""Variable with tags that MLflow sets on each new run."""
_HOST, _NAMESPACE = "process.host", "process.namespace"
_PROCESS, _START = "process.id", "process.start_ticks"
"""Tags of a run: where its process runs, its ID, and its `processes.start_ticks`."""


def check_address(uri: str) -> None:
    """Check a tracking URI, and connect to the server if it is one.

    MLflow itself retries for minutes.

    Raises:
        ValueError: MLflow does not support the URI, or the server does not respond.
    """
    address = urlsplit(uri)
    if uri and address.scheme.partition("+")[0] not in _SCHEMES:
        raise ValueError(
            f"tracking URI '{uri}' is not supported by MLflow; expected a database such as "
            "sqlite:///mlflow.db, or http://HOST:PORT: check MLFLOW_TRACKING_URI and mlflow.yml"
        )
    if address.scheme not in ("http", "https"):
        return
    try:
        port = address.port or {"http": 80, "https": 443}[address.scheme]
        socket.create_connection((address.hostname or "", port), timeout=10).close()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"tracking server {address.scheme}://{address.hostname}:{address.port} does not "
            f"respond ({error}); start it, or check MLFLOW_TRACKING_URI and mlflow.yml"
        ) from error


def check_database(file: Path) -> None:
    """Check that a SQLite file, if it exists, is a complete tracking database.

    Raises:
        ValueError: The file is damaged, locked, incomplete, or belongs to another application.
    """
    if not file.exists():
        return
    # A run that was killed while writing leaves a journal, which SQLite rolls back on reading.
    # That needs a writable connection.
    address = f"{file.absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA quick_check(1)").fetchall()
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            is_used = "experiments" in tables and bool(
                connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchall()
            )
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise ValueError(
                f"tracking database {file} is locked by another process; wait until that process "
                "has finished, or stop it"
            ) from error
        raise ValueError(
            f"tracking database {file} cannot be read ({error}); restore a backup, or move the "
            "file away to start with an empty database"
        ) from error
    if tables and not tables & {"alembic_version", "experiments"}:
        raise ValueError(
            f"tracking database {file} belongs to another application; set another file in "
            "mlflow.yml, or in MLFLOW_TRACKING_URI"
        )
    if tables and not is_used:  # MLflow adds an experiment when all tables are complete
        try:
            _initialise(file)
        except Exception as error:
            raise ValueError(
                f"tracking database {file} is incomplete: MLflow was stopped while creating it; it "
                "contains no runs: delete it and rerun"
            ) from error


def check_writable(file: Path) -> None:
    """Check that runs can be written to a SQLite file.

    Raises:
        ValueError: The file, or its folder, in which SQLite keeps a journal, is read-only.
    """
    for path, mode in ((file, os.W_OK), (file.parent, os.W_OK | os.X_OK)):
        if not os.access(path, mode):
            raise ValueError(
                f"tracking database {file}: {path} is not writable for this user; change its "
                "permissions, or set another file in mlflow.yml or in MLFLOW_TRACKING_URI"
            )


def create_database(file: Path) -> None:
    """Create a SQLite file with MLflow's tables atomically, unless it exists.

    MLflow takes a second to create its tables, and cannot resume if it is interrupted. The caller
    holds the lock against other runs of the project.
    """
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{uuid4().hex[:8]}.part")
    try:
        _initialise(part)
        if not file.exists():  # a run of another project may have created it meanwhile
            part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    for leftover in file.parent.glob(f".{file.name}.*.part*"):  # from killed runs
        leftover.unlink(missing_ok=True)


def _initialise(file: Path) -> None:
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(f"{SQLITE}{file}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)
    store.engine.dispose()


@contextmanager
def tag_process() -> Iterator[None]:
    """Tag the MLflow runs that start in this block with this process."""
    before = os.environ.get(_CONTEXT)
    os.environ[_CONTEXT] = json.dumps(json.loads(before or "{}") | _tags())
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CONTEXT]
        else:
            os.environ[_CONTEXT] = before


def _tags() -> dict[str, str]:
    process = os.getpid()
    return {**_host_tags(), _PROCESS: str(process), _START: processes.start_ticks(process)}


def _host_tags() -> dict[str, str]:
    """Return host and PID namespace; a container may have the host's name."""
    return {_HOST: socket.gethostname(), _NAMESPACE: processes.namespace()}


def end_killed_runs(experiment: str) -> int:
    """Mark running MLflow runs as KILLED if their process on this machine has ended.

    Args:
        experiment: ID of the experiment.

    Returns:
        Number of runs that were marked.
    """
    from mlflow import MlflowClient

    client, ended = MlflowClient(), 0
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        tags = run.data.tags
        if not tags.get(_PROCESS, "").isdecimal() or not _host_tags().items() <= tags.items():
            continue
        if not processes.is_alive(int(tags[_PROCESS]), tags.get(_START, "")):
            client.set_terminated(run.info.run_id, "KILLED")
            ended += 1
    return ended
