"""Where an Optuna study is kept, trial by trial."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsspec.implementations.local import LocalFileSystem
from kedro.io.core import DatasetError

from quartet.datasets.file import HandleDataset
from quartet.datasets.location import Location

if TYPE_CHECKING:
    import optuna

BUSY_SECONDS = 60
"""How long a worker waits for others that write, before it takes the database for locked."""
GRACE_SECONDS = 120
"""Without a heartbeat for so long, a trial's machine is taken for lost: more than the longest wait
for the database and the interval together."""


class StudyStore:
    """A SQLite file of studies, on this machine while it is open.

    A file on other storage is fetched when it is opened and brought back
    whenever `upload` is called: SQLite needs a file system with locks.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._local = isinstance(location.filesystem, LocalFileSystem)
        self._path: Path | None = None

    @contextmanager
    def open(self) -> Iterator[str]:
        """The database's address for `open_storage`, good for other processes of this machine.

        Raises:
            DatasetError: The file is no Optuna database, or another process has locked it.
        """
        with tempfile.TemporaryDirectory() as folder:
            if self._local:
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
        """Bring what has been written to the storage, where that is not this machine."""
        if self._local or self._path is None or not self._path.exists():
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
        """Refuse a database that is not Optuna's, before anything is written into it."""
        if not path.exists() or path.stat().st_size == 0:
            return
        where = self._location.path
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
                    f"{where}: the study database cannot be opened; see whether it is a file, and "
                    "may be read and written by you"
                ) from error
            raise DatasetError(
                f"{where}: the study database is locked by another process ({error}); wait until "
                "that has finished, or end it"
            ) from error
        except sqlite3.DatabaseError as error:
            raise DatasetError(
                f"{where}: not a study database ({error}); move the file away to begin a new study"
            ) from error
        if tables and not {"studies", "trials"} <= tables:
            raise DatasetError(
                f"{where}: a database, but not of Optuna (it has {', '.join(sorted(tables)[:5])}); "
                "move the file away to begin a new study"
            )


def open_storage(path: str) -> optuna.storages.BaseStorage:
    """Return Optuna's storage of a SQLite file, shared by processes of one machine.

    A trial without a heartbeat fails before the next one begins, and is retried.

    Raises:
        DatasetError: The database was made by another version of Optuna.
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
            f"{path}: the study database cannot be used ({error}); move the file away to begin a "
            "new study"
        ) from error

    @event.listens_for(storage.engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        # With a write-ahead log readers and the writer do not wait for each other. A report is
        # then safe once the process has died; only a power cut could lose the last ones.
        enable_write_ahead_log(connection, BUSY_SECONDS)
        connection.execute("PRAGMA synchronous=NORMAL")

    storage.engine.dispose()  # connections opened before were not configured
    return optuna.storages.get_storage(storage)


class StudyDataset(HandleDataset[StudyStore]):
    """Hands a node its `StudyStore`; only the node's work writes through it.

    ```yaml
    faq_study:
      type: quartet.datasets.study.StudyDataset
      filepath: data/06_models/faq/study.db
    ```
    """

    def load(self) -> StudyStore:
        """Return the handle; the file need not exist yet."""
        return StudyStore(self._location)
