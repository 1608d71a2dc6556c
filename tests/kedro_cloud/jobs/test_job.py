"""A job must be read as Azure ML would, or the rehearsal proves nothing."""

import pytest
import yaml
from azure.ai.ml import Input, MpiDistribution, Output, PyTorchDistribution, command
from azure.ai.ml.dsl import pipeline

from kedro_cloud.jobs.job import Job, Source, Step, read_job

DIAMOND = Job(
    "diamond",
    "tests",
    (
        Step("join", "true", {"l": Source("left", "o"), "r": Source("right", "o")}),
        Step("left", "true", {"i": Source("first", "o")}, ("o",)),
        Step("right", "true", {"i": Source("first", "o")}, ("o",)),
        Step("first", "true", outputs=("o",)),
        Step("alone", "true"),
    ),
)


def compile_two_steps(**options) -> dict:
    """Return the document of two connected commands as the Azure SDK writes it."""

    def make_command(name: str, kind: str, **more):
        return command(
            name=name,
            display_name=name,
            command="cp ${{inputs.a}} ${{outputs.made}} # ${{inputs.a}}",
            environment="azureml:quartet:7",
            compute="cpu-cluster",
            environment_variables={"KEDRO_AZURE_RUNNER_CONFIG": ""},
            inputs={"a": Input(type=kind)},
            outputs={"made": Output(type="uri_folder")},
            **more,
        )

    first = make_command("first", "string")
    second = make_command("second", "uri_folder", **options)

    @pipeline(name="two")
    def two():
        one = first(a="params:seed")
        other = second(a=one.outputs.made)
        return {"made": other.outputs.made}

    return yaml.safe_load(str(two()))


def test_a_job_written_by_the_sdk_is_read():
    distribution = MpiDistribution(process_count_per_instance=2)
    document = compile_two_steps(instance_count=3, distribution=distribution)
    one, other = read_job(document, "two", "tests").steps
    assert one.inputs == {"a": "params:seed"}
    assert other.inputs == {"a": Source(one.name, "made")}
    assert one.outputs == other.outputs == ("made",)
    assert one.compute == "cpu-cluster"
    assert one.environment_variables == {"KEDRO_AZURE_RUNNER_CONFIG": ""}
    assert (one.mpi, one.ranks) == (False, 1)
    assert (other.mpi, other.instances, other.processes_per_instance) == (True, 3, 2)
    assert other.ranks == 6


def test_a_distribution_other_than_mpi_is_rejected():
    with pytest.raises(ValueError, match="distribution pytorch is not supported; use MPI"):
        read_job(
            compile_two_steps(instance_count=2, distribution=PyTorchDistribution()), "j", "tests"
        )


def test_registered_data_is_rejected_with_its_name():
    document = compile_two_steps()
    step = next(iter(document["jobs"].values()))
    step["inputs"]["a"] = {"type": "uri_folder", "path": "azureml:mnist@latest"}
    with pytest.raises(ValueError, match="azureml:mnist@latest, which exists in a workspace only"):
        read_job(document, "j", "tests")


def test_a_pipeline_without_nodes_is_rejected():
    with pytest.raises(ValueError, match="pipeline 'empty' has no nodes"):
        read_job({"type": "pipeline", "jobs": {}}, "empty", "tests")


def test_paths_are_quoted_and_texts_inserted_unchanged():
    inputs = {"a": Source("x", "o"), "t": "two words"}
    step = Step("s", "cat ${{inputs.a}} > ${{outputs.o}}; echo ${{inputs.t}}", inputs, ("o",))
    line = step.format_command({"a": "/my data/it's"}, {"o": "/out put"})
    assert line == """cat '/my data/it'"'"'s' > '/out put'; echo two words"""


def test_dependants_are_direct_and_indirect():
    assert DIAMOND.dependants("first") == {"left", "right", "join"}
    assert DIAMOND.dependants("left") == {"join"}
    assert DIAMOND.dependants("alone") == set()


@pytest.mark.parametrize(
    ("seconds", "path"),
    [
        ({"first": 1, "left": 2, "right": 3, "join": 1, "alone": 4}, ("first", "right", "join")),
        ({"first": 1, "left": 3, "right": 2, "join": 1, "alone": 4}, ("first", "left", "join")),
        ({"first": 1, "left": 2, "right": 3, "join": 1, "alone": 6}, ("alone",)),
        ({"first": 2, "left": 1}, ("first", "left")),
        ({}, ()),
    ],
)
def test_critical_path_is_the_longest_chain(seconds, path):
    assert DIAMOND.critical_path(seconds) == path
