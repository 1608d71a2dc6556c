"""`kedro azureml run` must send Azure ML the job that is meant, and nothing that is private."""

import json
import re
from dataclasses import replace

import pytest
from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project

from control_plane import running, signin
from kedro_cloud.core import ranks
from kedro_cloud.jobs import registry
from kedro_cloud.jobs.job import Source
from kedro_cloud.jobs.snapshot import take_snapshot
from kedro_cloud.jobs.translation import translate
from kedro_cloud.provisioning.environment import Image
from kedro_cloud.rehearsal import RehearsalDir, RehearsalSettings, rehearse
from kedro_cloud.rehearsal.cloud import Cloud
from projects import (
    CLUSTERS,
    PRIVATE,
    add_history,
    add_private_files,
    furnish,
    last_commit,
    make_project,
)
from quartet.pipeline_registry import register_pipelines
from submitted import (
    code_addresses,
    component,
    connected,
    download,
    job_document,
    read_submitted,
    submit,
)
from support import make_workspace, run_kedro

SMALL = {
    "faq_features": {"candidates": 15, "margin_rivals": 30, "max_characters": 3},
    "faq_search_space": {"trees": 40},
    "faq_study_settings": {"trials": 2},
    "faq_refit": {"folds": 2},
    "faq_test": {"resamples": 100},
    "reference_recipe": {"trees": 5},
}
"""Parameters for a tuning that is there only for form's sake."""
GANG = {"step_nodes": {"tune_ranker": 2}, "step_processes": {"tune_ranker": 1}}
"""Parameters that only Azure ML has."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("submitted") / "quartet")
    add_history(folder)
    add_private_files(folder)
    return folder


@pytest.fixture(scope="module")
def plane(project, azurite):
    """An Azure with all that the project's configuration names."""
    with running(azurite.connection_string) as plane:
        furnish(plane, project)
        yield plane


@pytest.fixture(scope="module")
def everything(plane, project):
    """All scenarios as one job, the first one to be submitted."""
    result = submit(plane, project)
    assert result.returncode == 0, result.stderr
    return job_document(plane, result)


@pytest.fixture(scope="module")
def job(plane, everything):
    return read_submitted(plane, everything)


@pytest.fixture(scope="module")
def uploaded(plane, everything, tmp_path_factory):
    """The code, as the steps of the first job find it."""
    (address,) = code_addresses(plane, everything)
    return download(plane, address, tmp_path_factory.mktemp("uploaded") / "code")


@pytest.fixture(scope="module")
def second(plane, project, everything):
    """What was asked of Azure, and said to the person, when the same code was submitted again."""
    before = len(plane.requests)
    result = submit(
        plane,
        project,
        *("-p", "faq_tuning", "--params", json.dumps(SMALL | GANG)),
        *("--env-var", "KEDRO_CLOUD_TRACEBACK=1", "--wait-for-completion"),
        watched=True,
    )
    assert result.returncode == 0, result.stderr
    return result, plane.requests[before:]


@pytest.fixture(scope="module")
def configuration(project):
    bootstrap_project(project)
    return OmegaConfigLoader(project / "conf", env="azureml", **settings.CONFIG_LOADER_ARGS)


@pytest.fixture(scope="module")
def nodes(configuration):
    """The nodes of all scenarios, by the step that they belong to."""
    found = {}
    for node in register_pipelines()["__default__"].nodes:
        tags = [tag.removeprefix("step.") for tag in node.tags if tag.startswith("step.")]
        found.setdefault(tags[0] if tags else node.name, []).append(node)
    return found


def test_every_step_reads_from_the_step_that_makes_what_it_needs(job, nodes):
    makers = {name: step for step, some in nodes.items() for node in some for name in node.outputs}
    expected = {
        step: {
            name: Source(makers[name], name)
            for node in some
            for name in node.inputs
            if makers.get(name, step) != step
        }
        for step, some in nodes.items()
    }
    assert {step.name: step.sources for step in job.steps} == expected


def test_every_step_runs_its_own_nodes_with_its_own_folders(job):
    for step in job.steps:
        given = dict(re.findall(r"--az-input=(\S+) (\S+)", step.command))
        assert given == {name: f"${{{{inputs.{name}}}}}" for name in step.sources}
        taken = dict(re.findall(r"--az-output=(\S+) (\S+)", step.command))
        assert taken == {name: f"${{{{outputs.{name}}}}}" for name in step.outputs}
        words = step.command.split()[:7]
        said = f"kedro azureml -e azureml execute --pipeline=__default__ --node={step.name}"
        assert words == said.split()


def test_every_step_runs_on_the_cluster_of_its_tag(job, nodes):
    for step in job.steps:
        tags = set().union(*(node.tags for node in nodes[step.name])) & CLUSTERS.keys()
        assert step.compute == CLUSTERS[tags.pop() if tags else ""], step.name


def test_all_steps_run_in_the_image_of_the_lock_file(job, project, configuration):
    reference = Image.from_project(project, "cpu").reference
    assert {step.environment for step in job.steps} == {reference}
    assert configuration["azureml"]["azure"]["environment_name"] == reference


def test_shared_steps_are_gangs_of_as_many_ranks_as_parameters_say(job, nodes, configuration):
    parameters = configuration["parameters"]
    gangs = {
        step.name: (step.instances, step.processes_per_instance) for step in job.steps if step.mpi
    }
    assert gangs == {
        name: (parameters["step_nodes"][name], parameters["step_processes"][name])
        for name, some in nodes.items()
        if ranks.TAG in some[0].tags
    }
    assert all(instances > 1 for instances, _ in gangs.values())
    assert {step.ranks for step in job.steps if not step.mpi} == {1}


