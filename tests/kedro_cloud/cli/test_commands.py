"""Invalid command lines must be reported in one line, before any request to Azure."""

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
    ("arguments", "message"),
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
def test_an_invalid_command_line_is_reported_in_one_line(run, command, arguments, message):
    assert message in error_of(run(*command, *arguments))


@pytest.mark.parametrize("command", [COMPILE, ("run", "-p", PIPELINE)])
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        # kedro-azureml would prompt for the key of a storage account, and write it to each step.
        ("base", "environment 'base' is not for Azure ML"),
        ("local", "environment 'local' is not for Azure ML"),
        ("azurml", "/conf/azurml; check the spelling of -e"),
    ],
)
def test_an_environment_without_azure_ml_is_rejected(run, command, environment, message):
    assert message in error_of(run("-e", environment, *command))


def test_an_invalid_variable_for_steps_is_rejected(run):
    message = "--env-var: Invalid env-var: no sign, expected format: KEY=VALUE"
    assert message in error_of(run(*COMPILE, "--env-var", "no sign"))


def test_a_distributed_step_without_a_number_of_machines_is_reported(run, project):
    write_files(project, {"conf/azureml/parameters.yml": "step_nodes: {another: 2}\n"})
    message = "Error: step 'search' is distributed: set the number of machines"
    assert error_of(run(*COMPILE)).startswith(message)


def test_compile_uses_the_environment_azureml_and_writes_the_job_only(project):
    """The default of kedro-azureml is `local`, which prompts and writes a job that cannot run."""
    before = {path for path in project.rglob("*") if path.is_file()}
    result = run_kedro(project, "azureml", "compile", "-p", PIPELINE, "-o", "job.yml")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "Compiled pipeline to job.yml\n"
    written = {path for path in project.rglob("*") if path.is_file()} - before
    assert {path.name for path in written if path.suffix != ".pyc"} == {"job.yml"}
    assert "kedro azureml -e azureml execute" in (project / "job.yml").read_text()


def test_all_commands_of_kedro_azureml_are_available():
    from kedro_azureml.cli import azureml_group

    assert azureml.commands.keys() == azureml_group.commands.keys()
    for name, command in azureml.commands.items():
        assert command.params == azureml_group.commands[name].params
