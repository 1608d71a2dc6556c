"""Runs are found by single parameters, and their data, losses and trials are recorded."""

import hashlib
import json
import sys

import mlflow
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro_datasets.pandas import CSVDataset
from kedro_datasets.text import TextDataset
from pydantic import BaseModel

from quartet.framework.config_loader import name_experiment
from quartet.framework.hooks import TrackingHooks
from quartet.framework.tracking import inputs, tables
from quartet.framework.tracking.parameters import (
    MAX_PER_CALL,
    flatten_parameters,
    hide_passwords,
    log_parameters,
)
from quartet.pipeline_registry import SCENARIOS
from support import ROOT, bootstrap, run_program


class Training(BaseModel):
    epochs: int = 10
    rates: tuple[float, ...] = (0.5, 1.0)
    verify: bool = True
    optional: int | None = None
    address: str = "mssql://me:secret@host/base"


def get_run(run):
    return mlflow.MlflowClient().get_run(run.info.run_id)


def get_history(run, metric):
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, metric)
    return [(point.step, point.value) for point in history]


def list_child_runs(run):
    where = f"tags.mlflow.parentRunId = '{run.info.run_id}'"
    found = mlflow.MlflowClient().search_runs([run.info.experiment_id], where)
    return {child.info.run_name: child for child in found}


def test_parameters_are_flat_and_written_as_on_the_command_line():
    assert flatten_parameters({"training": Training(), "seed": 3, "names": {"a b:c": {}}}) == {
        "training.epochs": "10",
        "training.rates": "[0.5, 1.0]",
        "training.verify": "true",
        "training.optional": "null",
        "training.address": "mssql://me:***@host/base",
        "seed": "3",
        "names.a b_c": "{}",
    }


def test_a_value_is_never_longer_than_azure_ml_accepts():
    assert flatten_parameters({"text": "a" * 500})["text"] == "a" * 500
    assert flatten_parameters({"text": "a" * 501})["text"] == "a" * 499 + "…"


def test_more_parameters_than_one_call_accepts_are_logged(run):
    flat = {f"p{index}": str(index) for index in range(2 * MAX_PER_CALL + 1)}
    log_parameters(flat)
    assert get_run(run).data.params == flat


def run_node(hooks, node, catalog, values):
    """Call the hook of a node as Kedro does; return what other hooks see of its inputs."""
    seen = dict(values)
    complete(hooks.before_node_run(node, catalog, seen))
    return seen


def complete(hook):
    """Run a wrapper to its end, as Kedro does around the other hooks."""
    next(hook)
    with pytest.raises(StopIteration):
        next(hook)


def start(hooks, catalog):
    complete(hooks.before_pipeline_run(PIPELINE, catalog))


@pytest.fixture
def catalog(tmp_path):
    raw = {"kedro-viz": {"layer": "raw"}}
    (tmp_path / "table.csv").write_text("a,b\n1,x\n2,y\n")
    (tmp_path / "text.txt").write_text("hello")
    table = CSVDataset(filepath=str(tmp_path / "table.csv"), metadata=raw)
    text = TextDataset(filepath=str(tmp_path / "text.txt"), metadata=raw)
    reports = {
        "history": MemoryDataset(metadata={"quartet": {"steps": "epoch"}}),
        "trials": MemoryDataset(metadata={"quartet": {"trials": ["score", "seconds"]}}),
        "plain": MemoryDataset(),
    }
    return DataCatalog({"table": table, "text": text, **reports})


PIPELINE = Pipeline(
    [
        Node(
            lambda table, text, group: ("history", "trials"),
            ["table", "text", "params:training"],
            ["history", "trials"],
            name="train",
        )
    ]
)


def test_a_run_is_found_by_one_parameter_of_a_node(run, catalog):
    hooks = TrackingHooks()
    start(hooks, catalog)
    values = {"table": catalog.load("table"), "text": "hello", "params:training": Training()}
    seen = run_node(hooks, PIPELINE.nodes[0], catalog, values)
    assert set(seen) == {"table", "text"}  # kedro-mlflow logs none of them again
    found = mlflow.MlflowClient().search_runs(
        [run.info.experiment_id], "params.`training.epochs` = '10'"
    )
    assert [each.info.run_id for each in found] == [run.info.run_id]


