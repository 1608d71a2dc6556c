"""Commands and steps import only the libraries that they need."""

import gc
import sys

import pytest

from kedro_cloud.core import startup
from stepping import make_project
from support import ROOT, clean_environment, needs_azure, run_kedro, run_program

HEAVY = {"torch", "mlflow", "azure.ai.ml", "sklearn", "matplotlib", "pandas.core", "lightgbm"}
HEAVY |= {"plotly"}


@pytest.mark.parametrize("command", [["--version"], ["registry", "list"], ["run", "--help"]])
def test_quick_commands_import_no_heavy_libraries(command):
    code = (
        "import sys\n"
        f"sys.argv = ['kedro', *{command!r}]\n"
        "from kedro.framework.cli.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code\n"
        f"print('IMPORTED', sorted({HEAVY!r} & sys.modules.keys()))"
    )
    result = run_program(sys.executable, "-c", code, folder=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "IMPORTED []"


@needs_azure
def test_commands_of_plugins_are_available():
    result = run_kedro(ROOT, "mlflow", "ui", "--help")
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout
    listed = run_kedro(ROOT, "--help", fresh=True)
    for command in ("mlflow", "azureml", "viz", "fetch", "registry"):
        assert f"  {command} " in listed.stdout or f"  {command}\n" in listed.stdout
    assert listed.stderr == ""


def test_unknown_plugin_is_loaded_immediately(monkeypatch):
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
def report_imports(self, dataset_name=None):
    from kedro.io import DataCatalog
    import gc
    catalogs = [each for each in gc.get_objects() if type(each).__name__.startswith("DataCatalog")]
    opened = max((sorted(each._datasets) for each in catalogs), key=len)
    print("IMPORTED", sorted({heavy!r} & sys.modules.keys()))
    print("OPENED", [name for name in opened if not name.startswith("param")])
    sys.stdout.flush()
    os._exit(0)
startup.resume_garbage_collection = lambda: report_imports(None)
sys.argv = ["kedro", "azureml", "-e", "azureml", "execute", "--pipeline=anomaly_scoring",
            "--node=claim_windows"]
from kedro.framework.cli import cli
{after}
cli.main()
"""
HEAVY_FOR_STEPS = {"torch", "sklearn", "matplotlib", "plotly", "lightgbm", "optuna"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


def start_step(project, heavy, after="", environment=None):
    """Return the imported libraries and opened datasets of a step when its first node begins."""
    code = STEP.format(heavy=heavy, after=after)
    variables = {**clean_environment(), "KEDRO_AZURE_RUNNER_CONFIG": "", **(environment or {})}
    result = run_program(sys.executable, "-c", code, folder=project, environment=variables)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-2:]


@needs_azure
def test_step_imports_and_opens_only_what_its_nodes_need(project):
    imported, opened = start_step(project, HEAVY_FOR_STEPS)
    assert imported == "IMPORTED []"
    assert opened == "OPENED ['new_windows', 'scoring_claim', 'sensor_models', 'sensor_windows']"


@needs_azure
def test_other_ranks_do_not_import_mlflow_on_a_cluster(project):
    """On a cluster its code is a folder, and no entry point makes Kedro load plugins late."""
    imported, _ = start_step(
        project,
        HEAVY_FOR_STEPS | {"kedro_mlflow", "mlflow"},
        after="cli._init_plugins = lambda: None",
        environment={"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"},
    )
    assert imported == "IMPORTED []"


def test_garbage_collection_is_paused_until_the_first_node():
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


def test_garbage_collection_resumes_after_a_failed_start():
    try:
        with pytest.raises(ValueError, match="no"), startup.paused_garbage_collection():
            raise ValueError("no")
    finally:
        gc.unfreeze()
    assert gc.isenabled()
