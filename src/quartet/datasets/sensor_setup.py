"""Making the tables of the sensors scenario where they are missing."""

from __future__ import annotations

from kedro.io.core import DatasetError
from sqlalchemy import Table, insert, inspect, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from quartet.datasets.database import Database
from quartet.datasets.sensor_schema import INGESTION, SCORING, jobs, metadata


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
