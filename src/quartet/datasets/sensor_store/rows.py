"""Many rows at once: written, read and replaced in blocks, on any of the three databases.

Statements are SQLAlchemy's, every value is bound. Rows bypass only its handling of
single rows, which would take several times as long as the database itself.
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
"""Rows fetched at a time: with many more, the processor's caches overflow and it takes longer."""
VALUES_A_STATEMENT = 1800
"""Below SQL Server's limit of 2,100; larger ones are no faster on MariaDB."""
ROWS_A_BLOCK = 50_000
"""Rows bound at a time where the driver takes many: bounds its memory, and Python's."""
_GAP_SECONDS = 3600
"""Windows further apart than this are looked up apart: a late one must not read a year."""


def insert_rows(connection: Connection, table: Table, columns: Mapping[str, Values]) -> None:
    """Add rows, given as columns of equal length: lists of Python's own types, or arrays."""
    dialect = connection.dialect
    # Statements name columns in the table's order, and values are bound by their place.
    columns = {column.name: columns[column.name] for column in table.c if column.name in columns}
    rows_given = len(next(iter(columns.values())))
    # MariaDB's driver sends rows one by one; many in one statement are four times as fast.
    together = dialect.name in {"mysql", "mariadb"}
    size = VALUES_A_STATEMENT // len(columns) if together else ROWS_A_BLOCK
    with _progress(f"writing {table.name}", rows_given) as bar:
        for start in range(0, rows_given, size):
            block = slice(start, start + size)
            bound = [
                _bound(table, name, column[block], dialect) for name, column in columns.items()
            ]
            rows = list(zip(*bound, strict=True))
            if together:
                statement = _insertion(table, columns, len(rows), dialect)
                connection.exec_driver_sql(statement, tuple(chain.from_iterable(rows)))
            else:
                connection.exec_driver_sql(_insertion(table, columns, 1, dialect), rows)
            bar.update(len(rows))


def _progress(desc: str, total: int | None = None) -> tqdm[Any]:
    """Return a bar, gone when it ends: it may be below that of what reads or writes."""
    return tqdm(
        desc=desc,
        total=total,
        unit=" rows",
        unit_scale=True,
        disable=None,
        delay=2,
        leave=False,
    )


def _bound(table: Table, name: str, values: Values, dialect: Dialect) -> Sequence[Any]:
    """Return the values as the driver takes them; each distinct one is converted once."""
    plain: Sequence[Any] = values.tolist() if isinstance(values, np.ndarray) else values
    convert = table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
    if convert is None:
        return plain
    converted = {value: convert(value) for value in set(plain)}
    return [converted[value] for value in plain]


def _insertion(table: Table, names: Iterable[str], rows: int, dialect: Dialect) -> str:
    one = str(insert(table).compile(dialect=dialect, column_keys=list(names)))
    _, values = one.rsplit(" VALUES ", 1)
    return one + f", {values}" * (rows - 1)


def read_columns(
    connection: Connection, query: Select[Any], kinds: Sequence[Any]
) -> list[NDArray[Any]]:
    """Return the columns of a query, each as an array of the NumPy type in `kinds`.

    Rows are taken from the driver in blocks, so that memory holds little more than the arrays.
    """
    result = connection.execute(query)
    blocks: list[list[NDArray[Any]]] = []
    known: defaultdict[Any, int] = defaultdict(count().__next__)
    with _progress("reading the database") as bar:
        while rows := result.cursor.fetchmany(ROWS_FETCHED):
            columns = list(zip(*rows, strict=True))
            blocks.append([_array(*pair, known) for pair in zip(columns, kinds, strict=True)])
            bar.update(len(rows))
    result.close()
    if not blocks:
        return [np.empty(0, kind) for kind in kinds]
    moments = np.array(list(known), "datetime64[s]")
    joined = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
    return [
        moments[column] if _is_moment(kind) else column
        for column, kind in zip(joined, kinds, strict=True)
    ]


def _array(values: Sequence[Any], kind: Any, known: Mapping[Any, int]) -> NDArray[Any]:
    """Return a column as an array; times, which many rows share, as numbers in `known`."""
    if _is_moment(kind):
        return np.fromiter(map(known.__getitem__, values), np.int32, len(values))
    return np.fromiter(values, kind, len(values))


def _is_moment(kind: Any) -> bool:
    return np.dtype(kind).kind == "M"


@dataclass(frozen=True)
class Keys:
    """Which windows: sensor (n,) int64 and end (n,) datetime64[s], in any order."""

    sensor: NDArray[np.int64]
    end: NDArray[np.datetime64]

    @property
    def packed(self) -> NDArray[np.int64]:
        """One number a window, in order of time and then sensor, which is the tables' order."""
        return (self.end.astype("datetime64[s]").astype(np.int64) << 28) | self.sensor

    def taken(self, chosen: Any) -> Keys:
        """Return the windows at the given places."""
        return Keys(self.sensor[chosen], self.end[chosen])


def delete_windows(connection: Connection, table: Table, keys: Keys) -> None:
    """Delete the rows of a table that have one of the keys; the others stay."""
    for part in _runs(keys):
        region = _region(table, part)
        sensor, end = read_columns(
            connection,
            select(table.c.sensor_id, table.c.window_end).where(region),
            (np.int64, "datetime64[s]"),
        )
        found = Keys(sensor, end)
        mine = np.isin(found.packed, part.packed)
        if mine.all():
            if mine.size:
                connection.execute(delete(table).where(region))
            continue
        for instant, sensors in _by_end(found.taken(mine)):
            connection.execute(
                delete(table).where(table.c.window_end == instant, table.c.sensor_id.in_(sensors))
            )


def _runs(keys: Keys) -> Iterator[Keys]:
    """Yield the keys, divided where nothing lies between for long."""
    if not keys.end.size:
        return
    keys = keys.taken(np.argsort(keys.end, kind="stable"))
    seconds = keys.end.astype("datetime64[s]").astype(np.int64)
    for chosen in np.split(
        np.arange(seconds.size), np.nonzero(np.diff(seconds) > _GAP_SECONDS)[0] + 1
    ):
        yield keys.taken(chosen)


def _region(table: Table, keys: Keys) -> ColumnElement[bool]:
    """Return the smallest simple condition that holds for all the keys."""
    first, last = keys.end.min().item(), keys.end.max().item()
    inside = and_(table.c.window_end >= first, table.c.window_end <= last)
    sensors = np.unique(keys.sensor)
    if sensors.size <= VALUES_A_STATEMENT:
        inside = and_(inside, table.c.sensor_id.in_(sensors.tolist()))
    return inside


def _by_end(keys: Keys) -> Iterator[tuple[Any, list[int]]]:
    """Yield the keys as one window end and some of its sensors at a time."""
    keys = keys.taken(np.argsort(keys.packed))
    ends, first = np.unique(keys.end, return_index=True)
    for instant, sensors in zip(ends, np.split(keys.sensor, first[1:]), strict=True):
        for start in range(0, sensors.size, VALUES_A_STATEMENT):
            yield instant.item(), sensors[start : start + VALUES_A_STATEMENT].tolist()
