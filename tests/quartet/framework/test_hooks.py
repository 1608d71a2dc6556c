"""Outputs are checked before a run; metrics, figures and errors are reported with their node."""

import matplotlib.figure
import mlflow
import plotly.graph_objects
import pytest
from kedro.framework.hooks.manager import (
    _create_hook_manager,
    _register_hooks,
    _register_hooks_entry_points,
)
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro_datasets.json import JSONDataset

from kedro_cloud.core.hooks import NoTracking
from quartet.framework.hooks import (
    ErrorContextHooks,
    PreflightHooks,
    TrackingHooks,
)


def copied(first):
    return first


NODE = Node(copied, "first", "second", name="copy")


@pytest.fixture
def catalog(tmp_path):
    return DataCatalog({"second": JSONDataset(filepath=str(tmp_path / "new/folder/second.json"))})


def test_output_folder_is_created_before_the_run(catalog, tmp_path):
    PreflightHooks().before_pipeline_run(Pipeline([NODE]), catalog)
    assert (tmp_path / "new/folder").is_dir()


def test_unwritable_output_folder_stops_the_run_before_it_starts(catalog, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(ValueError, match=r"'second': folder .*new/folder is not writable"):
        PreflightHooks().before_pipeline_run(Pipeline([NODE]), catalog)


def test_remote_outputs_are_not_checked():
    catalog = DataCatalog({"second": JSONDataset(filepath="memory://nowhere/second.json")})
    PreflightHooks().before_pipeline_run(Pipeline([NODE]), catalog)


def test_error_names_its_node_and_datasets():
    error = ValueError("no")
    node = Node(lambda first, split: None, ["first", "params:split"], "second", name="cut")
    ErrorContextHooks().on_node_error(error, node)
    assert error.__notes__ == ["node 'cut' (first)"]


def test_only_metrics_and_figures_are_tracked(run):
    hooks = TrackingHooks()
    hooks.after_dataset_saved("training_metrics", {"test_accuracy": 0.9})
    hooks.after_dataset_saved("sweep_figure", matplotlib.figure.Figure())
    hooks.after_dataset_saved("sweep_interactive_figure", plotly.graph_objects.Figure())
    hooks.after_dataset_saved("facts", {"not_a_metric": 1.0})
    client = mlflow.MlflowClient()
    assert client.get_run(run.info.run_id).data.metrics == {"training/test_accuracy": 0.9}
    figures = [entry.path for entry in client.list_artifacts(run.info.run_id, "figures")]
    assert figures == ["figures/sweep_figure.png"]


def test_nothing_is_tracked_without_an_active_run():
    assert mlflow.active_run() is None
    TrackingHooks().after_dataset_saved("training_metrics", {"test_accuracy": 0.9})
    assert mlflow.active_run() is None


def test_only_rank_zero_tracks(run, monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    TrackingHooks().after_dataset_saved("training_metrics", {"test_accuracy": 0.9})
    assert mlflow.MlflowClient().get_run(run.info.run_id).data.metrics == {}


@pytest.mark.parametrize(("hooks", "registered"), [([], True), ([NoTracking()], False)])
def test_tracking_plugin_can_be_disabled(hooks, registered):
    manager = _create_hook_manager()
    _register_hooks(manager, hooks)
    _register_hooks_entry_points(manager, ())
    plugins = {type(plugin).__name__ for plugin in manager.get_plugins()}
    assert ("MlflowHook" in plugins) == registered
    assert "StartHooks" in plugins
