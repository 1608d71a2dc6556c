"""A run that is killed, at whatever moment, must not cost the next ones their tracking."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from types import SimpleNamespace

import mlflow
import pytest

from quartet import tracking_database
from quartet.hooks import PreflightHooks
from quartet.tracking_database import check_database, create_database

KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
KILL_WHILE_WRITING = f"""
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("PRAGMA cache_size=1")
database.execute("BEGIN")
for number in range(2000):
    row = (f"key {{number}}", "x" * 500, sys.argv[2])
    database.execute("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", row)
{KILL}
"""
KILL_WHILE_CREATING = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from quartet import tracking_database

@event.listens_for(Engine, "after_cursor_execute")
def kill(connection, cursor, statement, *_):
    if "CREATE TABLE spans" in statement:
        os.kill(os.getpid(), signal.SIGKILL)

getattr(tracking_database, sys.argv[1])(Path(sys.argv[2]))
"""


def kill(program, *arguments):
    """Run a program that kills itself."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    file = tmp_path_factory.mktemp("empty") / "mlflow.db"
    create_database(file)
    return file


@pytest.fixture
def file(tmp_path, empty):
    shutil.copy(empty, tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    return tmp_path / "mlflow.db"


@pytest.fixture
def client(file):
    return mlflow.MlflowClient(f"sqlite:///{file}")


@pytest.fixture
def preflight(tmp_path):
    """The check before a run of the project in the test's folder."""

    def check(uri="sqlite:///mlflow.db"):
        context = SimpleNamespace(
            _runtime_params={},
            project_path=tmp_path,
            config_loader={"mlflow": {"server": {"mlflow_tracking_uri": uri}}},
        )
        PreflightHooks().after_context_created(context)
        return context.config_loader["mlflow"]["server"]["mlflow_tracking_uri"]

    return check


def test_a_run_killed_while_it_wrote_locks_nobody_out_and_loses_no_earlier_run(
    file, client, preflight
):
    earlier = client.create_run("0").info.run_id
    client.set_terminated(earlier)
    kill(KILL_WHILE_WRITING, file, earlier)
    assert file.with_name("mlflow.db-journal").stat().st_size > 0
    preflight()
    (found,) = client.search_runs(["0"])
    assert (found.info.run_id, found.info.status) == (earlier, "FINISHED")
    assert not [name for name in found.data.tags if name.startswith("key")]


def test_a_database_that_another_process_locks_is_not_told_to_be_moved_away(file, monkeypatch):
    monkeypatch.setattr(tracking_database, "_BUSY_SECONDS", 0.01)
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ValueError, match=r"mlflow.db is locked by another process; wait"):
            check_database(file)


def test_a_first_run_killed_while_tables_are_created_leaves_none_of_them(tmp_path, preflight):
    file = tmp_path / "mlflow.db"
    kill(KILL_WHILE_CREATING, "create_database", file)
    assert not file.exists()
    preflight()
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    client = mlflow.MlflowClient(f"sqlite:///{file}")
    assert [found.name for found in client.search_experiments()] == ["Default"]


def test_a_database_that_was_never_completed_is_named_with_what_to_do(tmp_path, preflight):
    file = tmp_path / "mlflow.db"
    kill(KILL_WHILE_CREATING, "_initialise", file)
    with pytest.raises(ValueError, match=r"mlflow.db is incomplete: .* delete it and rerun"):
        preflight()
    file.unlink()
    preflight()


def test_a_database_that_lacks_only_its_last_steps_is_completed(file, preflight):
    with closing(sqlite3.connect(file)) as database:
        database.execute("DELETE FROM experiments")
        database.commit()
    preflight()
    client = mlflow.MlflowClient(f"sqlite:///{file}")
    assert [found.name for found in client.search_experiments()] == ["Default"]


def test_a_database_that_another_project_has_made_meanwhile_stays(tmp_path, monkeypatch):
    file = tmp_path / "shared.db"

    def initialise_slowly(part):
        part.write_text("mine")
        file.write_text("theirs")

    monkeypatch.setattr(tracking_database, "_initialise", initialise_slowly)
    create_database(file)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["theirs"]


def test_a_file_system_without_hard_links_gets_its_database(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", refuse)
    monkeypatch.setattr(tracking_database, "_initialise", lambda part: part.write_text("mine"))
    create_database(tmp_path / "mlflow.db")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("uri", ["sqlite:///:memory:", "sqlite://"])
def test_a_database_in_memory_becomes_no_file(tmp_path, preflight, uri):
    assert preflight(uri) == uri
    assert not list(tmp_path.iterdir())


def test_what_an_address_says_after_its_file_is_no_part_of_the_name(file, preflight, monkeypatch):
    monkeypatch.chdir("/")
    assert preflight("sqlite:///mlflow.db?timeout=5") == f"sqlite:///{file}?timeout=5"
    assert [path.name for path in file.parent.iterdir()] == ["mlflow.db"]
