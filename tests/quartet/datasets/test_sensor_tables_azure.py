"""Connections and statements for Azure SQL, checked without a server."""

import ctypes.util
import struct
import types

import pytest
from kedro.io import DatasetError

from quartet.datasets import database_engines
from quartet.datasets.database_engines import add_odbc_defaults, get_entra_token
from quartet.datasets.sensor_store.database import Database
from quartet.datasets.sensor_store.rows import insert_rows
from quartet.datasets.sensor_store.schema import metadata
from quartet.datasets.sensor_store.tables import SensorTablesDataset
from support import free_port, skip_or_fail
from window_batches import end

azure_identity = pytest.importorskip("azure.identity", reason="needs the extra azure")
azure_errors = pytest.importorskip("azure.core.exceptions")

pytest_plugins = ("mariadb",)
pytestmark = pytest.mark.usefixtures("pyodbc")

URL = "mssql+pyodbc://example.database.windows.net/sensors"
TOKEN = "header.payload.ünterschrift"


@pytest.fixture
def calls(monkeypatch, pyodbc):
    """The calls of pyodbc and of Entra ID."""
    calls = []

    class Credential:
        def __init__(self, **_):
            pass

        def get_token(self, *scopes):
            calls.append(scopes)
            return types.SimpleNamespace(token=TOKEN)

    def connect(text, **keywords):
        calls.append((text, keywords))
        raise pyodbc.OperationalError("08001", "[08001] no server here (10061) (SQLDriverConnect)")

    monkeypatch.setattr(azure_identity, "DefaultAzureCredential", Credential)
    monkeypatch.setattr(pyodbc, "connect", connect)
    return calls


def parts(text):
    return dict(part.split("=", 1) for part in text.lower().split(";"))


def test_without_a_user_an_entra_token_is_used_over_tls(calls):
    with pytest.raises(DatasetError, match=r"SQL Server database sensors at example\.database"):
        SensorTablesDataset(url=URL, attempts=1).load()
    scopes, (text, keywords) = calls
    assert scopes == ("https://database.windows.net/.default",)
    settings = parts(text)
    assert (
        "msodbcsql-18" in settings["driver"]
        or settings["driver"] == "{odbc driver 18 for sql server}"
    )
    assert (settings["server"], settings["database"]) == ("example.database.windows.net", "sensors")
    assert settings["encrypt"] == "yes"
    assert not settings.keys() & {"uid", "pwd", "trusted_connection", "trustservercertificate"}
    (attribute, packed), *more = keywords["attrs_before"].items()
    assert not more
    assert attribute == 1256
    length = struct.unpack("<I", packed[:4])[0]
    assert packed[4:].decode("utf-16-le") == TOKEN
    assert length == len(packed) - 4
    assert 0 < keywords["timeout"] <= 30


@pytest.mark.parametrize(
    "options",
    [
        {"url": URL, "credentials": {"username": "ann", "password": "a;b}c"}},
        {"url": "", "credentials": {"url": URL.replace("//", "//ann:a;b%7Dc@")}},
        {
            "url": "mssql+pyodbc:///?odbc_connect=Server=example.database.windows.net;Database=x",
            "credentials": {"username": "ann", "password": "a;b}c"},
        },
    ],
    ids=["credentials", "complete URL", "connection string"],
)
def test_no_token_is_requested_with_a_user(calls, options):
    with pytest.raises(DatasetError) as error:
        SensorTablesDataset(attempts=1, **options).load()
    ((text, keywords),) = calls
    assert "attrs_before" not in keywords
    assert ";UID=ann;PWD={a;b}}c}" in text
    assert "Encrypt=yes" in text
    assert "a;b" not in str(error.value)


