"""Fast insertion, reading and deletion of many rows, on SQLite, MariaDB and Azure SQL.

Statements are SQLAlchemy's, and every value is bound. Only SQLAlchemy's processing of single rows
is bypassed, which would take several times as long as the database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, Table, and_, delete, insert, select
from sqlalchemy.engine import Connection, Dialect
from tqdm import tqdm

Values = Sequence[Any] | NDArray[Any]

ROWS_FETCHED = 2_000
"""Rows fetched at a time; many more would exceed the processor's caches and be slower."""
VALUES_PER_STATEMENT = 1800
"""Below SQL Server's limit of 2,100; larger statements are no faster on MariaDB."""
ROWS_PER_BLOCK = 50_000
"""Rows bound at a time if the driver accepts many: limits the memory of driver and Python."""
_GAP_SECONDS = 3600
"""Windows further apart are read separately, so that a late one does not read a year."""


def insert_rows(connection: Connection, table: Table, columns: Mapping[str, Values]) -> None:
    """Insert rows.

    Args:
        connection: A connection in a transaction.
        table: The table.
        columns: Columns of equal length: lists of Python types, or arrays.
    """
    dialect = connection.dialect
    # Statements name columns in the table's order, and values are bound by position.
    columns = {column.name: columns[column.name] for column in table.c if column.name in columns}
    row_count = len(next(iter(columns.values())))
    # MariaDB's driver sends rows one by one; many in one statement are four times as fast.
    multirow = dialect.name in {"mysql", "mariadb"}
    size = VALUES_PER_STATEMENT // len(columns) if multirow else ROWS_PER_BLOCK
    with _progress(f"writing {table.name}", row_count) as bar:
        for start in range(0, row_count, size):
            block = slice(start, start + size)
            bound = [
                _to_driver_values(table, name, column[block], dialect)
                for name, column in columns.items()
            ]
            rows = list(zip(*bound, strict=True))
            if multirow:
                statement = _insert_statement(table, columns, len(rows), dialect)
                connection.exec_driver_sql(statement, tuple(chain.from_iterable(rows)))
            else:
                connection.exec_driver_sql(_insert_statement(table, columns, 1, dialect), rows)
            bar.update(len(rows))


def _progress(desc: str, total: int | None = None) -> tqdm[Any]:
    """Return a progress bar that is removed at its end, as it may be nested in another."""
    return tqdm(
        desc=desc,
        total=total,
        unit=" rows",
        unit_scale=True,
        disable=None,
        delay=2,
        leave=False,
    )


def _to_driver_values(table: Table, name: str, values: Values, dialect: Dialect) -> Sequence[Any]:
    """Convert values to the driver's types, each distinct one once."""
    plain: Sequence[Any] = values.tolist() if isinstance(values, np.ndarray) else values
    convert = table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
    if convert is None:
        return plain
    converted = {value: convert(value) for value in set(plain)}
    return [converted[value] for value in plain]


def _insert_statement(table: Table, names: Iterable[str], rows: int, dialect: Dialect) -> str:
    one = str(insert(table).compile(dialect=dialect, column_keys=list(names)))
    _, values = one.rsplit(" VALUES ", 1)
    return one + f", {values}" * (rows - 1)


def read_columns(
    connection: Connection, query: Select[Any], kinds: Sequence[Any]
) -> list[NDArray[Any]]:
    """Return the columns of a query, each as an array of the NumPy type in `kinds`.

    Rows are fetched in blocks, so that little more than the arrays is in memory.
    """
    result = connection.execute(query)
    blocks: list[list[NDArray[Any]]] = []
    time_codes: defaultdict[Any, int] = defaultdict(count().__next__)
    with _progress("reading the database") as bar:
        while rows := result.cursor.fetchmany(ROWS_FETCHED):
            columns = list(zip(*rows, strict=True))
            blocks.append(
                [_to_array(*pair, time_codes) for pair in zip(columns, kinds, strict=True)]
            )
            bar.update(len(rows))
    result.close()
    if not blocks:
        return [np.empty(0, kind) for kind in kinds]
    times = np.array(list(time_codes), "datetime64[s]")
    arrays = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
    return [
        times[column] if _is_datetime(kind) else column
        for column, kind in zip(arrays, kinds, strict=True)
    ]


