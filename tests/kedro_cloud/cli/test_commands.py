"""A fault in a command line must be told in one line, and before anything is asked of Azure."""

from functools import partial

import pytest

from kedro_cloud.cli.azureml import azureml
from plain import PIPELINE, write_files
from published import call, error_of
from support import run_kedro

COMPILE = ("compile", "-o", "/dev/null", "-p", PIPELINE)


@pytest.fixture
def run(project, plain_pipelines):
    """Run `kedro azureml` in the plain project."""
    return partial(call, project, azureml)


@pytest.mark.parametrize("command", [("compile", "-o", "/dev/null"), ("run",)])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-p", "shutles"), "pipeline 'shutles' does not exist; did you mean 'shuttles'?"),
        (("-p", PIPELINE, "--params", "seed=1"), "--params is not JSON (Expecting value"),
        (("-p", PIPELINE, "--params", "[1]"), "--params expects a JSON object, not [1]"),
        (
            ("-p", PIPELINE, "--params", '{"title": "L\'Étoile"}'),
            "parameter 'title': kedro-azureml cannot pass an apostrophe",
        ),
    ],
)
def test_a_wrong_command_line_ends_in_one_line(run, command, arguments, said):
    assert said in error_of(run(*command, *arguments))


@pytest.mark.parametrize("command", [COMPILE, ("run", "-p", PIPELINE)])
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        # The plugin would ask for the key of a storage account, and write it into every step.
        ("base", "environment 'base' is not for Azure ML"),
        ("local", "environment 'local' is not for Azure ML"),
        ("azurml", "/conf/azurml; check the spelling of -e"),
    ],
)
def test_an_environment_that_is_not_for_azure_is_refused(run, command, environment, said):
    assert said in error_of(run("-e", environment, *command))


def test_a_wrong_variable_for_steps_is_refused(run):
    said = "--env-var: Invalid env-var: no sign, expected format: KEY=VALUE"
    assert said in error_of(run(*COMPILE, "--env-var", "no sign"))


def test_a_shared_step_without_a_number_of_machines_is_told(run, project):
    write_files(project, {"conf/azureml/parameters.yml": "step_nodes: {another: 2}\n"})
    said = "Error: step 'search' is distributed: set the number of machines"
    assert error_of(run(*COMPILE)).startswith(said)


def test_compiling_for_azure_unless_told_otherwise_leaves_nothing_but_the_job(project):
    """The plugin would take `local`, prompt, and make a job that cannot run."""
    before = {path for path in project.rglob("*") if path.is_file()}
    result = run_kedro(project, "azureml", "compile", "-p", PIPELINE, "-o", "job.yml")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "Compiled pipeline to job.yml\n"
    left = {path for path in project.rglob("*") if path.is_file()} - before
    assert {path.name for path in left if path.suffix != ".pyc"} == {"job.yml"}
    assert "kedro azureml -e azureml execute" in (project / "job.yml").read_text()


def test_the_plugins_own_commands_are_all_there():
    from kedro_azureml.cli import azureml_group

    assert azureml.commands.keys() == azureml_group.commands.keys()
    for name, command in azureml.commands.items():
        assert command.params == azureml_group.commands[name].params
