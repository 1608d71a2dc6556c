"""Queries of the sensors' database as data frames: complete, in blocks, or only counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from kedro.io.core import DatasetError
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Select,
    Table,
    and_,
    cast,
    false,
    func,
    select,
    true,
)
from sqlalchemy.engine import Connection

from kedro_cloud.core.run_command import run_command
from quartet.datasets.sensor_store.database import Database
from quartet.datasets.sensor_store.rows import VALUES_PER_STATEMENT, checksum_rows, read_columns
from quartet.datasets.sensor_store.schema import (
    INGESTION,
    Cursor,
    anomalies,
    device_alarms,
    files,
    jobs,
    make_tables,
    quarantine,
    sensors,
    to_datetime,
    to_timestamp,
    windows,
)
from quartet.datasets.sensor_store.sensor_ids import Pair, SensorIds

_DAMAGED = (
    "the file is damaged, or another program changed it; restore a copy, or move the database away "
    "and ingest all files again"
)
_TIME_TYPE = "datetime64[s]"
_NUMPY_TYPES: dict[type, Any] = {
    int: np.int64,
    float: np.float64,
    str: object,
    datetime: _TIME_TYPE,
}
"""NumPy types of the tables' columns."""
_BLOCK_WINDOWS = 200_000
"""Windows per block: about 50 MB, with their features."""

Result = TypeVar("Result")