def test_raw_data_is_recorded_with_the_checksum_of_its_file(run, catalog, tmp_path):
    hooks = TrackingHooks()
    start(hooks, catalog)
    values = {"table": catalog.load("table"), "text": "hello", "params:training": Training()}
    for _ in range(2):  # several nodes read the same data
        run_node(hooks, PIPELINE.nodes[0], catalog, values)
    recorded = {each.dataset.name: each.dataset for each in get_run(run).inputs.dataset_inputs}
    digest = hashlib.sha256((tmp_path / "table.csv").read_bytes()).hexdigest()
    assert recorded["table"].digest == digest[:36]
    assert json.loads(recorded["table"].profile)["num_rows"] == 2
    assert "table.csv" in recorded["table"].source
    assert recorded["text"].digest != recorded["table"].digest
    assert len(recorded) == 2


def test_the_digest_of_a_folder_changes_with_its_files(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/a.bin").write_bytes(b"123")
    before = inputs.compute_digest(tmp_path)
    assert inputs.compute_digest(tmp_path) == before
    (tmp_path / "inner/a.bin").write_bytes(b"124")
    changed = inputs.compute_digest(tmp_path)
    monkeypatch.setattr(inputs, "MAX_BYTES", 2)  # of more, names and sizes count
    large = inputs.compute_digest(tmp_path)
    (tmp_path / "inner/a.bin").write_bytes(b"125")
    assert inputs.compute_digest(tmp_path) == large
    (tmp_path / "inner/a.bin").rename(tmp_path / "inner/b.bin")
    assert len({before, changed, large, inputs.compute_digest(tmp_path)}) == 4


def test_data_given_in_another_form_is_recorded(run, tmp_path):
    """The catalog expects a file in a folder, and the user has named one file instead."""
    (tmp_path / "all.csv").write_text("a\n1\n")
    dataset = CSVDataset(filepath=str(tmp_path / "all.csv/orig.csv"))
    inputs.log_input("questions", dataset, ["a question"])
    (recorded,) = get_run(run).inputs.dataset_inputs
    assert json.loads(recorded.dataset.source)["tags"]["path"] == str(tmp_path / "all.csv")


def test_missing_or_unreadable_data_is_not_recorded_and_no_error(run, tmp_path, monkeypatch):
    (tmp_path / "all.csv").write_text("a")
    dataset = CSVDataset(filepath=str(tmp_path / "all.csv"))
    inputs.log_input("optional", dataset, None)

    def fail(path):
        raise PermissionError(13, "denied", str(path))

    monkeypatch.setattr(inputs, "compute_digest", fail)
    inputs.log_input("secret", dataset, "a")
    assert get_run(run).inputs.dataset_inputs == []


def test_many_steps_are_logged(run):
    history = pd.DataFrame({"step": range(250), "loss": range(250), "rate": range(250)})
    tables.log_steps("history", history, "step")
    assert get_history(run, "history/loss") == [(step, step) for step in range(250)]


def test_losses_are_logged_by_epoch(run, catalog):
    hooks = TrackingHooks()
    start(hooks, catalog)
    history = pd.DataFrame({"epoch": [1, 2], "loss": [0.5, 0.25], "note": ["a", "b"]})
    hooks.after_dataset_saved("history", history)
    hooks.after_dataset_saved("plain", history)
    assert get_history(run, "history/loss") == [(1, 0.5), (2, 0.25)]
    assert set(get_run(run).data.metrics) == {"history/loss"}


TRIALS = pd.DataFrame(
    {"rate": [0.1, 0.2, 0.3], "score": [0.5, None, 0.4], "seconds": [1.0, 2.0, 3.0]}
)


def test_trials_are_logged_by_index_and_as_child_runs(run, catalog):
    hooks = TrackingHooks()
    start(hooks, catalog)
    hooks.after_dataset_saved("trials", TRIALS)
    assert get_history(run, "trials/score") == [(0, 0.5), (2, 0.4)]
    assert get_history(run, "trials/best_score") == [(0, 0.5), (2, 0.5)]
    children = list_child_runs(run)
    assert set(children) == {"trials 0", "trials 2"}
    assert children["trials 2"].data.params == {"rate": "0.3"}
    assert children["trials 2"].data.metrics == {"score": 0.4, "seconds": 3.0}
    assert children["trials 2"].info.status == "FINISHED"
    assert mlflow.active_run().info.run_id == run.info.run_id


def test_only_the_best_of_many_trials_become_child_runs(run, monkeypatch):
    monkeypatch.setattr(tables, "MAX_TRIAL_RUNS", 1)
    tables.log_trials("trials", TRIALS, ["score"], as_runs=True)
    assert set(list_child_runs(run)) == {"trials 0"}


def test_a_study_without_trials_is_logged_as_nothing(run):
    tables.log_trials("trials", TRIALS[:0], ["score"], as_runs=True)
    tables.log_trials("trials", pd.DataFrame(), ["score"], as_runs=True)
    # A data set without duplicates, and a study of which every trial failed.
    for scores in ([], [None, None]):
        failed = pd.DataFrame({"score": scores}, dtype=object)
        tables.log_trials("trials", failed, ["score"], as_runs=True)
    assert get_run(run).data.metrics == {}


@pytest.mark.parametrize(
    ("error", "cause"),
    [(FileNotFoundError("labels.csv: not found"), "input"), (KeyError("x"), "program")],
)
def test_a_failed_run_says_whether_its_input_is_the_cause(run, error, cause):
    TrackingHooks().on_pipeline_error(error)
    tags = get_run(run).data.tags
    assert tags["failure"] == cause
    assert str(error.args[0]) in tags["mlflow.note.content"]


def test_each_pipeline_belongs_to_a_scenario():
    from kedro.framework.project import pipelines

    bootstrap()
    own = {path.name for path in (ROOT / "src/quartet/pipelines").iterdir() if path.is_dir()}
    assert own - {"__pycache__", "sample_data"} == set(SCENARIOS) <= set(pipelines)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["one"], "mine-first"),
        (["one", "two"], "mine-first"),
        (["one", "three"], "mine"),
        (["unknown"], "mine"),
        (["one", "unknown"], "mine"),
        (None, "mine"),
    ],
)
def test_runs_of_one_scenario_share_an_experiment(names, expected):
    from kedro.framework.project import pipelines

    pipelines.set_requested(names)
    try:
        scenarios = {"one": "first", "two": "first", "three": "second"}
        assert name_experiment(scenarios, "mine") == expected
    finally:
        pipelines.set_requested(None)


