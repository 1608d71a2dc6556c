"""What the sensors' database holds, as data frames: at once, in blocks, or only counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import BigInteger, ColumnElement, Select, Table, and_, cast, func, select, true
from sqlalchemy.engine import Connection

from quartet.datasets.sensor_store.rows import VALUES_A_STATEMENT, read_columns
from quartet.datasets.sensor_store.schema import (
    STATISTICS,
    Position,
    anomalies,
    files,
    moment,
    quarantine,
    sensors,
    windows,
)
from quartet.datasets.sensor_store.sensor_ids import Pair, SensorIds

_MOMENT = "datetime64[s]"
_BLOCK = 200_000
"""Windows: some 50 MB, with what is made of them."""

Result = TypeVar("Result")


class History:
    """Windows of one database. What a run needs of many, it reads in blocks or has counted."""

    _ids: SensorIds

    def _transact(self, work: Callable[[Connection], Result], *, writes: bool = True) -> Result:
        raise NotImplementedError

    def read_windows(
        self,
        *,
        since: pd.Timestamp | None = None,
        until: pd.Timestamp | None = None,
        pairs: Iterable[tuple[str, str]] | None = None,
    ) -> pd.DataFrame:
        """Windows that end in (since, until], by device, sensor and end.

        Columns: device, sensor, window_end (datetime64[s], UTC), readings, mean,
        standard_deviation, minimum, maximum, last_value, revision.

        Args:
            since: All from the first on, without it.
            until: All up to the last, without it.
            pairs: Only those of these (device, sensor); unknown ones have none.
        """
        wanted = None if pairs is None else set(pairs)
        return self._transact(
            lambda connection: read_windows(connection, self._ids, [ended(since, until)], wanted),
            writes=False,
        )

    def new_windows(self, after: Position | None, until: Position) -> pd.DataFrame:
        """Closed windows that have not been scored as they are now; columns and order as above.

        Those that end after `after.horizon` or were written since `after.revision`, so
        also old ones that late readings have changed.

        Args:
            after: How far scoring has come; None before it has come anywhere.
            until: How far ingestion has come; windows that end after its horizon are still open.
        """
        conditions = unscored(after, until)
        return self._transact(
            lambda connection: read_windows(connection, self._ids, conditions),
            writes=False,
        )

    def window_blocks(
        self, since: pd.Timestamp, until: pd.Timestamp, most: int = _BLOCK
    ) -> Iterator[pd.DataFrame]:
        """The windows that end in (since, until], a stretch of time after the other.

        Columns and order within a block are those of `read_windows`. Each block is read when it
        is asked for.

        Args:
            since: The end of the last window that is not among them.
            until: The end of the last window that is.
            most: Windows in a block, about: those that end at the same moment stay together.
        """
        counts = self.window_counts(since=since, until=until)
        block = (counts["windows"].cumsum() - 1) // most
        for end in counts.groupby(block)["window_end"].max():
            yield self.read_windows(since=since, until=end)
            since = end

    def window_counts(
        self, *, since: pd.Timestamp | None = None, until: pd.Timestamp | None = None
    ) -> pd.DataFrame:
        """How many windows end at each moment in (since, until], and the readings in them.

        Columns: window_end (datetime64[s], UTC), ascending; windows, readings.
        """
        return self._transact(
            lambda connection: read_counts(connection, ended(since, until)),
            writes=False,
        )

    def totals(self) -> tuple[int, int]:
        """How many windows there are, and of how many sensors."""
        return self._transact(read_totals, writes=False)


def ended(
    since: pd.Timestamp | None, until: pd.Timestamp | None, table: Table = windows
) -> ColumnElement[bool]:
    """The condition that a window ends in (since, until]."""
    first, last = moment(since), moment(until)
    conditions: list[ColumnElement[bool]] = [true()]
    if first is not None:
        conditions.append(table.c.window_end > first)
    if last is not None:
        conditions.append(table.c.window_end <= last)
    return and_(*conditions)


def unscored(after: Position | None, until: Position) -> list[ColumnElement[bool]]:
    """Conditions that exclude one another: windows to score are those that one of them takes.

    Each is served by an index; joined by OR, they would be by none.
    """
    if until.horizon is None:
        return []
    if after is None or after.horizon is None:
        return [ended(None, until.horizon)]
    old = ended(None, min(after.horizon, until.horizon))
    return [
        ended(after.horizon, until.horizon),
        and_(windows.c.revision > after.revision, old),
    ]


def read_windows(
    connection: Connection,
    ids: SensorIds,
    conditions: Sequence[ColumnElement[bool]],
    pairs: set[Pair] | None = None,
) -> pd.DataFrame:
    """Windows for which one of the conditions holds, of the given sensors or of all."""
    columns: dict[str, Any] = {
        "readings": np.int64,
        **dict.fromkeys(STATISTICS, np.float64),
        "revision": np.int64,
    }
    return _read(connection, ids, windows, columns, conditions, pairs)


def read_counts(connection: Connection, condition: ColumnElement[bool]) -> pd.DataFrame:
    """By the end of windows for which the condition holds: their number and their readings."""
    end = windows.c.window_end
    readings = func.sum(cast(windows.c.readings, BigInteger))  # SQL Server's sum would overflow
    query = select(end, func.count(), readings).where(condition).group_by(end).order_by(end)
    columns = read_columns(connection, query, [_MOMENT, np.int64, np.int64])
    return pd.DataFrame(dict(zip(("window_end", "windows", "readings"), columns, strict=True)))


def read_totals(connection: Connection) -> tuple[int, int]:
    """The numbers of windows and of sensors; each sensor has had a window."""
    number = func.count()
    counts = [connection.scalar(select(number).select_from(table)) for table in (windows, sensors)]
    return int(counts[0] or 0), int(counts[1] or 0)


def read_anomalies(
    connection: Connection,
    ids: SensorIds,
    since: pd.Timestamp | None,
    until: pd.Timestamp | None,
) -> pd.DataFrame:
    """Anomalies in windows that end in (since, until]."""
    columns = {
        "score": np.float64,
        "threshold": np.float64,
        "model_version": object,
        "revision": np.int64,
    }
    return _read(connection, ids, anomalies, columns, [ended(since, until, anomalies)])


def _read(
    connection: Connection,
    ids: SensorIds,
    table: Table,
    columns: Mapping[str, Any],
    conditions: Sequence[ColumnElement[bool]],
    pairs: set[Pair] | None = None,
) -> pd.DataFrame:
    """Rows of a table keyed by window, by device, sensor and end, with the sensors' names."""
    kinds = [np.int32, _MOMENT, *columns.values()]
    query = select(table.c.sensor_id, table.c.window_end, *[table.c[name] for name in columns])
    wanted = _wanted(connection, ids, pairs)
    if wanted is not None and wanted.size <= VALUES_A_STATEMENT:
        query = query.where(table.c.sensor_id.in_(wanted.tolist()))
    parts = [read_columns(connection, query.where(condition), kinds) for condition in conditions]
    sensor, end, *values = (
        [np.concatenate(column) for column in zip(*parts, strict=True)]
        if parts
        else [np.empty(0, kind) for kind in kinds]
    )
    names = ids.names(connection)
    order = np.lexsort((end, names.place[sensor]))
    if wanted is not None and wanted.size > VALUES_A_STATEMENT:
        order = order[np.isin(sensor[order], wanted)]
    frame = {"device": names.device[sensor[order]], "sensor": names.sensor[sensor[order]]}
    frame["window_end"] = end[order]
    frame |= {name: column[order] for name, column in zip(columns, values, strict=True)}
    return pd.DataFrame(frame, copy=False)


def _wanted(
    connection: Connection, ids: SensorIds, pairs: set[Pair] | None
) -> NDArray[np.int32] | None:
    if pairs is None:
        return None
    known = ids.known(connection)
    return np.array(sorted(known[pair] for pair in pairs if pair in known), np.int32)


def read_files(connection: Connection) -> pd.DataFrame:
    """The ledger, by name."""
    columns = [column for column in files.columns if column.name != "file_key"]
    table = _small(connection, select(*columns).order_by(files.c.name))
    return table.astype({"ingested_at": _MOMENT})


def read_faults(connection: Connection, limit: int | None) -> pd.DataFrame:
    """The faults by file and number, `limit` of them at most."""
    fault = quarantine.c
    query = (
        select(files.c.name.label("file"), fault.position, fault.reason, fault.body)
        .join_from(quarantine, files, fault.file_key == files.c.file_key)
        .order_by(files.c.name, fault.number)
        .limit(limit)
    )
    return _small(connection, query).astype({"position": "Int64"})


def _small(connection: Connection, query: Select[Any]) -> pd.DataFrame:
    """The result of a query of a few thousand rows."""
    result = connection.execute(query)
    return pd.DataFrame(result.all(), columns=list(result.keys()))
