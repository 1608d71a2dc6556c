"""Whatever is wrong, the user reads in one line what, where, and what to do; nothing is lost."""

import shutil

import pytest

from refusals import outputs, restore, told
from support import run_kedro
from wrong_values import CASES

pytest_plugins = ("mariadb",)


@pytest.fixture(scope="module")
def copied(trained_workspace, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong") / "project"
    return shutil.copytree(trained_workspace, folder)


@pytest.fixture
def project(copied, trained_workspace):
    """A project in which everything has run; each case damages it, then it is mended."""
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
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_changed(project, case, request):
    if needs_odbc(case):
        request.getfixturevalue("pyodbc")
    if case.damage:
        case.damage(project)
    before = outputs(project)
    result = run_kedro(project, *case.arguments, environment=case.environment)
    line = told(result.stderr)
    for part in case.parts:
        assert part in line, line
    assert result.returncode == case.code, result.stderr
    assert outputs(project) == before


def test_every_pipeline_and_command_is_among_them(project):
    said = {word for case in CASES for word in case.arguments}
    pipelines = {folder.name for folder in (project / "src/quartet/pipelines").glob("[a-z]*")}
    assert pipelines <= said
    assert {"run", "fetch", "cloud", "azureml", "mlflow", "viz"} <= said


def test_no_two_cases_are_called_the_same():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 60
