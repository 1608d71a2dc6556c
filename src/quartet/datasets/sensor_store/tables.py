"""Windows, ledger, quarantine, anomalies and job cursors of the sensors scenario, in SQL.

Every method is one idempotent transaction, which is retried on transient errors: nothing is lost
or written twice, wherever a run stops.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import pandas as pd
from kedro.io.core import AbstractDataset, DatasetError
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from quartet.datasets.sensor_store.claims import (
    ClaimError,
    lock_job,
    release_claim,
    renew_claim,
    take_claim,
)
from quartet.datasets.sensor_store.database import Database
from quartet.datasets.sensor_store.queries import SensorQueries, to_cursor
from quartet.datasets.sensor_store.schema import (
    INGESTION,
    SCORING,
    Cursor,
    batches,
    jobs,
    to_datetime,
)
from quartet.datasets.sensor_store.writing import (
    WindowBatch,
    check_batch,
    write_anomalies,
    write_batch,
)

__all__ = ["ClaimError", "Cursor", "SensorTables", "SensorTablesDataset", "WindowBatch"]

Saved = TypeVar("Saved")
Loaded = TypeVar("Loaded")

logger = logging.getLogger(__name__)


class SensorTables(SensorQueries):
    """The tables of one database, which are created on first use.

    Every method raises DatasetError if the database is unreachable, locked, full or damaged, and
    then has written nothing.
    """

    def claim(self, job: str, minutes: float, take_over: bool = False) -> str:
        """Claim a job and return the token of the claim.

        Replaces a claim that has expired, or that belongs to a dead process of this machine, to
        this process, or to the same job on Azure ML.

        Args:
            job: `ingestion` or `scoring`.
            minutes: Time until the claim expires unless it is renewed.
            take_over: Whether to take over the claim of any other run.

        Raises:
            ClaimError: Another run has the claim.
        """
        token = uuid.uuid4().hex
        seconds = max(1, round(60 * minutes))
        self._transact(lambda sql: take_claim(sql, job, token, seconds, take_over, self.name))
        return token

    def confirm(self, job: str, token: str) -> None:
        """Renew a claim for its full time, from any process.

        Raises:
            ClaimError: Another run has taken over.
        """
        self._transact(lambda sql: renew_claim(sql, job, token, self.name))

    def release(self, job: str, token: str) -> None:
        """Release a claim; does nothing if another run has taken it over."""
        self._transact(lambda sql: release_claim(sql, job, token))

    @contextmanager
    def hold_claim(self, job: str, minutes: float, take_over: bool = False) -> Iterator[str]:
        """Hold a claim during a `with` block; arguments and errors as for `claim`."""
        token = self.claim(job, minutes, take_over)
        try:
            yield token
        finally:
            try:
                self.release(job, token)
            except DatasetError as error:  # the claim expires by itself; keep the block's outcome
                logger.warning("The claim on %s was not released: %s", job, error)

    def publish(self, batch: WindowBatch) -> int:
        """Write a batch in one transaction, and return its revision, which counts from 1.

        Windows, ledger entries and quarantined readings replace those with the same keys, and the
        cursor of ingestion is moved.

        Raises:
            ValueError: The batch is inconsistent, or its windows have another length than those
                in the database.
            ClaimError: The batch's claim is lost.
        """
        check_batch(batch)
        token = uuid.uuid4().hex

        def write(connection: Connection) -> int:
            row, now = lock_job(connection, INGESTION)
            written = connection.scalar(select(batches.c.revision).where(batches.c.token == token))
            if written is not None:  # the response to an earlier attempt's commit was lost
                return int(written)
            if batch.claim is not None:
                renew_claim(connection, INGESTION, batch.claim, self.name)
            self._check_length(row.window_seconds, batch.window_seconds)
            revision = (row.revision or 0) + 1
            write_batch(connection, batch, self._ids, revision, now)
            counts = {
                "windows": len(batch.windows),
                "files": len(batch.files),
                "quarantined": len(batch.quarantine),
            }
            connection.execute(
                insert(batches).values(revision=revision, token=token, published_at=now, **counts)
            )
            marks = filter(None, (row.watermark, to_datetime(batch.watermark)))
            values = {"revision": revision, "watermark": max(marks, default=None)}
            if batch.window_seconds is not None:
                values["window_seconds"] = batch.window_seconds
            connection.execute(update(jobs).where(jobs.c.name == INGESTION).values(values))
            return revision

        return self._transact(write)

    def check_window_seconds(self, seconds: int) -> None:
        """Check that the database has no windows of another length.

        Raises:
            ValueError: Its windows have another length.
        """
        self._check_length(self.window_seconds(), seconds)

    def _check_length(self, stored: int | None, given: int | None) -> None:
        if None not in (stored, given) and stored != given:
            raise ValueError(
                f"{self.name} contains {stored} s windows, to which {given} s windows cannot be "
                "added; name the data set, with --params dataset_name=NAME"
            )

    def write_anomalies(
        self,
        scored: pd.DataFrame,
        anomalies: pd.DataFrame,
        claim: str | None = None,
        device_alarms: pd.DataFrame | None = None,
    ) -> None:
        """Replace the anomalies among the scored windows, and the alarms of their devices.

        The arguments are those of `jobs.ScoredWindows`. The claim, if any, is renewed; None leaves
        alarms of devices as they are.

        Raises:
            ValueError: An anomaly is not a scored window, or its sensor is not in the database.
            ClaimError: The claim is lost.
        """

        def write(connection: Connection) -> None:
            if claim is not None:
                renew_claim(connection, SCORING, claim, self.name)
            ids = self._ids.load(connection)
            write_anomalies(connection, ids, scored, anomalies, device_alarms)

        self._transact(write)

    def move_cursor(self, token: str, before: Cursor | None, after: Cursor) -> None:
        """Move the cursor of scoring, and renew the claim.

        Raises:
            ClaimError: The claim is lost, or the cursor is not at `before`.
        """

        def move(connection: Connection) -> None:
            row, _ = lock_job(connection, SCORING)
            renew_claim(connection, SCORING, token, self.name)
            found = to_cursor(row)
            if found == after:  # the response to an earlier attempt's commit was lost
                return
            if found != before:
                raise ClaimError(
                    f"{self.name}: the scoring cursor is at {found}, but was at {before} when "
                    "this run began: another run has moved it; rerun"
                )
            values = {"revision": after.revision, "watermark": to_datetime(after.watermark)}
            connection.execute(update(jobs).where(jobs.c.name == SCORING).values(values))

        self._transact(move)


class SensorDatabaseDataset(AbstractDataset[Saved, Loaded], Generic[Saved, Loaded]):
    """Base class of datasets in the sensors' tables."""

    def __init__(
        self,
        *,
        url: str,
        credentials: Mapping[str, str] | None = None,
        metadata: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Describe the database.

        Args:
            url: SQLAlchemy URL; a relative SQLite path is relative to the Kedro project.
            credentials: `username` and `password`, or a complete `url` that replaces the other.
            metadata: Ignored here; read by plugins.
            options: `timeout_seconds`, `attempts` and `wait_seconds`, as for `Database`.
        """
        self._tables = SensorTables(Database(url, credentials=credentials, **options))
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"database": self._tables.name}


class SensorTablesDataset(SensorDatabaseDataset[WindowBatch, SensorTables]):
    """The sensors' tables in a SQL database: loading returns them, saving publishes a batch.

    ```yaml
    sensor_tables:
      type: quartet.datasets.sensor_store.tables.SensorTablesDataset
      url: sqlite:///data/03_primary/sensors/sensors.db
    ```

    MariaDB, and Azure SQL, which uses an Entra ID token if there is no user:

    ```yaml
      url: mysql+pyodbc://db.example.org:3306/sensors
      credentials: sensor_database   # username, password
    ```
    ```yaml
      url: mssql+pyodbc://example.database.windows.net/sensors
    ```
    """

    def load(self) -> SensorTables:
        """Return the tables, after creating missing ones; a table that lacks a column raises."""
        self._tables.make()
        return self._tables

    def save(self, data: WindowBatch) -> None:
        """Publish the batch; see `SensorTables.publish`."""
        self._tables.publish(data)

    def _exists(self) -> bool:
        return True  # missing tables are created by `load`
