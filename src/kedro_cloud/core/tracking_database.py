"""Where runs are tracked: checks before a run, a complete database, an end for killed runs."""

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
"""How long to wait for others that write, as MLflow does."""
_CONTEXT = "MLFLOW_RUN_CONTEXT"
"""Variable from which MLflow takes tags of each run that it opens."""
_HOST, _NAMESPACE, _PROCESS, _START = (
    f"process.{name}" for name in ("host", "namespace", "id", "start_ticks")
)


def check_address(uri: str) -> None:
    """Raise for an address that MLflow cannot use, or a server that does not answer.

    MLflow itself asks a server for minutes.
    """
    address = urlsplit(uri)
    if uri and address.scheme.partition("+")[0] not in _SCHEMES:
        raise ValueError(
            f"tracking address '{uri}' is none that MLflow can use; expected a database such as "
            "sqlite:///mlflow.db, or http://HOST:PORT: see MLFLOW_TRACKING_URI and mlflow.yml"
        )
    if address.scheme not in ("http", "https"):
        return
    try:
        port = address.port or {"http": 80, "https": 443}[address.scheme]
        socket.create_connection((address.hostname or "", port), timeout=10).close()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"tracking server {address.scheme}://{address.hostname}:{address.port} does not answer "
            f"({error}); start it, or see MLFLOW_TRACKING_URI and mlflow.yml"
        ) from error


def check_database(file: Path) -> None:
    """Raise for a SQLite file that is damaged, of something else, or was never completed.

    Raises:
        ValueError: With what is wrong and what to do.
    """
    if not file.exists():
        return
    # A run that was killed while it wrote leaves a journal, which SQLite rolls back on reading.
    # It cannot where the file is opened for reading only.
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
                f"tracking database {file} is locked by another process; wait until that has "
                "finished, or end it"
            ) from error
        raise ValueError(
            f"tracking database {file} cannot be read ({error}); restore it from a copy, or move "
            "it away to start with an empty one"
        ) from error
    if tables and not tables & {"alembic_version", "experiments"}:
        raise ValueError(
            f"tracking database {file} is a database of something else; name another one in "
            "mlflow.yml, or by MLFLOW_TRACKING_URI"
        )
    if tables and not is_used:  # MLflow adds an experiment when all tables are complete
        try:
            _initialise(file)
        except Exception as error:
            raise ValueError(
                f"tracking database {file} is incomplete: MLflow was stopped while creating it; it "
                "contains no runs: delete it and rerun"
            ) from error


def create_database(file: Path) -> None:
    """Create MLflow's tables in a SQLite file that is absent, completely or not at all.

    MLflow takes a second for them, and cannot continue where it was stopped. The caller keeps
    other runs of the project out.
    """
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{uuid4().hex[:8]}.part")
    try:
        _initialise(part)
        _publish(part, file)
    finally:
        part.unlink(missing_ok=True)
    for left in file.parent.glob(f".{file.name}.*.part*"):  # by runs that were killed
        left.unlink(missing_ok=True)


def _initialise(file: Path) -> None:
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(f"{SQLITE}{file}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)
    store.engine.dispose()


def _publish(part: Path, file: Path) -> None:
    # Unlike a rename, a link never replaces the database that a run of another project has made.
    try:
        file.hardlink_to(part)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not file.exists():
            part.rename(file)


@contextmanager
def tagged_process() -> Iterator[None]:
    """Let a run that MLflow opens in this block carry, from its first moment, whose it is."""
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
    return {
        **_place(),
        _PROCESS: str(process),
        _START: processes.start_ticks(process),
    }


def _place() -> dict[str, str]:
    """Within which a process has its number: a container may share the name of its host."""
    return {_HOST: socket.gethostname(), _NAMESPACE: processes.namespace()}


def end_killed_runs(experiment: str) -> int:
    """Mark runs as killed that are under way, but whose process on this machine has ended.

    Args:
        experiment: MLflow's identifier of it.

    Returns:
        How many there were.
    """
    from mlflow import MlflowClient

    client, ended = MlflowClient(), 0
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        tags = run.data.tags
        if not tags.get(_PROCESS, "").isdecimal() or not _place().items() <= tags.items():
            continue
        if not processes.is_alive(int(tags[_PROCESS]), tags.get(_START, "")):
            client.set_terminated(run.info.run_id, "KILLED")
            ended += 1
    return ended
