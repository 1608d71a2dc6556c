"""The tables of the sensors scenario, the same in SQLite, MariaDB and Azure SQL.

What each column means stands in `docs/reference/sensor_tables.md`. Three choices
serve all three databases:

- Windows are keyed by time first. New windows then go to the end of the table, and
  a scheduled run reads only that end, however long the history; keyed by sensor
  first, two million windows took SQLite four times as long to write.
- Names of sensors and files are unique by a hash: databases differ in which names
  they take for the same (`Pump`, `pump`, `pump `).
- Times are UTC without a zone, in whole seconds, and the database's clock is asked
  for the present, as the clocks of several machines differ.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from kedro.io.core import DatasetError
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Unicode,
    insert,
    inspect,
    select,
)
from sqlalchemy.dialects import mssql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from quartet.datasets.sensor_store.database import Database

INGESTION = "ingestion"
SCORING = "scoring"
NAME_LENGTH = 128
FILE_NAME_LENGTH = 1000
VERSION_LENGTH = 200
KEY_LENGTH = 64
REASON_LENGTH = 500
BODY_LENGTH = 200
STATISTICS = ("mean", "standard_deviation", "minimum", "maximum", "last_value")
WINDOW_COLUMNS = ("device", "sensor", "window_end", "readings", *STATISTICS, "revision")

Moment = (
    DateTime()
    .with_variant(
        # Without fractions: so that a person's WHERE window_end <= '2026-03-02 12:00:00' holds.
        sqlite.DATETIME(
            storage_format="%(year)04d-%(month)02d-%(day)02d %(hour)02d:%(minute)02d:%(second)02d"
        ),
        "sqlite",
    )
    .with_variant(mssql.DATETIME2(0), "mssql")
)
metadata = MetaData()
_OPTIONS: dict[str, Any] = {
    "sqlite_with_rowid": False,  # rows lie in the order of the key, as in the other two
    **{f"{kind}_engine": "InnoDB" for kind in ("mysql", "mariadb")},
    **{f"{kind}_charset": "utf8mb4" for kind in ("mysql", "mariadb")},
}


def _table(name: str, *columns: Any) -> Table:
    return Table(name, metadata, *columns, **_OPTIONS)


def _key(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


def _filled(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, nullable=False)


sensors = _table(
    "sensors",
    _key("sensor_id", Integer),
    _filled("device", Unicode(NAME_LENGTH)),
    _filled("sensor", Unicode(NAME_LENGTH)),
    Column("sensor_key", String(KEY_LENGTH), nullable=False, unique=True),
)
windows = _table(
    "sensor_windows",
    _key("window_end", Moment),
    _key("sensor_id", Integer),
    _filled("readings", Integer),
    *[_filled(name, Double) for name in STATISTICS],
    _filled("revision", BigInteger),
    Index("sensor_windows_revision", "revision"),
)
files = _table(
    "sensor_files",
    _key("file_key", String(KEY_LENGTH)),
    _filled("name", Unicode(FILE_NAME_LENGTH)),
    _filled("version", Unicode(VERSION_LENGTH)),
    _filled("state", String(16)),
    Column("reason", Unicode(REASON_LENGTH)),
    _filled("readings", BigInteger),
    _filled("duplicates", BigInteger),
    _filled("quarantined", BigInteger),
    Column("batch_key", String(KEY_LENGTH)),
    _filled("revision", BigInteger),
    _filled("ingested_at", Moment),
)
quarantine = _table(
    "sensor_quarantine",
    _key("file_key", String(KEY_LENGTH)),
    _key("number", Integer),
    Column("position", BigInteger),
    _filled("reason", Unicode(REASON_LENGTH)),
    Column("body", Unicode(BODY_LENGTH)),
)
batches = _table(
    "sensor_batches",
    _key("revision", BigInteger),
    Column("token", String(32), nullable=False, unique=True),
    _filled("windows", Integer),
    _filled("files", Integer),
    _filled("quarantined", Integer),
    _filled("published_at", Moment),
)
anomalies = _table(
    "sensor_anomalies",
    _key("window_end", Moment),
    _key("sensor_id", Integer),
    _filled("score", Double),
    _filled("threshold", Double),
    _filled("model_version", Unicode(64)),
    _filled("revision", BigInteger),
)
jobs = _table(
    "sensor_jobs",
    _key("name", String(32)),
    Column("revision", BigInteger),
    Column("watermark", Moment),
    Column("window_seconds", Integer),
    Column("claimed_by", Unicode(400)),
    Column("claimed_at", Moment),
    Column("claim_expires", Moment),
    Column("claim_seconds", Integer),
)


@dataclass(frozen=True)
class Cursor:
    """How far a job has come.

    Attributes:
        revision: Last ingestion batch that it has seen, or written.
        watermark: End of the last closed window, UTC without zone; None before there is one.
    """

    revision: int
    watermark: pd.Timestamp | None


class utc_now(FunctionElement[datetime]):  # noqa: N801  # reads as the SQL function that it is
    """The present by the database's clock, UTC without zone."""

    type = Moment
    inherit_cache = True


