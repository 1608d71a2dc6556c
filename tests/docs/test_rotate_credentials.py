"""The guide on rotating the database's password neither stops runs nor loses rows."""

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
"""The guide's statements: they make the second user, and drop the first."""


@pytest.fixture
def project(mariadb: MariaDB, workspace: Path) -> Path:
    """A project with the sensors in a MariaDB, to which its first user has access."""
    mariadb.execute("CREATE DATABASE sensors")
    mariadb.execute(*(line.replace("quartet_2", "quartet_1") for line in MAKE))
    url = f"mysql+pyodbc://127.0.0.1:{mariadb.port}/sensors"
    (workspace / "conf/local/globals.yml").write_text(f"sensor_database: {url}\n")
    return workspace


def ingest(project: Path, user: str, password: str = "NEW") -> CompletedProcess[str]:
    entry = {"QUARTET_SQL_USER": user, "QUARTET_SQL_PASSWORD": password}
    return run_kedro(project, "run", "-p", "sensor_ingestion", environment=entry)


def test_the_second_user_continues_and_the_first_has_no_access(
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
