"""Invalid input ends in one line that says what, where and what to do; no output changes."""

import shutil

import pytest
from kedro.framework.project import settings
from omegaconf import OmegaConf

from kedro_cloud.core.errors import describe, is_user_error
from kedro_cloud.core.extras import format_missing, is_installed
from quartet.framework.context import Context
from support import ROOT, bootstrap, run_kedro
from wrong_values import CASES
from wrong_values.cases import read_error_line, read_outputs, restore
from wrong_values.parameters import VALUES

pytest_plugins = ("mariadb",)


@pytest.fixture(scope="module")
def copied(trained_workspace, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong") / "project"
    return shutil.copytree(trained_workspace, folder)


@pytest.fixture
def project(copied, trained_workspace):
    """A project in which everything has run; it is restored after each case."""
    yield copied
    restore(copied, trained_workspace)


def needs_odbc(case):
    return "+pyodbc://" in " ".join(case.arguments)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.integration if needs_odbc(case) else (), id=case.name)
        for case in CASES
    ],
)
def test_an_error_is_one_line_and_changes_no_output(project, case, request):
    if needs_odbc(case):
        request.getfixturevalue("pyodbc")
    if {"azureml", "cloud"} & set(case.arguments[:1]) and not is_installed("kedro_azureml"):
        pytest.skip(format_missing("this command", "azure"))
    if case.damage:
        case.damage(project)
    before = read_outputs(project)
    result = run_kedro(project, *case.arguments, environment=case.environment)
    line = read_error_line(result.stderr)
    for part in case.parts:
        assert part in line, line
    assert result.returncode == case.code, result.stderr
    assert "secret" not in result.stdout + result.stderr
    assert read_outputs(project) == before


@pytest.mark.parametrize(
    ("pipeline", "value", "parts"),
    [(pipeline, *value) for pipeline, values in VALUES.items() for value in values],
)
def test_an_invalid_parameter_is_rejected_before_any_node_runs(pipeline, value, parts):
    """Validated as by a run; one value is also among the cases."""
    bootstrap()
    given = OmegaConf.to_container(OmegaConf.from_dotlist([value]))
    arguments = {**settings.CONFIG_LOADER_ARGS, "runtime_params": given}
    loader = settings.CONFIG_LOADER_CLASS(str(ROOT / "conf"), env="base", **arguments)
    context = Context(ROOT, loader, "base", "quartet", None, given)
    context._pipelines_to_validate = [pipeline]
    with pytest.raises(ValueError) as caught:
        _ = context.params
    assert is_user_error(caught.value)
    for part in parts:
        assert part in describe(caught.value)


def test_every_pipeline_and_command_has_a_case(project):
    words = {word for case in CASES for word in case.arguments}
    pipelines = {folder.name for folder in (project / "src/quartet/pipelines").glob("[a-z]*")}
    assert pipelines <= words
    assert {"run", "fetch", "cloud", "azureml", "mlflow", "viz"} <= words