@pytest.mark.parametrize("name", ["a//b", "../a", "./a", "a/", "/a", "..", "", "a/../b", "a" * 300])
def test_any_name_is_logged(run, name):
    log_parameters(flatten_parameters({name: 1, "group": {name: 2}}))
    assert sorted(get_run(run).data.params.values()) == ["1", "2"]


@pytest.mark.parametrize(
    "value",
    [
        ["mssql://me:secret@host/base", {"address": ["Server=host;PWD=secret"]}],
        "Driver=x;PWD={a;secret}}b};Encrypt=yes",
        "Server=host;Password = 'a;secret';Encrypt=yes",
        'Server=host;Password="a;secret";Encrypt=yes',
        "https://account.blob.core.windows.net/videos?sv=2024&sig=secret%3D",
    ],
)
def test_passwords_are_hidden_wherever_they_are(value):
    hidden = json.dumps(hide_passwords({"a": value}))
    assert "***" in hidden
    assert "secret" not in hidden
    assert ("Encrypt=yes" in hidden) == ("Encrypt=yes" in value)


LIMITED = """
import os, resource, sys
import mlflow
import quartet.settings
from kedro_cloud.core.errors import describe, is_user_error
mlflow.set_tracking_uri(sys.argv[1])
mlflow.search_experiments()
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    mlflow.create_experiment("limited")
except Exception as error:
    assert is_user_error(error)
    print(describe(error))
"""


def test_a_limit_of_file_sizes_ends_in_one_line(experiment):
    """MLflow would also log a traceback of forty lines."""
    result = run_program(sys.executable, "-c", LIMITED, mlflow.get_tracking_uri())
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("a SQLite database, such as MLflow's, cannot be read or")
    assert "(disk I/O error); check free disk space and the limit of file sizes" in result.stdout
    assert result.stdout.count("\n") == 1
