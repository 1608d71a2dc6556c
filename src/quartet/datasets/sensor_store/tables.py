"""Windows, ledger, quarantine, anomalies and job cursors of the sensors scenario, in SQL.

Every method is one transaction, tried again when the database fails for a moment,
and safe to repeat: nothing is lost, and nothing written twice, wherever it stops.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pandas as pd
from kedro.io.core import AbstractDataset
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from quartet.datasets.sensor_store.claims import ClaimError, Claims, locked_job, renew
from quartet.datasets.sensor_store.database import Database
from quartet.datasets.sensor_store.history import History, cursor_of
from quartet.datasets.sensor_store.schema import (
    INGESTION,
    SCORING,
    Cursor,
    batches,
    jobs,
    make_tables,
    moment,
)
from quartet.datasets.sensor_store.sensor_ids import SensorIds
from quartet.datasets.sensor_store.writing import (
    WindowBatch,
    check_batch,
    write_anomalies,
    write_batch,
)

__all__ = ["ClaimError", "Cursor", "SensorTables", "SensorTablesDataset", "WindowBatch"]

Result = TypeVar("Result")


class SensorTables(Claims, History):
    """The tables of one database; they are made when they are first used.

    Every method raises DatasetError when the database stays away, is locked, full or
    damaged, and then has written nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids = SensorIds()
        self._made = False

    @property
    def name(self) -> str:
        """What the database is called in messages: no password."""
        return self._database.name

    def make(self) -> None:
        """Make the tables that are missing."""
        if not self._made:
            make_tables(self._database)
            self._made = True

    def close(self) -> None:
        """Close the connection; it opens again when it is needed."""
        self._database.close()

    def publish(self, batch: WindowBatch) -> int:
        """Return the revision under which the batch was written, whole: 1, 2, 3, …

        Windows, ledger and faults take the place of those with the same keys, and the
        ingestion job's cursor moves with them.

        Raises:
            ValueError: The batch is inconsistent, or its windows are of another length than
                those here; says where.
            ClaimError: The claim that the batch names is lost.
        """
        check_batch(batch)
        token = uuid.uuid4().hex

        def write(connection: Connection) -> int:
            row, now = locked_job(connection, INGESTION)
            written = connection.scalar(select(batches.c.revision).where(batches.c.token == token))
            if written is not None:  # the answer to an earlier attempt's commit was lost
                return int(written)
            if batch.claim is not None:
                renew(connection, INGESTION, batch.claim, self.name)
            self._check_length(row.window_seconds, batch.window_seconds)
            revision = (row.revision or 0) + 1
            write_batch(connection, batch, self._ids, revision, now)
            counts = {name: len(getattr(batch, name)) for name in ("windows", "files")}
            connection.execute(
                insert(batches).values(
                    revision=revision,
                    token=token,
                    published_at=now,
                    quarantined=len(batch.quarantine),
                    **counts,
                )
            )
            watermark = max(filter(None, (row.watermark, moment(batch.watermark))), default=None)
            _move(connection, INGESTION, revision, watermark)
            if batch.window_seconds is not None:
                _set(connection, INGESTION, {"window_seconds": batch.window_seconds})
            return revision

        return self._transact(write)

    def check_window_seconds(self, seconds: int) -> None:
        """Make sure that windows of this length may be written here.

        Raises:
            ValueError: Those here have another length.
        """
        self._check_length(self.window_seconds(), seconds)

    def _check_length(self, here: int | None, given: int | None) -> None:
        if None not in (here, given) and here != given:
            raise ValueError(
                f"{self.name} holds windows of {here} seconds, and such of {given} cannot be "
                "among them: give them a database of their own, --params sensor_database=URL"
            )

    def write_anomalies(
        self, scored: pd.DataFrame, anomalies: pd.DataFrame, claim: str | None = None
    ) -> None:
        """Replace what is said of the scored windows: those among `anomalies` are, the rest not.

        Args:
            scored: device, sensor, window_end of all windows that were scored.
            anomalies: of some of these, also score, threshold, model_version, revision.
            claim: The token of a claim on the job `scoring`, which is then renewed.

        Raises:
            ValueError: An anomaly is not among the scored, or a window is not in the database.
            ClaimError: The claim is lost.
        """

        def write(connection: Connection) -> None:
            if claim is not None:
                renew(connection, SCORING, claim, self.name)
            write_anomalies(connection, self._ids.load(connection), scored, anomalies)

        self._transact(write)

    def move_cursor(self, token: str, before: Cursor | None, after: Cursor) -> None:
        """Move the scoring job from one cursor to the next; the claim is renewed.

        Raises:
            ClaimError: The claim is lost, or the job is not where this run found it.
        """

        def move(connection: Connection) -> None:
            row, _ = locked_job(connection, SCORING)
            renew(connection, SCORING, token, self.name)
            found = cursor_of(row)
            if found == after:  # the answer to an earlier attempt's commit was lost
                return
            if found != before:
                raise ClaimError(
                    f"{self.name}: scoring stands at {found}, not at {before} where this run "
                    "began: another run has moved it. Run again"
                )
            _move(connection, SCORING, after.revision, moment(after.watermark))

        self._transact(move)

    def _transact(self, work: Callable[[Connection], Result], *, writes: bool = True) -> Result:
        self.make()
        return self._database.transact(work, writes=writes)


def _move(connection: Connection, job: str, revision: int, watermark: Any) -> None:
    _set(connection, job, {"revision": revision, "watermark": watermark})


def _set(connection: Connection, job: str, values: Mapping[str, Any]) -> None:
    connection.execute(update(jobs).where(jobs.c.name == job).values(values))


class SensorTablesDataset(AbstractDataset[WindowBatch, SensorTables]):
    """Hands a node the sensors' tables in a SQL database; saving publishes a batch.

    ```yaml
    sensor_tables:
      type: quartet.datasets.sensor_store.tables.SensorTablesDataset
      url: sqlite:///data/03_primary/sensors/sensors.db
    ```

    With MariaDB, and with Azure SQL, where without a user an Entra ID token is used:

    ```yaml
      url: mysql+pyodbc://db.example.org:3306/sensors
      credentials: sensor_database   # username, password
    ```
    ```yaml
      url: mssql+pyodbc://example.database.windows.net/sensors
    ```
    """

    def __init__(
        self,
        *,
        url: str,
        credentials: Mapping[str, str] | None = None,
        timeout_seconds: int = 120,
        attempts: int = 7,
        wait_seconds: float = 1.0,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the database.

        Args:
            url: SQLAlchemy's form; a relative SQLite file lies below the Kedro project.
            credentials: `username` and `password`, or a whole `url` in place of the other.
            timeout_seconds: How long the database may stay silent, or locked by others.
            attempts: How often a transaction is tried while the database is away.
            wait_seconds: Pause before the second attempt, doubled before each further one.
            metadata: Ignored here; read by plugins.
        """
        database = Database(
            url,
            credentials=credentials,
            timeout_seconds=timeout_seconds,
            attempts=attempts,
            wait_seconds=wait_seconds,
        )
        self._tables = SensorTables(database)
        self.metadata = metadata

    def load(self) -> SensorTables:
        """Return the handle; the tables are made where they are missing.

        Raises:
            DatasetError: The database cannot be reached, or is something else.
        """
        self._tables.make()
        return self._tables

    def save(self, data: WindowBatch) -> None:
        """Publish the batch; see `SensorTables.publish`."""
        self._tables.publish(data)

    def _exists(self) -> bool:
        return True  # the handle can always be had

    def _describe(self) -> dict[str, Any]:
        return {"database": self._tables.name}