class SensorQueries:
    """The queries of `SensorTables`, whose tables are created on first use."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids = SensorIds()
        self._made = False

    @property
    def name(self) -> str:
        """Name of the database in messages, without a password."""
        return self._database.name

    def make(self) -> None:
        """Create missing tables."""
        if not self._made:
            make_tables(self._database)
            self._made = True

    def close(self) -> None:
        """Close the connection; it is opened again when needed."""
        self._database.close()

    def _transact(self, work: Callable[[Connection], Result], *, writes: bool = True) -> Result:
        self.make()
        return self._database.transact(work, writes=writes)

    def _read(self, work: Callable[[Connection], Result]) -> Result:
        return self._transact(work, writes=False)

    def read_windows(
        self,
        *,
        since: pd.Timestamp | None = None,
        until: pd.Timestamp | None = None,
        pairs: Iterable[Pair] | None = None,
    ) -> pd.DataFrame:
        """Return the windows that end in (since, until], by device, sensor and end.

        Columns: device, sensor, window_end (datetime64[s], UTC), readings, mean,
        standard_deviation, minimum, maximum, last_value, revision.

        Args:
            since: Lower bound, exclusive; None for no bound.
            until: Upper bound, inclusive; None for no bound.
            pairs: Read only the windows of these (device, sensor); None for all.
        """
        return self._read_by_key(windows, [_ends_between(windows, since, until)], pairs)

    def new_windows(self, after: Cursor | None, until: Cursor) -> pd.DataFrame:
        """Return closed windows that are new or changed since the last scoring.

        These end after `after.watermark`, or were written after `after.revision` because of late
        readings. Columns as of `read_windows`.

        Args:
            after: Cursor of scoring; None before the first scoring.
            until: Cursor of ingestion; windows that end after its watermark are still open.
        """
        return self._read_by_key(windows, _match_unscored(after, until))

    def window_blocks(
        self, since: pd.Timestamp, until: pd.Timestamp, size: int = _BLOCK_WINDOWS
    ) -> Iterator[pd.DataFrame]:
        """Yield the windows that end in (since, until] in consecutive blocks of time.

        Columns and order within a block are those of `read_windows`. A block has about `size`
        windows, as those with the same end stay together, and is read when it is requested.
        """
        counts = self.window_counts(since=since, until=until)
        block = (counts["windows"].cumsum() - 1) // size
        for end in counts.groupby(block)["window_end"].max():
            yield self.read_windows(since=since, until=end)
            since = end

    def window_counts(
        self, *, since: pd.Timestamp | None = None, until: pd.Timestamp | None = None
    ) -> pd.DataFrame:
        """Return the number of windows and their readings by window end in (since, until].

        Columns: window_end (datetime64[s], UTC), ascending; windows, readings.
        """
        end = windows.c.window_end
        # SQL Server's sum of the narrower type would overflow.
        readings = func.sum(cast(windows.c.readings, BigInteger))
        query = select(end, func.count(), readings).where(_ends_between(windows, since, until))
        query = query.group_by(end).order_by(end)
        numpy_types = {"window_end": _TIME_TYPE, "windows": np.int64, "readings": np.int64}
        columns = self._read(
            lambda connection: read_columns(connection, query, [*numpy_types.values()])
        )
        return pd.DataFrame(dict(zip(numpy_types, columns, strict=True)))

    def sensors(self) -> set[Pair]:
        """Return all sensors with windows, as (device, sensor)."""
        return set(self._read(self._ids.load))

    def totals(self) -> tuple[int, int]:
        """Return the number of windows and of sensors."""
        queries = [select(func.count()).select_from(table) for table in (windows, sensors)]
        count, pairs = self._read(lambda sql: [int(sql.scalar(each) or 0) for each in queries])
        return count, pairs

    def anomalies(
        self, *, since: pd.Timestamp | None = None, until: pd.Timestamp | None = None
    ) -> pd.DataFrame:
        """Return anomalies in windows that end in (since, until], by device, sensor and end.

        Columns: device, sensor, window_end (datetime64[s], UTC), score, threshold,
        model_version, revision.
        """
        return self._read_by_key(anomalies, [_ends_between(anomalies, since, until)])

    def device_alarms(
        self, *, since: pd.Timestamp | None = None, until: pd.Timestamp | None = None
    ) -> pd.DataFrame:
        """Return alarms of devices in windows that end in (since, until], by sensor and end.

        Columns: device, sensor (the most unusual one), window_end, score, threshold, event_start
        (datetime64[s], UTC), sensors, revision.
        """
        return self._read_by_key(device_alarms, [_ends_between(device_alarms, since, until)])

    def files(self) -> pd.DataFrame:
        """Return the ledger of files, sorted by name.

        Columns: name, version, state, reason, readings, duplicates, quarantined, batch_key,
        revision, ingested_at (datetime64[s], UTC).
        """
        columns = [column for column in files.columns if column.name != "file_key"]
        ledger = self._read_few(select(*columns).order_by(files.c.name))
        return ledger.astype({"ingested_at": _TIME_TYPE})

    def quarantine(self, limit: int | None = None) -> pd.DataFrame:
        """Return quarantined readings, by file and in order: file, position, reason, body.

        Args:
            limit: Maximum number of rows; None for all.
        """
        fault = quarantine.c
        query = (
            select(files.c.name.label("file"), fault.position, fault.reason, fault.body)
            .join_from(quarantine, files, fault.file_key == files.c.file_key)
            .order_by(files.c.name, fault.number)
            .limit(limit)
        )
        return self._read_few(query).astype({"position": "Int64"})

    def explain_missing_windows(self) -> str:
        """Return why there are no windows, and what to do: nothing was read, or nothing valid."""
        command = f"`{run_command('sensor_ingestion')}`"
        ledger = self.files()
        if ledger.empty:
            return f"run {command} first"
        rejected = int(ledger["quarantined"].sum())
        unreadable = ledger[ledger["state"] == "unreadable"]
        if rejected:
            example = self.quarantine(1).iloc[0]
            text = (
                f"all {rejected:,} readings were rejected, such as {example['file']}, "
                f"{example['position']}: {example['reason']}: {example['body']}"
            )
        elif len(unreadable):
            file = unreadable.iloc[0]
            text = f"{len(unreadable):,} files are unreadable: {file['name']} {file['reason']}"
        else:
            text = f"the {len(ledger):,} files read so far contain no readings"
        return f"{text}. Fix the data, then run {command}"

    def cursor(self, job: str) -> Cursor | None:
        """Return the cursor of `ingestion` or `scoring`; None before the first batch or run."""
        query = select(jobs.c.revision, jobs.c.watermark).where(jobs.c.name == job)
        return to_cursor(self._read(lambda connection: connection.execute(query).one()))

    def window_seconds(self) -> int | None:
        """Return the length of all windows in the database; None before the first."""
        query = select(jobs.c.window_seconds).where(jobs.c.name == INGESTION)
        return self._read(lambda connection: connection.scalar(query))

    def _read_few(self, query: Select[Any]) -> pd.DataFrame:
        """Return the result of a query of a few thousand rows."""

        def read(connection: Connection) -> pd.DataFrame:
            result = connection.execute(query)
            return pd.DataFrame(result.all(), columns=list(result.keys()))

        return self._read(read)

    def _read_by_key(
        self,
        table: Table,
        conditions: Sequence[ColumnElement[bool]],
        pairs: Iterable[Pair] | None = None,
    ) -> pd.DataFrame:
        """Return rows of a table that is keyed by window, sorted by device, sensor and end.

        Args:
            table: The table.
            conditions: Mutually exclusive conditions, one of which must hold for a row.
            pairs: Read only the rows of these sensors; None for all.

        Raises:
            DatasetError: A row was damaged, or changed by another program.
        """
        others = [column for column in table.c if column.name not in ("sensor_id", "window_end")]
        chosen = None if pairs is None else set(pairs)
        (sensor, end, *values), ids = self._fetch(table, others, conditions, chosen)
        if table is windows:
            others.pop()
            checksum = values.pop()
            self._check_windows(checksum, [end, sensor, *values])
        names = sorted(ids if chosen is None else chosen & ids.keys())
        rank = np.full(max(ids.values(), default=0) + 1, -1, np.int32)  # -1: not among `pairs`
        rank[[ids[pair] for pair in names]] = np.arange(len(names))
        order = np.lexsort((end, rank[sensor]))
        order = order[rank[sensor[order]] >= 0]
        index = rank[sensor[order]]
        device, name = (np.array([pair[part] for pair in names], object) for part in (0, 1))
        frame = {"device": device[index], "sensor": name[index], "window_end": end[order]}
        frame |= {column.name: value[order] for column, value in zip(others, values, strict=True)}
        return pd.DataFrame(frame, copy=False)

    def _fetch(
        self,
        table: Table,
        others: Sequence[Column[Any]],
        conditions: Sequence[ColumnElement[bool]],
        chosen: Set[Pair] | None,
    ) -> tuple[list[NDArray[Any]], dict[Pair, int]]:
        """Return the sensor ids, the ends and other columns of the rows, and the ids by sensor.

        The rows include those of other sensors if `chosen` are too many for a statement.

        Raises:
            DatasetError: A value has another type than its column.
        """
        query = select(table.c.sensor_id, table.c.window_end, *others)
        types = [np.int32, _TIME_TYPE, *(_NUMPY_TYPES[each.type.python_type] for each in others)]

        def read(connection: Connection) -> tuple[list[list[NDArray[Any]]], dict[Pair, int]]:
            filtered = query
            if chosen is not None and len(chosen) <= VALUES_PER_STATEMENT:
                known = self._ids.load(connection)
                ids = [known[pair] for pair in chosen if pair in known]
                filtered = query.where(table.c.sensor_id.in_(ids))
            parts = [read_columns(connection, filtered.where(each), types) for each in conditions]
            return parts, self._ids.load(connection)

        try:
            parts, ids = self._read(read)
        except (ValueError, TypeError, OverflowError) as error:  # of SQLite
            raise DatasetError(
                f"{self.name}: table {table.name} has a value of another type ({error}): {_DAMAGED}"
            ) from error
        return [np.concatenate(column) for column in zip(*parts, strict=True)], ids

    def _check_windows(self, stored: NDArray[np.int64], columns: Sequence[NDArray[Any]]) -> None:
        """Check that windows are as they were written; columns begin with the end of the window.

        Raises:
            DatasetError: A window was damaged, or changed by another program.
        """
        is_damaged = stored != checksum_rows(columns)
        if is_damaged.any():
            raise DatasetError(
                f"{self.name}: {int(is_damaged.sum()):,} of {len(stored):,} windows differ from "
                f"what was written, such as one that ends {columns[0][is_damaged][0]}: {_DAMAGED}"
            )


def to_cursor(row: Any) -> Cursor | None:
    """Return the cursor in a job's row."""
    return None if row.revision is None else Cursor(row.revision, to_timestamp(row.watermark))


def _ends_between(
    table: Table, since: pd.Timestamp | None, until: pd.Timestamp | None
) -> ColumnElement[bool]:
    """Return the condition that a window ends in (since, until]."""
    first, last = to_datetime(since), to_datetime(until)
    conditions: list[ColumnElement[bool]] = [true()]
    if first is not None:
        conditions.append(table.c.window_end > first)
    if last is not None:
        conditions.append(table.c.window_end <= last)
    return and_(*conditions)


def _match_unscored(after: Cursor | None, until: Cursor) -> list[ColumnElement[bool]]:
    """Return mutually exclusive conditions, one of which holds for each window to score.

    The database uses an index for each of them, but none for their disjunction.
    """
    if until.watermark is None:
        return [false()]
    if after is None or after.watermark is None:
        return [_ends_between(windows, None, until.watermark)]
    old = _ends_between(windows, None, min(after.watermark, until.watermark))
    return [
        _ends_between(windows, after.watermark, until.watermark),
        and_(windows.c.revision > after.revision, old),
    ]