def test_only_steps_that_may_be_cached_are_called_deterministic(job, nodes):
    for step in job.steps:
        cacheable = all("deterministic" in node.tags for node in nodes[step.name])
        assert step.deterministic == cacheable, step.name


def test_the_job_can_be_found_by_its_names(everything, plane, configuration, project):
    properties = everything["properties"]
    assert properties["experimentName"] == configuration["azureml"]["azure"]["experiment_name"]
    assert properties["displayName"] == "__default__"
    for name, node in properties["jobs"].items():
        assert component(plane, node)["display_name"] == name
    assert properties["properties"]["mlflow.source.git.commit"] == last_commit(project)


@pytest.fixture
def translated(project):
    """The job that would be rehearsed."""
    yield translate(bootstrap_project(project), "azureml", "__default__", {})
    registry.use_nodes()  # other tests in this process do not know of steps


def test_what_is_rehearsed_is_what_is_submitted(job, translated):
    assert replace(translated, name=job.name) == job


def test_steps_are_given_no_secret(plane, everything, job):
    assert all(
        step.environment_variables == {"KEDRO_AZURE_RUNNER_CONFIG": ""} for step in job.steps
    )
    told = json.dumps([everything, *(component(plane, node) for node in each_node(everything))])
    for secret in (signin.SECRET, PRIVATE, "AccountKey", "sig="):
        assert secret not in told


def each_node(document):
    return document["properties"]["jobs"].values()


def test_the_snapshot_holds_nothing_private(uploaded):
    files = [path for path in uploaded.rglob("*") if path.is_file()]
    assert not [path for path in files if PRIVATE.encode() in path.read_bytes()]
    top = {path.relative_to(uploaded).parts[0] for path in files}
    assert not top & {".git", ".env", ".venv", "data", "notebooks", "mlflow.db", "rehearsals"}
    assert not (uploaded / "conf/local").exists()


def test_the_snapshot_holds_what_steps_need(uploaded, project):
    for folder in ("src", "conf/base", "conf/azureml"):
        for path in (project / folder).rglob("*"):
            name = path.relative_to(project)
            if path.is_file() and "__pycache__" not in name.parts:
                assert (uploaded / name).read_bytes() == path.read_bytes()
    # The name of the image is made from the last two, wherever the configuration is read.
    for name in ("pyproject.toml", "requirements.lock", "Dockerfile"):
        assert (uploaded / name).exists()


def test_the_rehearsal_takes_the_same_snapshot(uploaded, project, tmp_path):
    def contents(folder):
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder): path.read_bytes() for path in files}

    take_snapshot(project, tmp_path / "code")
    assert contents(tmp_path / "code") == contents(uploaded)


def test_unchanged_code_is_not_uploaded_again(plane, second, everything):
    result, requests = second
    assert not [each for each in requests if each.path.endswith("/startPendingUpload")]
    assert not [each for each in requests if each.method == "PUT" and ".blob." in each.host]
    assert code_addresses(plane, job_document(plane, result)) == code_addresses(plane, everything)


def test_parameters_and_variables_reach_every_step(plane, second):
    job = read_submitted(plane, job_document(plane, second[0]))
    for step in job.steps:
        (params,) = re.findall(r"--params='(.*)'$", step.command)
        assert json.loads(params) == SMALL | GANG
        assert step.environment_variables["KEDRO_CLOUD_TRACEBACK"] == "1"
    assert job["tune_ranker"].instances == GANG["step_nodes"]["tune_ranker"]


def test_one_who_waits_sees_the_log_and_the_end(second):
    said = second[0].stdout
    assert said.index("Step one has begun") < said.index("Done") < said.index("Execution Summary")
    assert said.count("Step one has begun") == 1
    assert said.rstrip().endswith("Pipeline finished successfully")


def test_nobody_but_azure_was_spoken_to(plane, second):
    assert plane.refused == []
    assert connected(plane) == {"127.0.0.1"}


def test_the_submitted_job_runs_here_and_measures_what_a_local_run_measures(
    plane, project, second, tmp_path
):
    document = job_document(plane, second[0])
    (address,) = code_addresses(plane, document)
    code = download(plane, address, tmp_path / "code")
    found = metrics_of_rehearsal(read_submitted(plane, document), code, project, tmp_path)

    local = make_workspace(tmp_path / "local")
    small = [f"{name}.{key}={value}" for name in SMALL for key, value in SMALL[name].items()]
    run = run_kedro(local, "run", "--pipelines", "faq_tuning", "--params", ",".join(small))
    assert run.returncode == 0, run.stderr
    expected = json.loads((local / "data/08_reporting/faq_tuning/metrics.json").read_text())
    assert untimed(found) == untimed(expected)


def metrics_of_rehearsal(job, code, project, folder):
    place = RehearsalDir(folder / "rehearsals")
    with place.lock(), Cloud.started(project, "azureml", place) as cloud:
        for _ in cloud.fill(()):
            pass
        report = rehearse(job, code, place, RehearsalSettings(2, False, cloud.environment()))
        assert report.succeeded, [(step.folder / "log.txt").read_text() for step in report.failed]
        for _ in cloud.fetch_reports(report):
            pass
    return json.loads((place.reports(job.name) / "metrics.json").read_text())


def untimed(metrics):
    return {name: value for name, value in metrics.items() if not name.startswith("seconds_")}
