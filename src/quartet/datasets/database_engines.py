"""SQLAlchemy engines for SQLite files, and for MariaDB and Azure SQL over ODBC.

Only connections; the SQL statements are in `sensor_store`. Follows SQLAlchemy's recipes
for SQLite transactions ("Serializable isolation / Savepoints / Transactional DDL") and
for access tokens ("Connecting to databases with access tokens").
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

from kedro_cloud.core import extras, identity

_BACKENDS = ("sqlite", "mysql", "mariadb", "mssql")
_CREDENTIALS = ("username", "password", "url")
WRITES = "quartet_writes"
"""Execution option of connections whose transactions write."""
_CONNECT_SECONDS = 30
"""Timeout for connecting to a server."""
_TOKEN_ATTRIBUTE = 1256  # SQL_COPT_SS_ACCESS_TOKEN of Microsoft's driver
_TOKEN_SCOPE = "https://database.windows.net/.default"
_ODBC_ENTRY = re.compile(r"([^=;]+)=(\s*\{(?:[^}]|\}\})*\}|[^;]*)")  # value, or {any text}
_DISTRIBUTIONS = {"debian": "debian_ubuntu", "ubuntu": "debian_ubuntu", "suse": "suse"}
"""Folder of Microsoft's driver in its package, by `ID` or `ID_LIKE` of os-release."""


def parse_database_url(url: str, credentials: Mapping[str, str] | None = None) -> URL:
    """Parse a database URL and add the credentials; SQLite paths are relative to the project.

    Args:
        url: SQLAlchemy URL: `sqlite:///FILE`, `mysql+pyodbc://HOST:PORT/DATABASE` or
            `mssql+pyodbc://HOST/DATABASE`, the latter two also with `?odbc_connect=…`.
        credentials: `username` and `password`, or a complete `url` that replaces the other.

    Raises:
        DatasetError: The URL is invalid or of another database, or the credentials are invalid.
    """
    credentials = _check_credentials(credentials)
    try:
        address = make_url(credentials.get("url", url))
        is_supported = address.get_backend_name() in _BACKENDS and bool(address.get_driver_name())
    except (ArgumentError, NoSuchModuleError):
        is_supported = False
    if not is_supported:  # the URL may contain a password and is not part of the message
        raise DatasetError(
            "database URL: expected sqlite:///FILE, "
            "mysql+pyodbc://HOST:PORT/DATABASE or mssql+pyodbc://HOST/DATABASE"
        )
    if address.get_backend_name() == "sqlite":
        return _resolve_sqlite_path(address)
    if "odbc_connect" in address.query:
        login = {"UID": credentials.get("username"), "PWD": credentials.get("password")}
        connection_string = add_odbc_defaults(str(address.query["odbc_connect"]), login)
        return address.update_query_dict({"odbc_connect": connection_string})
    if "username" in credentials:
        address = address.set(username=credentials["username"])
    if "password" in credentials:
        address = address.set(password=credentials["password"])
    if "driver" not in address.query:
        driver = _find_microsoft_driver() if _is_microsoft(address) else "MariaDB Unicode"
        address = address.update_query_dict({"driver": driver})
    return address


def _check_credentials(credentials: Any) -> dict[str, str]:
    """Return the credentials that are set; the message of an error has none of their values."""
    if credentials is None:
        return {}
    expected = f"expected {', '.join(_CREDENTIALS)}; check credentials.yml"
    if not isinstance(credentials, Mapping):
        raise DatasetError(f"credentials are not a mapping; {expected}")
    for name, value in credentials.items():
        if name not in _CREDENTIALS:
            raise DatasetError(f"credentials: '{name}' is not a key; {expected}")
        if not isinstance(value, str | None):
            raise DatasetError(f"credentials: {name} is not text; write it in quotes")
    return {name: value for name, value in credentials.items() if value}


def format_database_name(address: URL) -> str:
    """Return backend, database and host for messages, without user and password."""
    backend = address.get_backend_name()
    if backend == "sqlite":
        return f"SQLite database {address.database}"
    kind = "SQL Server" if backend == "mssql" else "MariaDB"
    connection_string = str(address.query.get("odbc_connect", ""))
    host = address.host or _get_value(connection_string, "SERVER") or "?"
    port = str(address.port or "") or _get_value(connection_string, "PORT")
    database = address.database or _get_value(connection_string, "DATABASE") or "?"
    return f"{kind} database {database} at {host}{':' if port else ''}{port}"


def create_database_engine(address: URL, timeout_seconds: int) -> Engine:
    """Create an engine with the same transaction semantics on all three databases.

    Raises:
        DatasetError: The extra sql or ODBC is not installed.
    """
    if address.get_backend_name() == "sqlite":
        return _create_sqlite_engine(address, timeout_seconds)
    try:
        import pyodbc
    except ModuleNotFoundError as error:
        raise DatasetError(extras.format_missing(format_database_name(address), "sql")) from error
    except ImportError as error:
        raise DatasetError(
            f"{format_database_name(address)}: ODBC is not installed ({error}); install it with "
            "`make database`, or the system package unixodbc"
        ) from error
    pyodbc.pooling = False  # SQLAlchemy pools connections and checks them before use
    is_microsoft = _is_microsoft(address)
    options: dict[str, Any] = {"fast_executemany": True} if is_microsoft else {}
    engine = create_engine(
        address, pool_pre_ping=True, pool_size=1, hide_parameters=True, **options
    )
    (_configure_microsoft if is_microsoft else _configure_mariadb)(engine, timeout_seconds)
    return engine


