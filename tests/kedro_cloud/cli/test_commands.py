"""A fault in a command line must be told in one line, and before anything is asked of Azure."""

import contextlib

import pytest
from click.testing import CliRunner

from kedro_cloud.cli.azureml import azureml
from support import ROOT, bootstrap, run_kedro

METADATA = bootstrap()


@pytest.fixture
def invoke(tmp_path):
    """Runs `kedro azureml ARGUMENTS` in the project."""

    def run(*arguments):
        with contextlib.chdir(ROOT):
            return CliRunner().invoke(azureml, arguments, obj=METADATA)

    return run


def error_of(result):
    (line,) = (line for line in result.output.splitlines() if line.startswith("Error: "))
    assert result.exit_code == 1
    return line


@pytest.mark.parametrize("command", [["compile", "-o", "/dev/null"], ["run"]])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-p", "faq_tunning"], "there is no pipeline 'faq_tunning'; did you mean 'faq_tuning'?"),
        (["-p", "faq_tuning", "--params", "seed=1"], "--params is no JSON (Expecting value"),
        (["-p", "faq_tuning", "--params", "[1]"], "--params takes a JSON object, not [1]"),
        (
            ["-p", "style_training", "--params", '{"painting_title": "L\'Étoile"}'],
            "parameter 'painting_title': kedro-azureml cannot hand an apostrophe",
        ),
    ],
)
def test_a_wrong_command_line_ends_in_one_line(invoke, command, arguments, said):
    assert said in error_of(invoke(*command, *arguments))


def test_a_parameter_that_no_pipeline_knows_is_refused(invoke):
    arguments = ("-p", "faq_tuning", "-o", "/dev/null", "--params", '{"step_node": {"a": 1}}')
    assert "parameter 'step_node.a' does not exist; did you mean" in error_of(
        invoke("compile", *arguments)
    )


def test_a_wrong_variable_for_steps_is_refused(invoke):
    result = invoke("compile", "-p", "faq_matching", "-o", "/dev/null", "--env-var", "no sign")
    assert "--env-var: Invalid env-var: no sign, expected format: KEY=VALUE" in error_of(result)


def test_a_shared_step_without_a_number_of_machines_is_told(workspace):
    (workspace / "conf/azureml/parameters.yml").write_text("step_nodes: {stylize_segments: 2}\n")
    command = ("azureml", "compile", "-p", "faq_tuning", "-o", "job.yml")
    result = run_kedro(workspace, *command)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: step 'tune_ranker' runs on several machines: say in ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [["compile", "-o", "/dev/null"], ["run"]])
@pytest.mark.parametrize("environment", ["base", "local"])
def test_an_environment_that_is_not_for_azure_is_refused(invoke, command, environment):
    """The plugin would ask for the key of a storage account, and write it into every step."""
    result = invoke("-e", environment, *command, "-p", "faq_matching")
    assert f"environment '{environment}' is not for Azure ML" in error_of(result)


def test_an_environment_that_is_not_there_is_told(invoke):
    result = invoke("-e", "azurml", "compile", "-p", "faq_matching", "-o", "/dev/null")
    assert "there is no environment 'azurml'" in error_of(result)
    assert "/conf/azurml; see the spelling of -e" in error_of(result)


def test_without_an_environment_that_of_azure_is_meant(invoke, monkeypatch, tmp_path):
    """The plugin would take `local`, prompt, and make a job that cannot run."""
    monkeypatch.delenv("KEDRO_ENV", raising=False)
    file = tmp_path / "job.yml"
    assert invoke("compile", "-p", "faq_matching", "-o", str(file)).exit_code == 0
    assert "kedro azureml -e azureml execute" in file.read_text()


def test_compiling_prints_what_a_person_reads_and_leaves_nothing_else(workspace):
    before = {path for path in workspace.rglob("*") if path.is_file()}
    result = run_kedro(workspace, "azureml", "compile", "-p", "mnist_training", "-o", "job.yml")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "Compiled pipeline to job.yml\n"
    left = {path for path in workspace.rglob("*") if path.is_file()} - before
    assert {path.name for path in left if path.suffix != ".pyc"} == {"job.yml"}


def test_the_plugins_own_commands_are_all_there():
    from kedro_azureml.cli import azureml_group

    assert azureml.commands.keys() == azureml_group.commands.keys()
    for name, command in azureml.commands.items():
        assert command.params == azureml_group.commands[name].params
