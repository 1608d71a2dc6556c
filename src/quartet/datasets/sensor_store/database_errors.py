"""Classification of database errors: transient ones to retry, others with a hint for the user."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.exc import DBAPIError

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
    (
        r"Unknown database",
        {1049, 4060},
        "Create the database; it may be empty",
    ),
    (
        _NO_DRIVER,
        set(),
        "Its ODBC driver is not installed; run `make database`",
    ),
)
"""Regular expression of the driver's message, numbers of the server's errors, hint."""


def is_transient(error: BaseException, backend: str) -> bool:
    """Return whether a retry of the transaction may succeed.

    A lock of SQLite is not transient, because SQLite has already waited for it.
    """
    if backend == "sqlite" or re.search(_NO_DRIVER, get_driver_message(error)):
        return False
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    arguments = _original(error).args
    state = str(arguments[0]) if arguments else ""
    if state.startswith(_TRANSIENT_STATES):
        return True
    family = "mysql" if backend == "mariadb" else backend
    return bool(_numbers(get_driver_message(error)) & _TRANSIENT_NUMBERS.get(family, set()))


def get_driver_message(error: BaseException) -> str:
    """Return the message of the driver, without the statement and its values."""
    return str(_original(error).args[-1]).strip() if _original(error).args else repr(error)


def get_hint(error: BaseException) -> str:
    """Return what to do about an error that is not transient, as a sentence."""
    message = get_driver_message(error)
    for pattern, numbers, hint in _HINTS:
        if numbers & _numbers(message) or re.search(pattern, message, re.IGNORECASE):
            return hint
    return f"It rejects the statement of this step; {_NOT_WRITTEN}"


def _numbers(message: str) -> set[int]:
    """Return the server's error numbers, which pyodbc writes before the name of a function."""
    return {int(number) for number in re.findall(r"\((\d+)\) \(SQL", message)}


def _original(error: BaseException) -> BaseException:
    original: Any = getattr(error, "orig", None)
    return original if isinstance(original, BaseException) else error
