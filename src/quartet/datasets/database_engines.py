"""How each kind of database is reached: SQLite files, MariaDB over ODBC, Azure SQL over ODBC.

Everything here is about connections; no statement of the project is known here.
SQLAlchemy's recipes are followed for SQLite's transactions ("Serializable
isolation / Savepoints / Transactional DDL") and for access tokens ("Connecting to
databases with access tokens").
"""

from __future__ import annotations

import importlib.util
import platform
import re
import sqlite3
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kedro.io.core import DatasetError
from kedro.utils import find_kedro_project
from sqlalchemy import NullPool, create_engine, event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from kedro_cloud.core import identity

KNOWN = ("sqlite", "mysql", "mariadb", "mssql")
WRITES = "quartet_writes"
"""Execution option of a connection whose transaction will write."""
CONNECT_SECONDS = 30
"""How long a server may take to answer at all."""
_TOKEN_ATTRIBUTE = 1256  # SQL_COPT_SS_ACCESS_TOKEN of Microsoft's driver
_TOKEN_SCOPE = "https://database.windows.net/.default"
_PART = re.compile(r"([^=;]+)=(\s*\{(?:[^}]|\}\})*\}|[^;]*)")  # a value in braces may hold anything
_DISTRIBUTIONS = {"debian": "debian_ubuntu", "ubuntu": "debian_ubuntu", "suse": "suse"}


def parse_database_url(url: str, credentials: Mapping[str, str] | None = None) -> URL:
    """The address with its credentials; a relative SQLite path is one below the Kedro project.

    Args:
        url: SQLAlchemy's form: `sqlite:///FILE`, `mysql+pyodbc://HOST:PORT/DATABASE` or
            `mssql+pyodbc://HOST/DATABASE`, the latter two also with `?odbc_connect=…`.
        credentials: `username` and `password`, or a whole `url` in place of the other.

    Raises:
        DatasetError: It is no such address.
    """
    credentials = {name: text for name, text in (credentials or {}).items() if text}
    try:
        address = make_url(credentials.get("url", url))
        known = address.get_backend_name() in KNOWN and bool(address.get_driver_name())
    except (ArgumentError, NoSuchModuleError):
        known = False
    if not known:  # the address is not repeated: it may hold a password
        raise DatasetError(
            "the address of the database is none that is known here; give sqlite:///FILE, "
            "mysql+pyodbc://HOST:PORT/DATABASE or mssql+pyodbc://HOST/DATABASE"
        )
    if address.get_backend_name() == "sqlite":
        return _below_project(address)
    if "odbc_connect" in address.query:
        named = {"UID": credentials.get("username"), "PWD": credentials.get("password")}
        text = add_odbc_defaults(str(address.query["odbc_connect"]), named)
        return address.update_query_dict({"odbc_connect": text})
    if "username" in credentials:
        address = address.set(username=credentials["username"])
    if "password" in credentials:
        address = address.set(password=credentials["password"])
    if "driver" not in address.query:
        driver = _microsoft_driver() if _is_microsoft(address) else "MariaDB Unicode"
        address = address.update_query_dict({"driver": driver})
    return address


def format_database_name(address: URL) -> str:
    """What to call a database in messages: its kind and place, never user or password."""
    backend = address.get_backend_name()
    if backend == "sqlite":
        return f"SQLite database {address.database}"
    kind = "SQL Server" if backend == "mssql" else "MariaDB"
    text = str(address.query.get("odbc_connect", ""))
    host = address.host or _value(text, "SERVER") or "?"
    port = str(address.port or "") or _value(text, "PORT")
    database = address.database or _value(text, "DATABASE") or "?"
    return f"{kind} database {database} at {host}{':' if port else ''}{port}"


def create_database_engine(address: URL, timeout_seconds: int) -> Engine:
    """An engine whose transactions mean the same on all three databases.

    Raises:
        DatasetError: The libraries of ODBC are missing.
    """
    if address.get_backend_name() == "sqlite":
        return _sqlite(address, timeout_seconds)
    try:
        import pyodbc
    except ImportError as error:
        raise DatasetError(
            f"{format_database_name(address)}: ODBC is not installed ({error}); install it with "
            "`make database`, or the system package unixodbc"
        ) from error
    pyodbc.pooling = False  # SQLAlchemy keeps connections itself, and checks them before use
    microsoft = _is_microsoft(address)
    options: dict[str, Any] = {"fast_executemany": True} if microsoft else {}
    engine = create_engine(
        address, pool_pre_ping=True, pool_size=1, hide_parameters=True, **options
    )
    (_prepare_microsoft if microsoft else _prepare_mariadb)(engine, timeout_seconds)
    return engine


def add_odbc_defaults(connection_string: str, defaults: Mapping[str, str | None]) -> str:
    """An ODBC connection string with the defaults that it does not name itself."""
    text = connection_string.rstrip("; ")
    for keyword, value in defaults.items():
        if value is not None and _value(text, keyword) == "":
            text += f";{keyword}={_quoted(value)}"
    return text


