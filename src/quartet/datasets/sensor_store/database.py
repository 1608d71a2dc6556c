"""Transactions that are retried on transient errors, on SQLite, MariaDB and Azure SQL."""

from __future__ import annotations

import logging
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
from quartet.datasets.sensor_store.database_errors import get_driver_message, get_hint, is_transient

LONGEST_WAIT_SECONDS = 30.0

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
        self._attempts = max(1, attempts)
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
            if is_transient(context.original_exception, engine.dialect.name):
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
        wait = self._wait_seconds
        for attempt in range(1, self._attempts + 1):
            try:
                return self._attempt(work, writes)
            except self._errors as error:
                self.close()
                transient = is_transient(error, self.engine.dialect.name)
                if not transient or attempt == self._attempts:
                    raise self._to_dataset_error(error, attempt if transient else 0) from error
                logger.warning(
                    "%s: %s; retrying in %g s (attempt %d of %d)",
                    *(self.name, get_driver_message(error), wait, attempt + 1, self._attempts),
                )
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)
        raise AssertionError("the last attempt returns or raises")

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

    def _to_dataset_error(self, error: BaseException, attempts: int) -> DatasetError:
        if attempts:
            times = "once" if attempts == 1 else f"{attempts} times"
            return DatasetError(
                f"{self.name} cannot be reached or does not respond "
                f"({get_driver_message(error)}), tried {times}. Check that the server runs and "
                "can be reached from here, then rerun: unfinished transactions are rolled back"
            )
        return DatasetError(f"{self.name}: {get_driver_message(error)}. {get_hint(error)}")

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("engine", None)  # connections belong to one process
        return state
