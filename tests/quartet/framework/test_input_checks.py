"""A wrong input is reported once, before a run is tracked, and with useful advice only."""

import sqlite3
from contextlib import closing

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import DatasetError
from kedro.pipeline import Node, Pipeline
from kedro_datasets.json import JSONDataset

from quartet.framework.hooks import InputHooks, PasswordHooks
from support import make_workspace, run_kedro

NODE = Node(lambda first: first, "first", "second", name="copy")


class Checked(MemoryDataset):
    """A dataset that checks itself, and may not be loaded for it."""

    def check_at_start(self):
        raise DatasetError("the header is wrong")

    def load(self):
        raise AssertionError


def check(catalog, **run_params):
    InputHooks().before_pipeline_run(run_params, Pipeline([NODE]), catalog)


def test_missing_file_is_reported_by_its_dataset(tmp_path):
    catalog = DataCatalog({"first": JSONDataset(filepath=str(tmp_path / "nope.json"))})
    with pytest.raises(DatasetError, match=r"nope\.json") as raised:
        check(catalog)
    reported = [str(raised.value), *getattr(raised.value, "__notes__", [])]
    assert "\n".join(reported).count("first") == 1
    check(catalog, only_missing_outputs=True)  # the node may not run


def test_existing_file_is_not_loaded(tmp_path):
    (tmp_path / "large.json").write_text("not JSON at all")
    check(DataCatalog({"first": JSONDataset(filepath=str(tmp_path / "large.json"))}))


def test_dataset_checks_itself():
    with pytest.raises(DatasetError, match="the header is wrong"):
        check(DataCatalog({"first": Checked()}))


def test_input_without_an_entry_is_named():
    with pytest.raises(
        ValueError, match=r"pipeline inputs missing: 'first'; add it to catalog\.yml"
    ):
        check(DataCatalog())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_workspace(tmp_path_factory.mktemp("inputs") / "quartet")


def tracked(project):
    with closing(sqlite3.connect(project / "mlflow.db")) as connection:
        return connection.execute("SELECT status FROM runs").fetchall()


HEAD = "TS,Device,Sensor,Value"
GOOD = "2026-03-02T09:00:00Z,d,s,1"


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("gone.csv", None, "no such file"),
        ("twice.csv", f"{HEAD},Value\n{GOOD},2\n", "column 'Value' appears twice"),
    ],
)
def test_input_fault_is_one_line_and_leaves_no_tracked_run(name, content, part, project):
    if content is not None:
        (project / name).write_text(content)
    parameters = f"sensor_table={name},sensor_database=sqlite:///{name}.db"
    result = run_kedro(project, "run", "--pipelines", "sensor_ingestion", "--params", parameters)
    assert result.returncode == 1
    assert [line for line in result.stderr.splitlines() if "INFO" not in line] == [
        line for line in result.stderr.splitlines() if line.startswith("Error: sensor_readings_")
    ]
    assert part in result.stderr
    assert tracked(project) == []
    assert not (project / f"{name}.db").exists()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mysql+pyodbc://u:p@ss:1@h/d", "mysql+pyodbc://u:***@h/d"),
        (
            "mssql+pyodbc:///?odbc_connect=UID=u;PWD=x!;E=1",
            "mssql+pyodbc:///?odbc_connect=UID=u;PWD=***;E=1",
        ),
        ("sqlite:///data/a:b.db", "sqlite:///data/a:b.db"),
        ("abfs://box@account.dfs.core.windows.net/a", "abfs://box@account.dfs.core.windows.net/a"),
    ],
)
def test_passwords_are_hidden_from_tracking(text, shown):
    run_params = {"runtime_params": {"a": {"b": text}, "n": 1}}
    PasswordHooks().before_pipeline_run(run_params)
    assert run_params["runtime_params"] == {"a": {"b": shown}, "n": 1}


def test_password_in_a_parameter_is_neither_tracked_nor_shown(project):
    folder = project / "empty"
    folder.mkdir()
    url = f"sensor_captures={folder},sensor_database=mssql+pyodbc://a:canary-7f3a@127.0.0.1/x"
    given = f"{url}?driver=none"
    result = run_kedro(project, "run", "--pipelines", "sensor_ingestion", "--params", given)
    assert result.returncode == 1
    assert "canary-7f3a" not in result.stdout + result.stderr
    written = [path for path in project.rglob("*") if path.is_file()]
    assert not [path for path in written if b"canary-7f3a" in path.read_bytes()]


def test_secrets_of_environment_and_credentials_are_written_nowhere(project):
    secrets = project / "conf/local/credentials.yml"
    secrets.write_text("sensor_database: {username: canary-user, password: canary-pass}\n")
    given = {"QUARTET_SQL_PASSWORD": "canary-env", "AZURE_CLIENT_SECRET": "canary-azure"}
    results = [
        run_kedro(project, "run", "--pipelines", "sensor_ingestion", *more, environment=given)
        for more in ((), ("--params", "sensor_table=gone.csv"))
    ]
    secrets.unlink()
    assert [result.returncode for result in results] == [0, 1]
    assert "canary" not in "".join(result.stdout + result.stderr for result in results)
    written = [path for path in project.rglob("*") if path.is_file()]
    assert not [path for path in written if b"canary" in path.read_bytes()]


def test_fault_in_the_content_is_reported_once_without_advice_to_repeat(project):
    (project / "bad.csv").write_text(HEAD + "\n" + "soon,d,s,1\n" * 9)
    parameters = "sensor_table=bad.csv,sensor_database=sqlite:///bad.db"
    result = run_kedro(project, "run", "--pipelines", "sensor_ingestion", "--params", parameters)
    assert result.returncode == 1
    assert result.stderr.count("accepted 0 of 9 readings") == 1
    assert "Repeat the previous command" not in result.stderr
    train = ("run", "--pipelines", "anomaly_training", "--params")
    result = run_kedro(project, *train, "sensor_database=sqlite:///bad.db")
    assert result.stderr.count("all 9 readings were rejected") == 1
    assert "Repeat the previous command" not in result.stderr
