"""Whoever rotates the database's password by the guide must not stop what runs, nor lose a row."""

from __future__ import annotations

import re
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING

import pytest

from docs.guide import blocks
from docs.pages import DOCS
from support import run_kedro

if TYPE_CHECKING:
    from mariadb import MariaDB

pytest_plugins = ("mariadb",)
GUIDE = DOCS / "how-to/rotate-credentials.md"
MAKE, DROP = (
    [line.strip() for line in block.text.split(";") if line.strip()]
    for block in blocks(GUIDE)
    if block.language == "sql"
)
"""The guide's statements: the second user, and the end of the first."""


@pytest.fixture
def project(mariadb: MariaDB, workspace: Path) -> Path:
    """A project whose sensors lie in a MariaDB that its first user may enter."""
    mariadb.execute("CREATE DATABASE sensors")
    mariadb.execute(*(line.replace("quartet_2", "quartet_1") for line in MAKE))
    url = f"mysql+pyodbc://127.0.0.1:{mariadb.port}/sensors"
    (workspace / "conf/local/globals.yml").write_text(f"sensor_database: {url}\n")
    return workspace


def ingest(project: Path, user: str, password: str = "NEW") -> CompletedProcess[str]:
    entry = {"QUARTET_SQL_USER": user, "QUARTET_SQL_PASSWORD": password}
    return run_kedro(project, "run", "-p", "sensor_ingestion", environment=entry)


def test_the_second_user_goes_on_where_the_first_was_and_the_first_gets_in_no_more(
    mariadb: MariaDB, project: Path
) -> None:
    first = ingest(project, "quartet_1")
    assert first.returncode == 0, first.stderr
    (before,) = mariadb.execute("SELECT COUNT(*) FROM sensors.sensor_windows")
    mariadb.execute(*MAKE)
    second = ingest(project, "quartet_2")
    assert second.returncode == 0, second.stderr
    mariadb.execute(*DROP)
    (after,) = mariadb.execute("SELECT COUNT(*) FROM sensors.sensor_windows")
    assert tuple(after) == tuple(before)
    assert before[0] > 0
    refused = ingest(project, "quartet_1", password="secret-4711")
    assert refused.returncode == 1
    message = refused.stderr.strip().splitlines()[-1]
    assert re.match("Error: .*user", message), message
    assert "secret-4711" not in refused.stdout + refused.stderr
