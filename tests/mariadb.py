"""A MariaDB server for the tests, and a proxy that injects connection faults."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest

from support import GUARD_S, free_port, skip_or_fail

_OPTIONS = (
    "--no-defaults",
    "--innodb-log-file-size=16M",
    "--innodb-buffer-pool-size=64M",
    # Limits the shared tablespace, so that tests can fill it with tables stored in it.
    "--innodb-data-file-path=ibdata1:12M:autoextend:max:18M",
    "--innodb-flush-log-at-trx-commit=2",  # outlasts the server's end, though no power cut
    "--performance-schema=OFF",
    "--skip-name-resolve",
)


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A running server of this session; skips where MariaDB or ODBC is missing."""
    if reason := missing():
        skip_or_fail(f"{reason}: make database")
    server = MariaDB(tmp_path_factory.mktemp("mariadb"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.integration)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, SQLite or MariaDB."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sensors.db'}"
    return request.getfixturevalue("mariadb").url()


@pytest.fixture(scope="session")
def pyodbc() -> ModuleType:
    """The module pyodbc; skips where the libraries of ODBC are missing."""
    try:
        return importlib.import_module("pyodbc")
    except ImportError as error:
        skip_or_fail(f"ODBC is not here ({error}): make database")
        raise


@pytest.fixture
def mariadb_proxy(mariadb: MariaDB) -> Iterator[Proxy]:
    """A proxy of the server, without faults."""
    proxy = Proxy(mariadb.port)
    proxy.listen()
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def mariadb_driver() -> None:
    """Skip where MariaDB's ODBC driver is missing; needs no server."""
    if reason := _missing_driver():
        skip_or_fail(f"{reason}: make database")


def missing() -> str | None:
    """Return what is missing for a server on this machine, if anything."""
    for program in ("mariadbd", "mariadb-install-db"):
        if _program(program) is None:
            return f"{program} is not here"
    return _missing_driver()


def _missing_driver() -> str | None:
    try:
        import pyodbc
    except ImportError as error:
        return f"ODBC is not here ({error})"
    if "MariaDB Unicode" not in pyodbc.drivers():
        return "MariaDB's ODBC driver is not here"
    return None


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class MariaDB:
    """A server on a port of 127.0.0.1, with its data in a folder."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._databases = 0
        user = ["--user=root"] if os.getuid() == 0 else []
        self._command = [str(_program("mariadbd")), *_OPTIONS, f"--datadir={folder / 'data'}"]
        self._command += [f"--port={self.port}", "--bind-address=127.0.0.1", "--socket=s", *user]
        self._log = folder / "log"
        install = [str(_program("mariadb-install-db")), *_OPTIONS, f"--datadir={folder / 'data'}"]
        install += ["--auth-root-authentication-method=normal", "--skip-test-db", *user]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start the server and wait until it responds."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + GUARD_S
        while True:
            try:
                self.execute("SELECT 1")
                return
            except Exception as error:
                gone = self._process.poll() is not None or time.monotonic() > deadline
                assert not gone, f"{error}\n{self._log.read_text()}"
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop the server, or kill it with SIGKILL."""
        self._process.send_signal(how)
        self._process.wait(timeout=GUARD_S)

    def execute(self, *statements: str) -> list[Any]:
        """Execute and commit statements, and return the rows of the last one."""
        import pyodbc

        text = f"DRIVER=MariaDB Unicode;SERVER=127.0.0.1;PORT={self.port};UID=root"
        text += f";CONN_TIMEOUT={GUARD_S}"
        connection = pyodbc.connect(text, autocommit=True)
        try:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []
        finally:
            with suppress(Exception):  # it may be broken by then
                connection.close()

    def new_database(self) -> str:
        """Create a database and return its name."""
        self._databases += 1
        name = f"sensors{self._databases}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET latin1")
        return name

    def url(self, database: str | None = None, port: int | None = None, user: str = "root") -> str:
        """Return the URL of a database, by default of a new one without a proxy."""
        name = database or self.new_database()
        return f"mysql+pyodbc://{user}@127.0.0.1:{port or self.port}/{name}"


Fault = Literal["cut before", "cut after", "silence", "vanish"]


class Proxy:
    """Forwards connections to a server until a statement with a certain text.

    The connection is then cut before the server receives the statement, or after the server has
    responded and before the client receives it; or the proxy forwards nothing any more, and may
    even hide the end of the client's connection from the server.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._fault: tuple[bytes, Fault] | None = None
        self._times = 0
        self.happened = 0
        self.port = free_port()
        self._listener: socket.socket | None = None

    def listen(self) -> None:
        """Accept connections."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def close(self) -> None:
        """Stop accepting connections, as if the server were down."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def fail(self, text: str, fault: Fault, times: int = 1) -> None:
        """Inject a fault into the next statements that contain a text."""
        self._fault, self._times, self.happened = (text.encode(), fault), times, 0

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                return
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            state = _Connection(self, client, server)
            for pump in (state.up, state.down):
                threading.Thread(target=pump, daemon=True).start()

    def fault_of(self, data: bytes) -> Fault | None:
        """Return the fault of a statement, if any."""
        if self._fault is None or self._times == 0 or self._fault[0] not in data:
            return None
        self._times -= 1
        self.happened += 1
        return self._fault[1]


class _Connection:
    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._fault: Fault | None = None

    def up(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(1 << 20):
                self._fault = self._fault or self._proxy.fault_of(data)
                if self._fault == "cut before":
                    break
                if self._fault not in {"silence", "vanish"}:
                    self._server.sendall(data)
        if self._fault != "vanish":
            self._cut()

    def down(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(1 << 20):
                if self._fault == "cut after":
                    break
                if self._fault not in {"silence", "vanish"}:
                    self._client.sendall(data)
        self._cut()

    def _cut(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