@pytest.mark.parametrize(
    ("state", "words", "passing"),
    [
        ("08S01", "TCP Provider: an error that nobody has seen (258) (SQLExecDirectW)", True),
        ("40001", "was deadlocked on lock resources (1205) (SQLExecDirectW)", True),
        ("HYT00", "Login timeout expired (0) (SQLDriverConnect)", True),
        ("42000", "Database 'x' is not currently available (40613) (SQLDriverConnect)", True),
        ("HY000", "The service is currently busy (40501) (SQLExecDirectW)", True),
        ("28000", "Login failed for user 'ann' (18456) (SQLDriverConnect)", False),
        ("42S02", "Invalid object name 'table (40613)' (208) (SQLExecDirectW)", False),
        ("HY000", "reached its size quota (40544) (SQLExecDirectW)", False),
    ],
)
def test_only_transient_errors_are_retried(monkeypatch, pyodbc, state, words, passing):
    attempts = []

    def connect(*_, **__):
        attempts.append(state)
        raise pyodbc.Error(state, f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server]{words}")

    monkeypatch.setattr(pyodbc, "connect", connect)
    options = {"credentials": {"username": "ann"}, "attempts": 3, "wait_seconds": 0}
    with pytest.raises(DatasetError):
        SensorTablesDataset(url=URL, **options).load()
    assert len(attempts) == (3 if passing else 1)


def test_a_missing_identity_is_reported_with_a_hint(monkeypatch):
    class Credential:
        def __init__(self, **_):
            pass

        def get_token(self, *_):
            raise azure_errors.ClientAuthenticationError("no identity found")

    with pytest.raises(DatasetError, match=r"sensors at home: no Entra ID identity .*az login"):
        get_entra_token(Credential(), "sensors at home")
    monkeypatch.setattr(azure_identity, "DefaultAzureCredential", Credential)
    with pytest.raises(DatasetError, match="no Entra ID identity"):
        SensorTablesDataset(url=URL, attempts=3).load()


def test_the_installed_driver_loads_and_reaches_the_network(monkeypatch):
    if ctypes.util.find_library("ltdl") is None:
        skip_or_fail("Microsoft's driver needs libltdl: make database")
    monkeypatch.setattr(
        database_engines, "get_entra_token", lambda *_: {1256: struct.pack("<I4s", 4, b"a\0b\0")}
    )
    url = f"mssql+pyodbc://127.0.0.1:{free_port()}/sensors"
    with pytest.raises(DatasetError, match=r"\[Microsoft\]\[ODBC Driver 18 for SQL Server\]"):
        SensorTablesDataset(url=url, attempts=1, timeout_seconds=1).load()


def test_each_linux_distribution_uses_its_own_driver():
    for facts, expected in [
        ({"ID": "debian"}, "debian_ubuntu"),
        ({"ID": "mint", "ID_LIKE": "ubuntu debian"}, "debian_ubuntu"),
        ({"ID": "opensuse-leap", "ID_LIKE": "suse opensuse"}, "suse"),
        ({"ID": "mariner", "ID_LIKE": "rhel fedora"}, "rhel"),
    ]:
        assert database_engines._distribution(lambda facts=facts: facts) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Server=h;Database=d", "Server=h;Database=d;Encrypt=yes"),
        ("Server=h; encrypt = strict;", "Server=h; encrypt = strict"),
        ("Server=h;PWD={;Encrypt=no;}", "Server=h;PWD={;Encrypt=no;};Encrypt=yes"),
    ],
)
def test_options_of_a_connection_string_are_kept(text, expected):
    assert add_odbc_defaults(text, {"Encrypt": "yes"}) == expected


def test_rows_are_inserted_into_sql_server_in_batches():
    dialect = Database(URL).engine.dialect
    calls = []
    connection = types.SimpleNamespace(
        dialect=dialect, exec_driver_sql=lambda text, rows: calls.append((text, len(rows)))
    )
    columns = {"window_end": [end(5)] * 120_000, "sensor_id": list(range(120_000))}
    insert_rows(connection, metadata.tables["sensor_windows"], columns)
    assert dialect.fast_executemany
    text = "INSERT INTO sensor_windows (window_end, sensor_id) VALUES (?, ?)"
    assert calls == [(text, 50_000), (text, 50_000), (text, 20_000)]
