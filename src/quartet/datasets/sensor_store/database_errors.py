"""What a database's complaint means: whether to wait and try again, or what to tell the user."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.exc import DBAPIError

_TRANSIENT_STATES = ("08", "40001", "40003", "HYT00", "HYT01")
"""SQLSTATE of connections lost or refused, of deadlocks, and of time that has run out."""
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
_NOTHING = "nothing of this step was written"
_ADVICE: tuple[tuple[str, set[int], str], ...] = (
    (
        r"database (table )?is locked",
        set(),
        "Another process keeps it locked: wait until that has finished, or end it, and run again; "
        f"{_NOTHING}",
    ),
    (
        r"database or disk is full|table .* is full|No space left",
        {1021, 1105, 1114, 40544},
        f"No room is left: make some and run again; {_NOTHING}",
    ),
    (
        r"not a database|malformed",
        {824, 1033, 1194},
        "It is damaged, or something else: put back a copy, or move it away and ingest again",
    ),
    (
        r"unable to open database|readonly database|disk I/O error",
        set(),
        "See whether its folder exists, has room, and may be written by you",
    ),
    (
        r"Access denied|Login failed",
        {1044, 1045, 1698, 18456, 40615},
        "It does not let this user in: see the credentials, which come from the environment",
    ),
    (
        r"Unknown database",
        {1049, 4060},
        "Create the database; it may be empty",
    ),
    (
        _NO_DRIVER,
        set(),
        "Its ODBC driver is not installed: make database",
    ),
)


def is_transient(error: BaseException, backend: str) -> bool:
    """Return whether the same transaction may succeed a little later.

    SQLite's locks are not among them: SQLite has waited for them already.
    """
    if backend == "sqlite" or re.search(_NO_DRIVER, complaint(error)):
        return False
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    arguments = _original(error).args
    state = str(arguments[0]) if arguments else ""
    if state.startswith(_TRANSIENT_STATES):
        return True
    family = "mysql" if backend == "mariadb" else backend
    return bool(_numbers(complaint(error)) & _TRANSIENT_NUMBERS.get(family, set()))


def complaint(error: BaseException) -> str:
    """Return the database's own words, without the statement and its values."""
    return str(_original(error).args[-1]).strip() if _original(error).args else repr(error)


def advice(error: BaseException) -> str:
    """Return what to do about an error that does not pass, as a sentence."""
    words = complaint(error)
    for pattern, numbers, text in _ADVICE:
        if numbers & _numbers(words) or re.search(pattern, words, re.IGNORECASE):
            return text
    return f"It refuses what this step asks; {_NOTHING}"


def _numbers(words: str) -> set[int]:
    """Return the server's error numbers, which pyodbc writes before the name of a function."""
    return {int(number) for number in re.findall(r"\((\d+)\) \(SQL", words)}


def _original(error: BaseException) -> BaseException:
    original: Any = getattr(error, "orig", None)
    return original if isinstance(original, BaseException) else error
