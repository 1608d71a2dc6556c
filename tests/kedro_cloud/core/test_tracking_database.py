"""A run that is killed at any moment does not damage the tracking database."""

import os
import shutil
import signal
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import mlflow
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from forked import server
from kedro_cloud.core import processes, tracking_database
from kedro_cloud.core.tracking_database import (
    check_database,
    create_database,
    end_killed_runs,
    tag_process,
)
from quartet.framework.hooks import PreflightHooks, TrackingHooks

KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
KILL_WHILE_WRITING = f"""
import sqlite3
database = sqlite3.connect(arguments[0])
database.execute("PRAGMA cache_size=1")
database.execute("BEGIN")
for number in range(2000):
    row = (f"key {{number}}", "x" * 500, arguments[1])
    database.execute("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", row)
{KILL}
"""
KILL_WHILE_CREATING = """
import os, signal
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from kedro_cloud.core import tracking_database

@event.listens_for(Engine, "after_cursor_execute")
def kill(connection, cursor, statement, *_):
    if "CREATE TABLE spans" in statement:
        os.kill(os.getpid(), signal.SIGKILL)

tracking_database.create_database(Path(arguments[0]))
"""
KILL_WHILE_RUNNING = f"""
import mlflow
from kedro_cloud.core.tracking_database import tag_process
mlflow.set_tracking_uri(arguments[0])
with tag_process():
    mlflow.start_run(run_id=None, experiment_id="0")
{KILL}
"""


def kill(program, *arguments):
    """Run a program that kills itself, in a process that has imported the libraries."""
    process = server().Process(target=exec, args=(program, {"arguments": arguments}))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.fixture
def file(tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    return tmp_path / "mlflow.db"


@pytest.fixture
def client(file):
    return mlflow.MlflowClient(f"sqlite:///{file}")


class Loader(dict):
    """A configuration loader of a run without `--params`."""

    runtime_params = None


@pytest.fixture
def preflight(tmp_path):
    """The check before a run of the project in the test's folder."""

    def check(uri="sqlite:///mlflow.db"):
        loader = Loader(mlflow={"server": {"mlflow_tracking_uri": uri}})
        context = SimpleNamespace(project_path=tmp_path, config_loader=loader)
        PreflightHooks().after_context_created(context)
        return context.config_loader["mlflow"]["server"]["mlflow_tracking_uri"]

    return check


def test_a_run_killed_while_writing_leaves_no_lock_and_loses_no_earlier_run(
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


def test_a_database_that_another_process_locks_is_reported(file, monkeypatch):
    monkeypatch.setattr(tracking_database, "_BUSY_SECONDS", 0.01)
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ValueError, match=r"mlflow.db is locked by another process; wait"):
            check_database(file)


def test_a_first_run_killed_while_creating_tables_leaves_no_database(tmp_path, preflight):
    file = tmp_path / "mlflow.db"
    kill(KILL_WHILE_CREATING, file)
    (part,) = tmp_path.iterdir()
    (tmp_path / "incomplete").mkdir()
    incomplete = shutil.copy(part, tmp_path / "incomplete/mlflow.db")
    with pytest.raises(ValueError, match=r"mlflow.db is incomplete: .* delete it and rerun"):
        check_database(incomplete)
    shutil.rmtree(tmp_path / "incomplete")
    preflight()
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    client = mlflow.MlflowClient(f"sqlite:///{file}")
    assert [found.name for found in client.search_experiments()] == ["Default"]


def test_a_database_without_experiments_is_completed(file, preflight):
    with closing(sqlite3.connect(file)) as database:
        database.execute("DELETE FROM experiments")
        database.commit()
    preflight()
    client = mlflow.MlflowClient(f"sqlite:///{file}")
    assert [found.name for found in client.search_experiments()] == ["Default"]


def test_a_database_created_by_another_project_meanwhile_is_kept(tmp_path, monkeypatch):
    file = tmp_path / "shared.db"

    def initialise_slowly(part):
        part.write_text("mine")
        file.write_text("theirs")

    monkeypatch.setattr(tracking_database, "_initialise", initialise_slowly)
    create_database(file)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["theirs"]


def test_a_uri_is_resolved_relative_to_the_project_unless_it_is_in_memory(
    file, preflight, monkeypatch
):
    monkeypatch.chdir("/")
    for uri in ("sqlite:///:memory:", "sqlite://"):
        assert preflight(uri) == uri
    assert preflight("sqlite:///mlflow.db?timeout=5") == f"sqlite:///{file}?timeout=5"
    assert [path.name for path in file.parent.iterdir()] == ["mlflow.db"]


def open_run(client, **changed):
    """Create a running run of this process; `changed` replaces some of its tags."""
    tags = tracking_database._tags()
    tags |= {f"process.{name}": value for name, value in changed.items()}
    return client.create_run("0", tags=tags).info.run_id


def test_a_run_whose_process_was_killed_is_marked_as_killed(file, client):
    kill(KILL_WHILE_RUNNING, f"sqlite:///{file}")
    (run,) = client.search_runs(["0"])
    assert run.info.status == "RUNNING"
    assert run.data.tags["process.host"]
    later = open_run(client, start_ticks="1")  # as if this process had the ID of a later one
    assert end_killed_runs("0") == 2
    for killed in (run.info.run_id, later):
        found = client.get_run(killed).info
        assert found.status == "KILLED"
        assert found.end_time is not None
    assert end_killed_runs("0") == 0


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"host": "another", "id": "999999999"},
        {"namespace": "pid:[1]", "id": "999999999"},
        {"id": "none"},
    ],
    ids=["a living process", "another host", "a container", "no number"],
)
def test_a_run_that_may_still_be_running_is_not_marked(client, changed):
    run = open_run(client, **changed)
    untagged = client.create_run("0").info.run_id
    assert end_killed_runs("0") == 0
    assert {client.get_run(name).info.status for name in (run, untagged)} == {"RUNNING"}


