"""Every pipeline must become a job with connected steps, each on the right cluster."""

import contextlib
import functools
import re

import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.project import pipelines

from kedro_cloud.cli.azureml import azureml
from kedro_cloud.core import ranks as distributed
from kedro_cloud.jobs import registry
from kedro_cloud.jobs.steps import Steps
from support import ROOT, bootstrap, read_configuration

PIPELINES = ROOT / "src/quartet/pipelines"
METADATA = bootstrap()
NAMES = ["__default__", *sorted(each.parent.name for each in PIPELINES.glob("*/pipeline.py"))]
CARRIED = "kedro_azureml.datasets.AzureMLPipelineDataset"
COMPUTE = {"cpu", "gpu", "memory"}


@functools.cache
def steps_of(name):
    return Steps(pipelines[name], COMPUTE)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Return the job that `kedro azureml -e azureml compile` writes, by pipeline."""
    folder = tmp_path_factory.mktemp("jobs")
    jobs = {}
    with contextlib.chdir(ROOT):
        for name in NAMES:
            file = folder / f"{name}.yml"
            command = ["-e", "azureml", "compile", "-p", name, "-o", str(file)]
            result = CliRunner().invoke(azureml, command, obj=METADATA)
            assert result.exit_code == 0, result.output
            jobs[name] = yaml.safe_load(file.read_text())
    registry.use_nodes()
    assert jobs.keys() == set(pipelines)
    return jobs


def data(names):
    return sorted(name for name in names if not name.startswith("param"))


@pytest.mark.parametrize("name", NAMES)
def test_every_node_is_in_one_step_and_every_step_in_the_job(name, compiled):
    members = steps_of(name).members
    assert compiled[name]["jobs"].keys() == members.keys()
    nodes = [node for names in members.values() for node in names]
    assert sorted(nodes) == sorted(node.name for node in pipelines[name].nodes)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_bound_to_outputs_of_other_steps(name, compiled):
    jobs = compiled[name]["jobs"]
    step_name = {node: step for step, nodes in steps_of(name).members.items() for node in nodes}
    maker = {out: step_name[n.name] for n in pipelines[name].nodes for out in n.outputs}
    for node in pipelines[name].nodes:
        step = jobs[step_name[node.name]]
        for dataset in data(node.inputs):
            source = maker.get(dataset)
            if source == step_name[node.name]:
                assert dataset not in step.get("inputs", {})
            elif source is None:
                assert step["inputs"][dataset] == dataset
            else:
                path = f"${{{{parent.jobs.{source}.outputs.{dataset}}}}}"
                assert step["inputs"][dataset] == {"path": path}
                assert dataset in jobs[source]["outputs"]
                option = f"--az-input={dataset} ${{{{inputs.{dataset}}}}}"
                assert option in step["component"]["command"]
                option = f"--az-output={dataset} ${{{{outputs.{dataset}}}}}"
                assert option in jobs[source]["component"]["command"]


@pytest.mark.parametrize("name", NAMES)
def test_a_step_runs_in_the_image_of_the_lock_file(name, compiled):
    image = read_configuration("azureml", "azureml")["azure"]["environment_name"]
    for step, job in compiled[name]["jobs"].items():
        begin = f"kedro azureml -e azureml execute --pipeline={name} --node={step}"
        assert f"{job['component']['command']} ".startswith(f"{begin} ")
        assert job["environment"] == f"azureml:{image}"
        assert job["environment_variables"] == {"KEDRO_AZURE_RUNNER_CONFIG": ""}


@pytest.mark.parametrize("name", NAMES)
def test_only_what_other_steps_read_is_an_output(name, compiled):
    """Any other output would be an empty folder in the studio."""
    jobs = compiled[name]["jobs"].values()
    bound = {given["path"] for job in jobs for given in job["inputs"].values() if "path" in given}
    bound -= {text for text in bound if not text.startswith("${{")}
    for step, job in compiled[name]["jobs"].items():
        for output in job.get("outputs") or {}:
            assert f"${{{{parent.jobs.{step}.outputs.{output}}}}}" in bound
    assert "outputs" not in compiled[name]


@pytest.mark.parametrize("name", NAMES)
def test_only_distributed_steps_use_mpi(name, compiled):
    parameters = read_configuration("parameters", "azureml")
    for step in steps_of(name).nodes:
        job = compiled[name]["jobs"][step.name]
        if distributed.TAG not in step.tags:
            assert not {"distribution", "resources"} & job.keys()
            continue
        ranks = parameters["step_processes"][step.name]
        assert job["distribution"] == {"type": "mpi", "process_count_per_instance": ranks}
        assert job["resources"]["instance_count"] == parameters["step_nodes"][step.name]


@pytest.mark.parametrize("kind", ["step_nodes", "step_processes"])
def test_parameters_name_the_distributed_steps(kind):
    distributed_steps = {
        step.name
        for steps in map(steps_of, NAMES)
        for step in steps.nodes
        if distributed.TAG in step.tags
    }
    assert read_configuration("parameters", "azureml")[kind].keys() == distributed_steps


@pytest.mark.parametrize("name", NAMES)
def test_tags_select_the_cluster(name, compiled):
    clusters = read_configuration("azureml", "azureml")["azure"]["compute"]
    for step in steps_of(name).nodes:
        tag = next(iter(step.tags & COMPUTE), "__default__")
        cluster = clusters[tag]["cluster_name"]
        assert compiled[name]["jobs"][step.name]["compute"] == f"azureml:{cluster}"
    assert clusters.keys() == {"__default__", *COMPUTE}
    used = set().union(*(step.tags for steps in map(steps_of, NAMES) for step in steps.nodes))
    assert used >= COMPUTE


def test_a_first_job_needs_only_one_cpu_cluster():
    """A new subscription has no quota for GPUs: its first job would wait forever."""
    clusters = read_configuration("azureml", "azureml")["azure"]["compute"]
    assert {each["cluster_name"] for each in clusters.values()} == {"cpu-cluster"}


def find_uncacheable(steps, catalog):
    """Yield why a step that is tagged as deterministic must not be cached."""
    made = steps.all_outputs()
    for step in steps.nodes:
        if "deterministic" not in step.tags:
            continue
        for name in data(step.inputs):
            if name not in made or catalog[name]["type"] != CARRIED:
                yield f"{step.name} reads {name}, whose content Azure ML cannot hash"
        nodes = [steps.plain.only_nodes(node).nodes[0] for node in steps.members[step.name]]
        for name in sorted({output for node in nodes for output in node.outputs}):
            if catalog[name]["type"] != CARRIED:
                yield f"{step.name} writes {name}, which a cached step would not write"


@pytest.mark.parametrize("name", NAMES)
def test_only_steps_with_known_inputs_and_outputs_are_deterministic(name, compiled):
    assert list(find_uncacheable(steps_of(name), read_configuration("catalog", "azureml"))) == []
    for step in steps_of(name).nodes:
        component = compiled[name]["jobs"][step.name]["component"]
        assert component["is_deterministic"] == ("deterministic" in step.tags)


def test_expensive_branches_are_independent():
    for name, one, other in (
        ("mnist_training", "train_logistic", "train_convnet"),
        ("faq_tuning", "tune_ranker", "rank_by_baselines"),
    ):
        steps = steps_of(name)
        below = {each.name for each in steps.plain.from_nodes(*steps.members[one]).nodes}
        assert not below & set(steps.members[other])
        below = {each.name for each in steps.plain.from_nodes(*steps.members[other]).nodes}
        assert not below & set(steps.members[one])


def test_consecutive_steps_are_merged_unless_one_is_distributed():
    """Two consecutive steps without other dependants should be one, unless one is distributed."""
    for steps in (steps_of(name) for name in NAMES if name != "__default__"):
        parents = steps.node_dependencies
        for step, before in parents.items():
            if len(before) != 1 or distributed.TAG in step.tags:
                continue
            (parent,) = before
            children = [each for each, needs in parents.items() if parent in needs]
            assert len(children) > 1 or distributed.TAG in parent.tags, (parent.name, step.name)


def test_the_cursor_moves_last():
    (last,) = steps_of("anomaly_scoring").nodes[-1:]
    order = steps_of("anomaly_scoring").members[last.name]
    mover = "anomaly_scoring.move_cursor"
    made = pipelines["anomaly_scoring"].only_nodes(mover).inputs()
    writers = [n for n in order if pipelines["anomaly_scoring"].only_nodes(n).all_outputs() & made]
    assert all(order.index(writer) < order.index(mover) for writer in writers)
    assert len(writers) == 3


def test_names_of_steps_are_valid_in_azure_ml():
    names = [node.name for name in NAMES for node in steps_of(name).nodes]
    assert [name for name in names if not re.fullmatch(r"[a-z_]+", name)] == []


def test_messages_of_the_project_contain_no_fixed_command():
    for folder in ("datasets", "framework", "pipelines"):
        for path in (ROOT / "src/quartet" / folder).rglob("*.py"):
            assert "kedro run --pipelines" not in path.read_text(), path
