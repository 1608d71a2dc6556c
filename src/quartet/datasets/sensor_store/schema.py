"""The tables of the sensors scenario, the same in SQLite, MariaDB and Azure SQL.

`docs/reference/sensor_tables.md` describes each column. Three decisions hold for all databases:

- The key of windows begins with the time. New windows are appended to the table, and a scheduled
  run reads only its end. With the sensor first, SQLite took four times as long to write two
  million windows.
- Names of sensors and files are unique by a hash, because databases differ in which names they
  consider equal (`Pump`, `pump`, `pump `).
- Times are naive UTC in whole seconds. The current time is that of the database, because the
  clocks of several machines differ.
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
SENSOR_NAMES_LENGTH = 700
REASON_LENGTH = 500
BODY_LENGTH = 200
"""Lengths of the columns of text, in UTF-16 units, as SQL Server counts."""
STATISTICS = ("mean", "standard_deviation", "minimum", "maximum", "last_value")

Moment = (
    DateTime()
    .with_variant(
        # Without fractions, so that WHERE window_end <= '2026-03-02 12:00:00' includes that time.
        sqlite.DATETIME(
            storage_format="%(year)04d-%(month)02d-%(day)02d %(hour)02d:%(minute)02d:%(second)02d"
        ),
        "sqlite",
    )
    .with_variant(mssql.DATETIME2(0), "mssql")
)
metadata = MetaData()
_OPTIONS: dict[str, Any] = {
    "sqlite_with_rowid": False,  # rows are stored in the order of the key, as in the other two
    **{f"{kind}_engine": "InnoDB" for kind in ("mysql", "mariadb")},
    **{f"{kind}_charset": "utf8mb4" for kind in ("mysql", "mariadb")},
}


def _table(name: str, *columns: Any) -> Table:
    return Table(name, metadata, *columns, **_OPTIONS)


def _key(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


def _required(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, nullable=False)


sensors = _table(
    "sensors",
    _key("sensor_id", Integer),
    _required("device", Unicode(NAME_LENGTH)),
    _required("sensor", Unicode(NAME_LENGTH)),
    Column("sensor_key", String(KEY_LENGTH), nullable=False, unique=True),
)
windows = _table(
    "sensor_windows",
    _key("window_end", Moment),
    _key("sensor_id", Integer),
    _required("readings", Integer),
    *[_required(name, Double) for name in STATISTICS],
    _required("revision", BigInteger),
    _required("checksum", Integer),
    Index("sensor_windows_revision", "revision"),
)
files = _table(
    "sensor_files",
    _key("file_key", String(KEY_LENGTH)),
    _required("name", Unicode(FILE_NAME_LENGTH)),
    _required("version", Unicode(VERSION_LENGTH)),
    _required("state", String(16)),
    Column("reason", Unicode(REASON_LENGTH)),
    _required("readings", BigInteger),
    _required("duplicates", BigInteger),
    _required("quarantined", BigInteger),
    Column("batch_key", String(KEY_LENGTH)),
    _required("revision", BigInteger),
    _required("ingested_at", Moment),
)
quarantine = _table(
    "sensor_quarantine",
    _key("file_key", String(KEY_LENGTH)),
    _key("number", Integer),
    Column("position", BigInteger),
    _required("reason", Unicode(REASON_LENGTH)),
    Column("body", Unicode(BODY_LENGTH)),
)
batches = _table(
    "sensor_batches",
    _key("revision", BigInteger),
    Column("token", String(32), nullable=False, unique=True),
    _required("windows", Integer),
    _required("files", Integer),
    _required("quarantined", Integer),
    _required("published_at", Moment),
)
anomalies = _table(
    "sensor_anomalies",
    _key("window_end", Moment),
    _key("sensor_id", Integer),
    _required("score", Double),
    _required("threshold", Double),
    _required("model_version", Unicode(64)),
    _required("revision", BigInteger),
)
device_alarms = _table(
    "sensor_device_alarms",
    _key("window_end", Moment),
    _key("sensor_id", Integer),
    _required("score", Double),
    _required("threshold", Double),
    _required("event_start", Moment),
    _required("sensors", Unicode(SENSOR_NAMES_LENGTH)),
    _required("revision", BigInteger),
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
    """The position of a job.

    Attributes:
        revision: Last ingestion batch that the job has read, or written.
        watermark: End of the last closed window, naive UTC; None before the first.
    """

    revision: int
    watermark: pd.Timestamp | None


class utc_now(FunctionElement[datetime]):  # noqa: N801  # reads as the SQL function that it is
    """Current time of the database, naive UTC."""

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


def hash_names(*names: str) -> str:
    """Return a hexadecimal SHA-256 of names, which differs if the names differ in Python."""
    return hashlib.sha256("\0".join(names).encode()).hexdigest()


def to_datetime(time: pd.Timestamp | datetime | None) -> datetime | None:
    """Convert a time to the tables' type: naive UTC in whole seconds."""
    if time is None or pd.isna(time):
        return None
    stamp = pd.Timestamp(time)
    if stamp.tzinfo is not None:
        stamp = stamp.tz_convert(UTC).tz_localize(None)
    return stamp.floor("s").to_pydatetime()


def to_timestamp(time: datetime | None) -> pd.Timestamp | None:
    """Convert a time of the tables to pandas, in seconds."""
    return None if time is None else pd.Timestamp(time).as_unit("s")


def make_tables(database: Database) -> None:
    """Create missing tables; safe if other processes do the same.

    Raises:
        DatasetError: A table lacks a column, or the database fails.
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
    present = {column["name"] for column in inspect(connection).get_columns(table.name)}
    missing = [column.name for column in table.columns if column.name not in present]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DatasetError(
            f"{database}: table {table.name} lacks the columns {', '.join(missing[:3])}{more}; it "
            "belongs to an older version of this project or to another program. Use a new "
            "database for the sensors, and ingest all files into it"
        )


def _create(connection: Connection, table: Table) -> None:
    try:
        table.create(connection, checkfirst=False)
    except DBAPIError:
        if not inspect(connection).has_table(table.name):
            raise
        # Another process has created it.


def _add_job(connection: Connection, job: str) -> None:
    known = select(jobs.c.name).where(jobs.c.name == job)
    if connection.scalar(known) is not None:
        return
    try:
        connection.execute(insert(jobs).values(name=job))
    except DBAPIError:
        if connection.scalar(known.with_for_update()) is None:
            raise
