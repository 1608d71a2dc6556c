"""Transactions that are retried on transient errors, on SQLite, MariaDB and Azure SQL."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from kedro.io.core import DatasetError
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExceptionContext
from sqlalchemy.exc import DBAPIError

from quartet.datasets.database_engines import (
    WRITES,
    create_database_engine,
    format_database_name,
    parse_database_url,
)

_LONGEST_WAIT_SECONDS = 30.0
_TRANSIENT_STATES = ("08", "40001", "40003", "HYT00", "HYT01")
"""SQLSTATE of lost or refused connections, deadlocks and timeouts."""
_TRANSIENT_NUMBERS = {
    # MariaDB: too many connections, shutdown, network, lock wait, deadlock, killed, gone away.
    "mysql": {1040, 1053, 1158, 1159, 1160, 1161, 1205, 1213, 1927, 2002, 2003, 2006, 2013, 4031},
    # learn.microsoft.com/azure/azure-sql/database/troubleshoot-common-errors-issues: resuming,
    # failing over, too busy; and the network's own.
    "mssql": {
        *(1205, 4221, 10928, 10929, 40143, 40197, 40501, 40540, 40613, 42108, 42109),
        *(49918, 49919, 49920, 64, 233, 10053, 10054, 10060, 10061, 11001),
    },
}
_NO_DRIVER = r"Can't open lib|IM002|Data source name not found"
_NOT_WRITTEN = "this step has written nothing"
_HINTS: tuple[tuple[str, set[int], str], ...] = (
    (
        r"database (table )?is locked",
        set(),
        f"Another process has locked it; wait until it ends, or end it, and rerun: {_NOT_WRITTEN}",
    ),
    (
        r"database or disk is full|table .* is full|No space left",
        {1021, 1105, 1114, 40544},
        f"No space is left; free some and rerun: {_NOT_WRITTEN}",
    ),
    (
        r"not a database|malformed",
        {824, 1033, 1194},
        "It is damaged or not a database; restore a copy, or move it away and ingest again",
    ),
    (
        r"unable to open database|readonly database|disk I/O error",
        set(),
        "Check that its folder exists, has free space, and is writable",
    ),
    (
        r"Access denied|Login failed",
        {1044, 1045, 1698, 18456, 40615},
        "It rejects this user; check the credentials, which come from the environment",
    ),
    (r"Unknown database", {1049, 4060}, "Create the database; it may be empty"),
    (_NO_DRIVER, set(), "Its ODBC driver is not installed; run `make database`"),
)
"""Regular expression of the driver's message, numbers of the server's errors, hint."""

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class Database:
    """A database, connected on first use; can be pickled to another process."""

    def __init__(
        self,
        url: str,
        *,
        credentials: Mapping[str, str] | None = None,
        timeout_seconds: int = 120,
        attempts: int = 7,
        wait_seconds: float = 1.0,
    ) -> None:
        """Describe the database.

        Args:
            url: SQLAlchemy URL; see `database_engines.parse_database_url`.
            credentials: `username` and `password`, or a complete `url`.
            timeout_seconds: Time to wait for a response or a lock.
            attempts: Maximum number of attempts of a transaction.
            wait_seconds: Pause before the second attempt; doubled before each further one, up to
                half a minute. The defaults cover an outage of a minute, the time in which a
                serverless Azure SQL database resumes.
        """
        self._address = parse_database_url(url, credentials)
        self.name = format_database_name(self._address)
        self._timeout_seconds = timeout_seconds
        self._attempts = attempts
        self._wait_seconds = wait_seconds

    @cached_property
    def engine(self) -> Engine:
        """SQLAlchemy's engine; creates the folder of a SQLite file."""
        if self._address.get_backend_name() == "sqlite":
            try:
                Path(str(self._address.database)).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DatasetError(f"{self.name}: cannot create its folder ({error})") from error
        engine = create_database_engine(self._address, self._timeout_seconds)

        @event.listens_for(engine, "handle_error")
        def _drop_connection(context: ExceptionContext) -> None:
            # SQLAlchemy does not recognise a lost connection to MariaDB over ODBC.
            if _is_transient(context.original_exception, engine.dialect.name):
                context.is_disconnect = True

        return engine

    def transact(self, work: Callable[[Connection], Result], *, writes: bool = True) -> Result:
        """Do `work` in one transaction, and return its result.

        If the connection fails, the complete transaction is retried, so `work` must not have
        other side effects. The response to a commit may be lost, too: work that must not be done
        twice has to check inside its transaction whether it was done.

        Raises:
            DatasetError: The database is unreachable, locked, full or damaged, or rejects the
                statements.
        """
        attempt, wait = 1, self._wait_seconds
        while True:
            try:
                return self._attempt(work, writes)
            except self._errors as error:
                self.close()
                message = _get_driver_message(error)
                if not _is_transient(error, self.engine.dialect.name):
                    raise DatasetError(f"{self.name}: {message}. {_get_hint(message)}") from error
                if attempt >= self._attempts:
                    raise DatasetError(
                        f"{self.name} cannot be reached or does not respond ({message}), tried "
                        f"{attempt} times. Check that the server runs and can be reached from "
                        "here, then rerun: unfinished transactions are rolled back"
                    ) from error
                logger.warning(
                    "%s: %s; retrying in %g s (attempt %d of %d)",
                    *(self.name, message, wait, attempt + 1, self._attempts),
                )
            time.sleep(wait)
            attempt, wait = attempt + 1, min(2 * wait, _LONGEST_WAIT_SECONDS)

    def _attempt(self, work: Callable[[Connection], Result], writes: bool) -> Result:
        with self.engine.connect().execution_options(**{WRITES: writes}) as connection:
            try:
                with connection.begin():
                    return work(connection)
            except self._errors:
                connection.invalidate()  # its state is unknown
                raise

    def close(self) -> None:
        """Close all connections; the next transaction opens new ones."""
        self.engine.dispose()

    @property
    def _errors(self) -> tuple[type[BaseException], ...]:
        """SQLAlchemy's errors, and the driver's own, raised where rows are fetched from it."""
        return (DBAPIError, self.engine.dialect.loaded_dbapi.Error)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("engine", None)  # connections belong to one process
        return state