def add_odbc_defaults(connection_string: str, defaults: Mapping[str, str | None]) -> str:
    """Add the defaults that an ODBC connection string does not contain."""
    text = connection_string.rstrip("; ")
    for keyword, value in defaults.items():
        if value is not None and _get_value(text, keyword) == "":
            text += f";{keyword}={_quote(value)}"
    return text


def get_entra_token(credential: Any, database: str) -> dict[int, bytes]:
    """Return an access token as `pyodbc.connect(attrs_before=…)` expects it.

    The token is UTF-16 (little-endian), preceded by its length in bytes.

    Raises:
        DatasetError: The credential cannot get a token.
    """
    try:
        token = identity.access_token(credential, _TOKEN_SCOPE).encode("utf-16-le")
    except PermissionError as error:
        raise DatasetError(
            f"{database}: no Entra ID identity found; sign in with `az login`, or assign the "
            "cluster a managed identity that is a user of the database"
        ) from error
    return {_TOKEN_ATTRIBUTE: struct.pack(f"<I{len(token)}s", len(token), token)}


def _create_sqlite_engine(address: URL, timeout_seconds: int) -> Engine:
    engine = create_engine(
        address,
        poolclass=NullPool,  # opening is cheap, and an open connection would keep the log file
        connect_args={"timeout": timeout_seconds},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin in `_begin`, not implicitly
        # With a write-ahead log readers do not block the writer; with FULL, commits survive a
        # power failure.
        enable_write_ahead_log(connection, timeout_seconds)
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer locks at once: a transaction that began by reading cannot wait for the lock.
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def enable_write_ahead_log(connection: Any, timeout_seconds: int) -> None:
    """Switch to write-ahead logging; retries, as SQLite does not wait for another switch."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _configure_mariadb(engine: Engine, timeout_seconds: int) -> None:
    timeouts = {
        "CONN_TIMEOUT": str(min(timeout_seconds, _CONNECT_SECONDS)),
        "READ_TIMEOUT": str(timeout_seconds),
        "WRITE_TIMEOUT": str(timeout_seconds),
    }

    @event.listens_for(engine, "do_connect")
    def _add_timeouts(_: Any, __: Any, arguments: list[Any], ___: Any) -> None:
        text = arguments[0].replace(";Trusted_Connection=Yes", "")
        # SQLAlchemy writes HOST,PORT as SQL Server expects; MariaDB takes that for a host name.
        text = re.sub(r"(?i)(^|;)(server=[^;,]*),(\d+)", r"\1\2;PORT=\3", text)
        arguments[0] = add_odbc_defaults(text, timeouts)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        # Without a timeout the locks of a lost machine would be held for eight hours.
        # Only MariaDB executes this comment.
        cursor = connection.cursor()
        cursor.execute(f"/*M! SET SESSION idle_transaction_timeout={timeout_seconds} */")
        cursor.close()


def _configure_microsoft(engine: Engine, timeout_seconds: int) -> None:
    credential: list[Any] = []

    @event.listens_for(engine, "do_connect")
    def _add_token(_: Any, __: Any, arguments: list[Any], keywords: dict[str, Any]) -> None:
        text = arguments[0].replace(";Trusted_Connection=Yes", "")
        arguments[0] = add_odbc_defaults(text, {"Encrypt": "yes"})
        keywords["timeout"] = min(timeout_seconds, _CONNECT_SECONDS)
        if any(_get_value(text, keyword) for keyword in ("UID", "Authentication")):
            return
        if not credential:
            credential.append(identity.credential())
        keywords["attrs_before"] = get_entra_token(credential[0], format_database_name(engine.url))

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.timeout = timeout_seconds  # per statement


def _resolve_sqlite_path(address: URL) -> URL:
    if address.database in {None, "", ":memory:"}:
        raise DatasetError(
            "SQLite database in memory: data would be lost after each connection; set a file: "
            "sqlite:///FILE"
        )
    path = Path(str(address.database)).expanduser()
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    return address.set(database=str(project / path))


def _is_microsoft(address: URL) -> bool:
    return address.get_backend_name() == "mssql"


def _find_microsoft_driver() -> str:
    """Return the path of the driver that pip installed, or the name of the system's driver."""
    spec = importlib.util.find_spec("mssql_python_odbc")
    if spec and spec.origin and platform.system() == "Linux":
        folder = Path(spec.origin).parent / "libs/linux" / _distribution() / platform.machine()
        for path in sorted(folder.glob("lib/libmsodbcsql-18*.so*")):
            return str(path)
    return "ODBC Driver 18 for SQL Server"


def _distribution(release: Callable[[], dict[str, str]] = platform.freedesktop_os_release) -> str:
    """Return the folder of the driver for this Linux distribution."""
    try:
        info = release()
    except OSError:
        info = {}
    ids = f"{info.get('ID', 'debian')} {info.get('ID_LIKE', '')}".split()
    return next((_DISTRIBUTIONS[name] for name in ids if name in _DISTRIBUTIONS), "rhel")


def _get_value(connection_string: str, keyword: str) -> str:
    """Return the value of a keyword in an ODBC connection string, or an empty string."""
    entries = {
        name.strip().lower(): value for name, value in _ODBC_ENTRY.findall(connection_string)
    }
    return entries.get(keyword.lower(), "").strip()


def _quote(value: str) -> str:
    plain = re.fullmatch(r"[^;{}\[\]()?*=!@,]*", value)
    return value if plain else "{" + value.replace("}", "}}") + "}"
