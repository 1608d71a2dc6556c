"""Transactions that outlast a database's bad moments, the same on all three kinds of database."""

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
from quartet.datasets.sensor_store.database_errors import advice, complaint, is_transient

LONGEST_WAIT_SECONDS = 30.0

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class Database:
    """One database, reached when it is first needed; can be sent to another process."""

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
            url: Where it is, as `parse_database_url` expects.
            credentials: `username` and `password`, or a whole `url`.
            timeout_seconds: How long it may stay silent, or locked by others.
            attempts: How often a transaction is tried.
            wait_seconds: Pause before the second attempt; doubled before each further one, up to
                half a minute. With the defaults a database may be away for a minute: as long as
                a serverless Azure SQL database takes to wake.
        """
        self._address = parse_database_url(url, credentials)
        self.name = format_database_name(self._address)
        self._timeout_seconds = timeout_seconds
        self._attempts = max(1, attempts)
        self._wait_seconds = wait_seconds

    @cached_property
    def engine(self) -> Engine:
        """SQLAlchemy's engine; the folder of a SQLite file is made."""
        if self._address.get_backend_name() == "sqlite":
            try:
                Path(str(self._address.database)).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DatasetError(f"{self.name}: its folder cannot be made ({error})") from error
        engine = create_database_engine(self._address, self._timeout_seconds)

        @event.listens_for(engine, "handle_error")
        def _drop_connection(context: ExceptionContext) -> None:
            # SQLAlchemy does not know MariaDB's lost connections when they come through ODBC.
            if is_transient(context.original_exception, engine.dialect.name):
                context.is_disconnect = True

        return engine

    def transact(self, work: Callable[[Connection], Result], *, writes: bool = True) -> Result:
        """Return the result of `work` done in one transaction: wholly, or not at all.

        When the connection fails, the whole of it is tried again, so `work` must not count on
        anything but the database. The answer to a commit may be lost too: work that must not be
        done twice has to find out, inside its transaction, whether it was done.

        Raises:
            DatasetError: The database is away, locked, full, damaged or refuses; names it,
                without the password, and what to do.
        """
        wait = self._wait_seconds
        for attempt in range(1, self._attempts + 1):
            try:
                return self._attempt(work, writes)
            except self._errors as error:
                self.close()
                passing = is_transient(error, self.engine.dialect.name)
                if not passing or attempt == self._attempts:
                    raise self._explained(error, attempt if passing else 0) from error
                logger.warning(
                    "%s: %s; trying again in %g s (attempt %d of %d)",
                    *(self.name, complaint(error), wait, attempt + 1, self._attempts),
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
                connection.invalidate()  # whatever state it is in
                raise

    def close(self) -> None:
        """Close all connections; the next transaction opens new ones."""
        self.engine.dispose()

    @property
    def _errors(self) -> tuple[type[BaseException], ...]:
        """SQLAlchemy's errors, and the driver's own, where rows are fetched straight from it."""
        return (DBAPIError, self.engine.dialect.loaded_dbapi.Error)

    def _explained(self, error: BaseException, attempts: int) -> DatasetError:
        if attempts:
            times = "once" if attempts == 1 else f"{attempts} times"
            return DatasetError(
                f"{self.name} cannot be reached or does not answer ({complaint(error)}), tried "
                f"{times}. See whether the server runs and can be reached from here, then run "
                "again: a transaction that was not finished leaves nothing behind"
            )
        return DatasetError(f"{self.name}: {complaint(error)}. {advice(error)}")

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("engine", None)  # connections belong to one process
        return state