def _to_array(values: Sequence[Any], kind: Any, time_codes: Mapping[Any, int]) -> NDArray[Any]:
    """Return a column as an array; times, which many rows share, as codes."""
    if _is_datetime(kind):
        return np.fromiter(map(time_codes.__getitem__, values), np.int32, len(values))
    return np.fromiter(values, kind, len(values))


def _is_datetime(kind: Any) -> bool:
    return np.dtype(kind).kind == "M"


@dataclass(frozen=True)
class Keys:
    """Keys of n windows in any order: sensor id (n,), int64, and end (n,), datetime64[s]."""

    sensor: NDArray[np.int64]
    end: NDArray[np.datetime64]

    @property
    def codes(self) -> NDArray[np.int64]:
        """One integer per window, ordered by time and sensor like the tables."""
        return (self.end.astype("datetime64[s]").astype(np.int64) << 28) | self.sensor

    def take(self, chosen: Any) -> Keys:
        """Return the keys at the given indices, or where a mask is true."""
        return Keys(self.sensor[chosen], self.end[chosen])


def checksum_rows(columns: Iterable[NDArray[Any]]) -> NDArray[np.int64]:
    """Return a checksum of each row, 31 bits, by which damage to a stored row is noticed.

    Args:
        columns: Integers, times and floating-point numbers, each (n,). A zero has no sign, as not
            all databases keep it.
    """
    mixed: Any = np.uint64(0)
    for column in columns:
        wide = column + 0.0 if column.dtype.kind == "f" else column.astype(np.int64)
        # Both steps can be reversed: until the bits are cut off, no change of a value is lost.
        mixed = (mixed ^ wide.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = mixed ^ (mixed >> np.uint64(32))
    return (mixed & np.uint64(0x7FFFFFFF)).astype(np.int64)


def delete_windows(connection: Connection, table: Table, keys: Keys) -> None:
    """Delete the rows of a table with any of the keys."""
    for part in _split_at_gaps(keys):
        region = _region(table, part)
        sensor, end = read_columns(
            connection,
            select(table.c.sensor_id, table.c.window_end).where(region),
            (np.int64, "datetime64[s]"),
        )
        found = Keys(sensor, end)
        has_key = np.isin(found.codes, part.codes)
        if has_key.all():
            if has_key.size:
                connection.execute(delete(table).where(region))
            continue
        for end_time, sensors in _group_by_end(found.take(has_key)):
            connection.execute(
                delete(table).where(table.c.window_end == end_time, table.c.sensor_id.in_(sensors))
            )


def _split_at_gaps(keys: Keys) -> Iterator[Keys]:
    """Yield the keys in order of time, divided at long gaps."""
    if not keys.end.size:
        return
    keys = keys.take(np.argsort(keys.end, kind="stable"))
    seconds = keys.end.astype("datetime64[s]").astype(np.int64)
    for chosen in np.split(
        np.arange(seconds.size), np.nonzero(np.diff(seconds) > _GAP_SECONDS)[0] + 1
    ):
        yield keys.take(chosen)


def _region(table: Table, keys: Keys) -> ColumnElement[bool]:
    """Return a simple condition that holds for all the keys, and few other rows."""
    first, last = keys.end.min().item(), keys.end.max().item()
    inside = and_(table.c.window_end >= first, table.c.window_end <= last)
    sensors = np.unique(keys.sensor)
    if sensors.size <= VALUES_PER_STATEMENT:
        inside = and_(inside, table.c.sensor_id.in_(sensors.tolist()))
    return inside


def _group_by_end(keys: Keys) -> Iterator[tuple[Any, list[int]]]:
    """Yield each window end with its sensors, not too many at a time."""
    if not keys.end.size:
        return
    keys = keys.take(np.argsort(keys.codes))
    ends, first = np.unique(keys.end, return_index=True)
    for end_time, sensors in zip(ends, np.split(keys.sensor, first[1:]), strict=True):
        for start in range(0, sensors.size, VALUES_PER_STATEMENT):
            yield end_time.item(), sensors[start : start + VALUES_PER_STATEMENT].tolist()
