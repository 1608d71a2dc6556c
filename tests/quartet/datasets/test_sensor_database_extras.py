"""Whoever names a server, and has no driver, must learn what to install."""

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
