"""Commands that need neither PyTorch nor MLflow must not wait for them."""

import subprocess
import sys

import pytest

from support import ROOT, run_kedro

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
    listed = run_kedro(ROOT, "--help").stdout
    for command in ("mlflow", "azureml", "viz", "fetch", "registry"):
        assert f"  {command} " in listed or f"  {command}\n" in listed


def test_a_plugin_the_project_does_not_know_is_loaded_as_ever(monkeypatch):
    from importlib.metadata import EntryPoint

    from kedro.framework.cli import cli as kedro_cli

    from quartet import plugins

    loaded = object()
    monkeypatch.setattr(kedro_cli, "load_entry_points", lambda name: [loaded])
    stranger = EntryPoint("x", "stranger.cli:commands", "kedro.project_commands")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [stranger])
    plugins.defer_heavy_plugins()
    assert kedro_cli.load_entry_points("project") == [loaded]
    assert kedro_cli.load_entry_points("global") == [loaded]