@compiles(utc_now)
def _utc_now(_: Any, __: Any, **___: Any) -> str:
    return "CURRENT_TIMESTAMP"  # SQLite's is in UTC


@compiles(utc_now, "mysql")
@compiles(utc_now, "mariadb")
def _utc_now_mariadb(_: Any, __: Any, **___: Any) -> str:
    return "UTC_TIMESTAMP()"


@compiles(utc_now, "mssql")
def _utc_now_microsoft(_: Any, __: Any, **___: Any) -> str:
    return "CAST(SYSUTCDATETIME() AS DATETIME2(0))"


def key_of(*names: str) -> str:
    """Return a SHA-256, in hexadecimal, that tells names apart wherever Python does."""
    return hashlib.sha256("\0".join(names).encode()).hexdigest()


def moment(time: pd.Timestamp | datetime | None) -> datetime | None:
    """Return a time as the tables hold it: UTC without zone, whole seconds."""
    if time is None or pd.isna(time):
        return None
    stamp = pd.Timestamp(time)
    if stamp.tzinfo is not None:
        stamp = stamp.tz_convert(UTC).tz_localize(None)
    return stamp.floor("s").to_pydatetime()


def timestamp(time: datetime | None) -> pd.Timestamp | None:
    """Return a time of the tables as pandas has it, in the unit of a window's end."""
    return None if time is None else pd.Timestamp(time).as_unit("s")


def make_tables(database: Database) -> None:
    """Make what is missing; other processes may do the same at the same time.

    Raises:
        DatasetError: The database has tables of these names that are something else, or it fails.
    """

    def make(connection: Connection) -> None:
        present = set(inspect(connection).get_table_names())
        for table in metadata.sorted_tables:
            if table.name in present:
                _check(connection, table, database.name)
            else:
                _create(connection, table)
        for job in (INGESTION, SCORING):
            _add_job(connection, job)

    database.transact(make)


def _check(connection: Connection, table: Table, database: str) -> None:
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    missing = [column.name for column in table.columns if column.name not in there]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DatasetError(
            f"{database} has a table {table.name} of something else, or of an earlier version of "
            f"this project: it lacks the columns {', '.join(missing[:3])}{more}. Give the sensors "
            "a database of their own, and ingest all files into it"
        )


def _create(connection: Connection, table: Table) -> None:
    try:
        table.create(connection, checkfirst=False)
    except DBAPIError:
        if not inspect(connection).has_table(table.name):
            raise
        # Another process was faster.


def _add_job(connection: Connection, job: str) -> None:
    known = select(jobs.c.name).where(jobs.c.name == job)
    if connection.scalar(known) is not None:
        return
    try:
        connection.execute(insert(jobs).values(name=job))
    except DBAPIError:
        if connection.scalar(known.with_for_update()) is None:
            raise
