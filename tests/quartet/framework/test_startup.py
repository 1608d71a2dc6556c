"""Commands that need neither PyTorch nor MLflow must not wait for them."""

import gc
import subprocess
import sys

import pytest

from kedro_cloud.core import startup
from stepping import make_project
from support import ROOT, clean_environment, run_kedro

HEAVY = {"torch", "mlflow", "azure.ai.ml", "sklearn", "matplotlib", "pandas.core", "lightgbm"}


@pytest.mark.parametrize("command", [["--version"], ["registry", "list"], ["run", "--help"]])
def test_quick_commands_import_nothing_heavy(command):
    code = (
        "import sys\n"
        f"sys.argv = ['kedro', *{command!r}]\n"
        "from kedro.framework.cli.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code\n"
        f"print('IMPORTED', sorted({HEAVY!r} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "IMPORTED []"


def test_the_plugins_commands_are_still_there():
    for command in (
        ["mlflow", "ui", "--help"],
        ["azureml", "compile", "--help"],
        ["viz", "--help"],
    ):
        result = run_kedro(ROOT, *command)
        assert result.returncode == 0, result.stderr
        assert "Usage" in result.stdout
    listed = run_kedro(ROOT, "--help", fresh=True)
    for command in ("mlflow", "azureml", "viz", "fetch", "registry"):
        assert f"  {command} " in listed.stdout or f"  {command}\n" in listed.stdout
    assert listed.stderr == ""


def test_a_plugin_the_project_does_not_know_is_loaded_as_ever(monkeypatch):
    from importlib.metadata import EntryPoint

    from kedro.framework.cli import cli as kedro_cli

    from quartet.framework import plugins

    loaded = object()
    monkeypatch.setattr(kedro_cli, "load_entry_points", lambda name: [loaded])
    stranger = EntryPoint("x", "stranger.cli:commands", "kedro.project_commands")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [stranger])
    plugins.defer_heavy_plugins()
    assert kedro_cli.load_entry_points("project") == [loaded]
    assert kedro_cli.load_entry_points("global") == [loaded]


STEP = """
import os, sys
from kedro_cloud.core import startup
{before}
def at_the_first_node(self, dataset_name=None):
    from kedro.io import DataCatalog
    import gc
    catalogs = [each for each in gc.get_objects() if type(each).__name__.startswith("DataCatalog")]
    opened = max((sorted(each._datasets) for each in catalogs), key=len)
    print("IMPORTED", sorted({heavy!r} & sys.modules.keys()))
    print("OPENED", [name for name in opened if not name.startswith("param")])
    sys.stdout.flush()
    os._exit(0)
startup.resume_garbage_collection = lambda: at_the_first_node(None)
sys.argv = ["kedro", "azureml", "-e", "azureml", "execute", "--pipeline=anomaly_scoring",
            "--node=claim_windows"]
from kedro.framework.cli import cli
{after}
cli.main()
"""
HEAVY_FOR_STEPS = {"torch", "sklearn", "matplotlib", "lightgbm", "optuna"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


def start_step(project, heavy, before="", after="", environment=None):
    """What a step has imported, and which datasets it has opened, when its first node begins."""
    result = subprocess.run(
        [sys.executable, "-c", STEP.format(heavy=heavy, before=before, after=after)],
        cwd=project,
        env={**clean_environment(), "KEDRO_AZURE_RUNNER_CONFIG": "", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-2:]


def test_a_step_starts_without_what_its_nodes_do_not_need(project):
    imported, opened = start_step(project, HEAVY_FOR_STEPS)
    assert imported == "IMPORTED []"
    assert opened == "OPENED ['new_windows', 'scoring_claim', 'sensor_models', 'sensor_windows']"


def test_ranks_that_track_nothing_start_without_the_tracker_where_quartet_is_not_installed(project):
    """On a cluster its code is a folder, and no entry point makes Kedro load plugins late."""
    imported, _ = start_step(
        project,
        HEAVY_FOR_STEPS | {"kedro_mlflow", "mlflow"},
        after="cli._init_plugins = lambda: None",
        environment={"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"},
    )
    assert imported == "IMPORTED []"


def test_the_collector_rests_until_the_first_node_begins():
    try:
        with startup.paused_garbage_collection():
            assert not gc.isenabled()
            startup.StartHooks().before_dataset_loaded()
            assert gc.isenabled()
            assert gc.get_freeze_count() > 0
            startup.StartHooks().before_node_run()
    finally:
        gc.unfreeze()
    assert gc.isenabled()


def test_the_collector_works_again_after_a_run_that_never_began():
    try:
        with pytest.raises(ValueError, match="no"), startup.paused_garbage_collection():
            raise ValueError("no")
    finally:
        gc.unfreeze()
    assert gc.isenabled()


def test_a_collector_that_someone_has_put_to_rest_is_left_at_rest():
    gc.disable()
    try:
        with startup.paused_garbage_collection():
            startup.StartHooks().before_node_run()
        assert not gc.isenabled()
    finally:
        gc.enable()