def _is_transient(error: BaseException, backend: str) -> bool:
    """Return whether a retry of the transaction may succeed.

    A lock of SQLite is not transient, because SQLite has already waited for it.
    """
    message = _get_driver_message(error)
    if backend == "sqlite" or re.search(_NO_DRIVER, message):
        return False
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    sqlstate = str(_get_driver_arguments(error)[0])
    numbers = _TRANSIENT_NUMBERS["mssql" if backend == "mssql" else "mysql"]
    return sqlstate.startswith(_TRANSIENT_STATES) or bool(_find_numbers(message) & numbers)


def _get_driver_message(error: BaseException) -> str:
    """Return the message of the driver, without the statement and its values."""
    return str(_get_driver_arguments(error)[-1]).strip()


def _get_driver_arguments(error: BaseException) -> tuple[Any, ...]:
    """Return the arguments of the driver's error: SQLSTATE first, if any, and message last."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return original.args or (repr(error),)


def _get_hint(message: str) -> str:
    """Return what to do about an error that is not transient, as a sentence."""
    for pattern, numbers, hint in _HINTS:
        if numbers & _find_numbers(message) or re.search(pattern, message, re.IGNORECASE):
            return hint
    return f"It rejects the statement of this step; {_NOT_WRITTEN}"


def _find_numbers(message: str) -> set[int]:
    """Return the server's error numbers, which pyodbc writes before the name of a function."""
    return {int(number) for number in re.findall(r"\((\d+)\) \(SQL", message)}