def test_runs_of_other_experiments_are_not_marked(client):
    experiment = client.create_experiment("another")
    run = client.create_run(experiment, tags={**tracking_database._tags(), "process.id": "9" * 9})
    assert end_killed_runs("0") == 0
    assert client.get_run(run.info.run_id).info.status == "RUNNING"


def test_a_run_has_the_tags_of_its_process_and_those_of_the_user(file, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_CONTEXT", '{"team": "north"}')
    with tag_process(), mlflow.start_run(experiment_id="0") as run:
        pass
    tags = client.get_run(run.info.run_id).data.tags
    assert tags["team"] == "north"
    assert tags["process.id"] == str(os.getpid())
    assert tags["process.start_ticks"] == processes.start_ticks(os.getpid())
    assert os.environ["MLFLOW_RUN_CONTEXT"] == '{"team": "north"}'


def test_the_hook_marks_killed_runs_after_its_own_has_started(file, client):
    killed = open_run(client, id="999999999")
    hook = TrackingHooks().before_pipeline_run(Pipeline([]), DataCatalog())
    next(hook)
    with mlflow.start_run(experiment_id="0") as run:
        with pytest.raises(StopIteration):
            next(hook)
        assert client.get_run(killed).info.status == "KILLED"
        assert client.get_run(run.info.run_id).info.status == "RUNNING"


def test_on_a_tracking_server_runs_are_neither_tagged_nor_marked(monkeypatch):
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "http://127.0.0.1:9")
    hook = TrackingHooks().before_pipeline_run(Pipeline([]), DataCatalog())
    next(hook)
    assert "MLFLOW_RUN_CONTEXT" not in os.environ
    with pytest.raises(StopIteration):
        next(hook)


@pytest.mark.parametrize("read_only", ["mlflow.db", "."])
def test_a_read_only_database_stops_the_run_before_it_starts(
    file, tmp_path, monkeypatch, read_only
):
    hooks, access = PreflightHooks(), os.access
    loader = Loader(mlflow={"server": {"mlflow_tracking_uri": "sqlite:///mlflow.db"}})
    hooks.after_context_created(SimpleNamespace(project_path=tmp_path, config_loader=loader))
    unwritable = tmp_path / read_only
    # Root may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: path != unwritable and access(path, mode))
    with pytest.raises(ValueError, match=r"tracking database .*mlflow.db: .* is not writable"):
        hooks.before_pipeline_run(Pipeline([]), DataCatalog())