def get_entra_token(credential: Any, database: str) -> dict[int, bytes]:
    """What `pyodbc.connect(attrs_before=…)` hands to Microsoft's driver as proof of identity.

    The token stands as UTF-16, little end first, behind its length in bytes.

    Raises:
        DatasetError: The credential finds nobody to sign in as.
    """
    try:
        token = identity.access_token(credential, _TOKEN_SCOPE).encode("utf-16-le")
    except PermissionError as error:
        raise DatasetError(
            f"{database}: no Entra ID identity to sign in with; sign in by `az login`, or give the "
            "job's cluster a managed identity that is a user of the database"
        ) from error
    return {_TOKEN_ATTRIBUTE: struct.pack(f"<I{len(token)}s", len(token), token)}


def _sqlite(address: URL, timeout_seconds: int) -> Engine:
    engine = create_engine(
        address,
        poolclass=NullPool,  # opening a file is cheap; an open one would keep its log file
        connect_args={"timeout": timeout_seconds},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not when Python thinks so
        # With a write-ahead log readers do not keep the writer from committing; FULL: what was
        # committed survives a power cut.
        enable_write_ahead_log(connection, timeout_seconds)
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes the lock at once: one that began by reading could not wait for it.
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def enable_write_ahead_log(connection: Any, timeout_seconds: int) -> None:
    """Switch to a write-ahead log; of two that do so at once SQLite lets neither wait by itself."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _prepare_mariadb(engine: Engine, timeout_seconds: int) -> None:
    timeouts = {
        "CONN_TIMEOUT": str(min(timeout_seconds, CONNECT_SECONDS)),
        "READ_TIMEOUT": str(timeout_seconds),
        "WRITE_TIMEOUT": str(timeout_seconds),
    }

    @event.listens_for(engine, "do_connect")
    def _complete(_: Any, __: Any, arguments: list[Any], ___: Any) -> None:
        text = arguments[0].replace(";Trusted_Connection=Yes", "")
        # SQLAlchemy writes the port in SQL Server's way, which MariaDB takes for a host's name.
        text = re.sub(r"(?i)(^|;)(server=[^;,]*),(\d+)", r"\1\2;PORT=\3", text)
        arguments[0] = add_odbc_defaults(text, timeouts)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        # A run that vanishes with its machine must not keep its locks for the usual eight hours.
        # Only MariaDB reads what stands in this comment.
        cursor = connection.cursor()
        cursor.execute(f"/*M! SET SESSION idle_transaction_timeout={timeout_seconds} */")
        cursor.close()


def _prepare_microsoft(engine: Engine, timeout_seconds: int) -> None:
    credential: list[Any] = []

    @event.listens_for(engine, "do_connect")
    def _identify(_: Any, __: Any, arguments: list[Any], keywords: dict[str, Any]) -> None:
        text = arguments[0].replace(";Trusted_Connection=Yes", "")
        arguments[0] = add_odbc_defaults(text, {"Encrypt": "yes"})
        keywords["timeout"] = min(timeout_seconds, CONNECT_SECONDS)
        if any(_value(text, keyword) for keyword in ("UID", "Authentication")):
            return
        if not credential:
            credential.append(identity.credential())
        keywords["attrs_before"] = get_entra_token(credential[0], format_database_name(engine.url))

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.timeout = timeout_seconds  # of each statement


def _below_project(address: URL) -> URL:
    if address.database in {None, "", ":memory:"}:
        raise DatasetError(
            "a SQLite database in memory is lost at once; name a file: sqlite:///FILE"
        )
    path = Path(str(address.database)).expanduser()
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    return address.set(database=str(project / path))


def _is_microsoft(address: URL) -> bool:
    return address.get_backend_name() == "mssql"


def _microsoft_driver() -> str:
    """The driver that pip installed, by its path, or else the system's by its name."""
    found = importlib.util.find_spec("mssql_python_odbc")
    if found and found.origin and platform.system() == "Linux":
        folder = Path(found.origin).parent / "libs/linux" / _distribution() / platform.machine()
        for path in sorted(folder.glob("lib/libmsodbcsql-18*.so*")):
            return str(path)
    return "ODBC Driver 18 for SQL Server"


def _distribution(release: Callable[[], dict[str, str]] = platform.freedesktop_os_release) -> str:
    """Which of the drivers in the package is for this kind of Linux."""
    try:
        facts = release()
    except OSError:
        facts = {}
    kinds = f"{facts.get('ID', 'debian')} {facts.get('ID_LIKE', '')}".split()
    return next((_DISTRIBUTIONS[kind] for kind in kinds if kind in _DISTRIBUTIONS), "rhel")


def _value(connection_string: str, keyword: str) -> str:
    """The value that a keyword has in an ODBC connection string, or an empty text."""
    said = {name.strip().lower(): value for name, value in _PART.findall(connection_string)}
    return said.get(keyword.lower(), "").strip()


def _quoted(value: str) -> str:
    plain = re.fullmatch(r"[^;{}\[\]()?*=!@,]*", value)
    return value if plain else "{" + value.replace("}", "}}") + "}"
