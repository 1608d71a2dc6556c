"""A server without a driver, or with invalid credentials, is reported with what to do."""

import sys

import pytest
from kedro.io.core import DatasetError

from kedro_cloud.core import extras
from quartet.datasets.database_engines import create_database_engine, parse_database_url


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("mysql+pyodbc://db.example.org/x", "MariaDB database x at db.example.org"),
        ("mssql+pyodbc://db.example.org/x", "SQL Server database x at db.example.org"),
    ],
)
def test_a_server_needs_the_extra_sql(monkeypatch, url, database):
    monkeypatch.setitem(sys.modules, "pyodbc", None)
    with pytest.raises(DatasetError) as raised:
        create_database_engine(parse_database_url(url), timeout_seconds=1)
    assert str(raised.value) == extras.format_missing(database, "sql")


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        ("hunter2", "credentials are not a mapping; expected username, password, url"),
        ({"usrname": "hunter2"}, "credentials: 'usrname' is not a key; expected username"),
        ({"username": "me", "password": 31337}, "credentials: password is not text; write it in"),
    ],
)
def test_invalid_credentials_are_reported_without_their_values(credentials, message):
    with pytest.raises(DatasetError) as raised:
        parse_database_url("sqlite:///sensors.db", credentials)
    assert message in str(raised.value)
    assert not any(secret in str(raised.value) for secret in ("hunter2", "31337"))


def test_credentials_without_values_are_none():
    given = {"username": None, "password": ""}
    assert parse_database_url("sqlite:///sensors.db", given).username is None
