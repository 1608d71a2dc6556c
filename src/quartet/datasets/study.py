"""Storage of Optuna studies in SQLite."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io.core import DatasetError

from quartet.datasets.file import HandleDataset
from quartet.datasets.location import Location

if TYPE_CHECKING:
    import optuna

BUSY_SECONDS = 60
"""Timeout of a worker that waits for the database lock."""
GRACE_SECONDS = 120
"""Time without heartbeat after which a trial counts as stale: more than the longest wait for the
database lock plus the heartbeat interval."""


class StudyStore:
    """A SQLite file of studies, local while it is open.

    SQLite needs a file system with locks. A remote file is downloaded by `open` and
    uploaded by `upload` and at the end.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._path: Path | None = None

    @contextmanager
    def open(self) -> Iterator[str]:
        """Provide the local path for `open_storage`, which other local processes can use.

        Raises:
            DatasetError: The file is not an Optuna database, or is locked by another process.
        """
        with tempfile.TemporaryDirectory() as folder:
            if self._location.is_local:
                self._path = Path(self._location.path)
                self._path.parent.mkdir(parents=True, exist_ok=True)
            else:
                self._path = Path(folder) / "study.db"
                if self._location.exists():
                    self._path.write_bytes(self._location.read())
            self._check(self._path)
            try:
                yield str(self._path)
            finally:
                self.upload()
                self._path = None

    def upload(self) -> None:
        """Upload the database if its location is remote."""
        if self._location.is_local or self._path is None or not self._path.exists():
            return
        copy = self._path.with_suffix(".copy")
        with (
            closing(sqlite3.connect(self._path)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        self._location.write(copy.read_bytes())
        copy.unlink()

    def _check(self, path: Path) -> None:
        """Check that the file is an Optuna database, before anything is written to it.

        Raises:
            DatasetError: The file is another database, cannot be opened, or is locked.
        """
        if not path.exists() or path.stat().st_size == 0:
            return
        origin = self._location.path
        try:
            with closing(
                sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=5)
            ) as connection:
                connection.execute("BEGIN IMMEDIATE")
                tables = {
                    name
                    for (name,) in connection.execute("SELECT name FROM sqlite_master").fetchall()
                }
                connection.rollback()
        except sqlite3.OperationalError as error:
            if "unable to open" in str(error):
                raise DatasetError(
                    f"{origin}: the study database cannot be opened; check that it is a file that "
                    "you may read and write"
                ) from error
            raise DatasetError(
                f"{origin}: the study database is locked by another process ({error}); wait until "
                "it has finished, or stop it"
            ) from error
        except sqlite3.DatabaseError as error:
            raise DatasetError(
                f"{origin}: not a study database ({error}); move the file away to start a new study"
            ) from error
        if tables and not {"studies", "trials"} <= tables:
            raise DatasetError(
                f"{origin}: not an Optuna database (its tables: {', '.join(sorted(tables)[:5])}); "
                "move the file away to start a new study"
            )


def open_storage(path: str) -> optuna.storages.BaseStorage:
    """Return Optuna's storage of a SQLite file, which processes of one machine can share.

    A stale trial is set to failed before the next trial starts, and is retried.

    Raises:
        DatasetError: The database was created by another version of Optuna.
    """
    import optuna
    from sqlalchemy import event

    from quartet.datasets.database_engines import enable_write_ahead_log
    from quartet.datasets.study_heartbeats import HEARTBEAT_SECONDS, HeartbeatStorage

    try:
        storage = HeartbeatStorage(
            f"sqlite:///{path}",
            engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}},
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
        )
    except RuntimeError as error:
        raise DatasetError(
            f"{path}: the study database cannot be used ({error}); move the file away to start a "
            "new study"
        ) from error

    @event.listens_for(storage.engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        # With a write-ahead log readers and the writer do not block each other. Commits survive
        # a killed process; only a power failure could lose the last ones.
        enable_write_ahead_log(connection, BUSY_SECONDS)
        connection.execute("PRAGMA synchronous=NORMAL")

    storage.engine.dispose()  # earlier connections are not configured
    return optuna.storages.get_storage(storage)


class StudyDataset(HandleDataset[StudyStore]):
    """Provides a `StudyStore`, which the node itself writes to.

    ```yaml
    faq_study:
      type: quartet.datasets.study.StudyDataset
      filepath: data/06_models/faq/study.db
    ```
    """

    def load(self) -> StudyStore:
        """Return the handle; the file need not exist yet."""
        return StudyStore(self._location)
