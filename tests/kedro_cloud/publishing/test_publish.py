"""The right version must be published, once, and no input value may reach a shell."""

import csv
import json
import re
from dataclasses import replace

import pytest
import requests
from azure.ai.ml import Input, MLClient
from azure.identity import DefaultAzureCredential
from kedro.framework.startup import bootstrap_project

from control_plane import Answer, Fault
from control_plane.documents import GROUP, SUBSCRIPTION, WORKSPACE, WORKSPACE_ID
from kedro_cloud.cli.publish import publish
from kedro_cloud.publishing.component import CompiledPipeline
from kedro_cloud.rehearsal import rehearse
from plain import ENDPOINT as NAME
from plain import PACKAGE, PIPELINE, STEPS, furnish_plain
from published import error_of, puts, read_invoked
from submitted import component, download
from support import GUARD_S

ENDPOINT = f"batchEndpoints/{NAME}"
HOSTILE = "it's; touch gone \"`touch gone`\" $(touch gone) \\ ) EOF '"
"""A title that a shell would execute."""
COMMAND = (publish, "-p", PIPELINE)
pytestmark = pytest.mark.usefixtures("plain_pipelines")


@pytest.fixture
def plane(plane):
    """A workspace with a cluster and an image."""
    furnish_plain(plane)
    return plane


@pytest.fixture
def published(succeed):
    """The pipeline on its endpoint; what the command printed."""
    return succeed()


def steps(plane, version):
    """The component's steps, each with the command that it runs."""
    spec = component(plane, {"componentId": f"{WORKSPACE_ID}/components/{version}"})
    return {name: (node, component(plane, node)) for name, node in spec["jobs"].items()}


def deployed(plane):
    """Return the component that the default deployment runs: `name/versions/version`."""
    endpoint = plane.manager.find(ENDPOINT)
    name = endpoint["properties"]["defaults"]["deploymentName"]
    found = plane.manager.find(f"{ENDPOINT}/deployments/{name}")["properties"]
    asset = found["deploymentConfiguration"]["componentId"]["assetId"]
    return asset.partition("/components/")[2]


def test_publishing_again_changes_nothing_and_a_change_is_a_new_version(plane, succeed, published):
    assert plane.manager.find(ENDPOINT)["properties"]["authMode"] == "aadToken"
    before, since = deployed(plane), len(plane.requests)
    assert "is already published" in succeed()
    more = ("--params", "step_nodes.search=3")
    shown = succeed(*more, "--dry-run")
    assert re.search(rf"~ default v\w+: of endpoint {NAME}, v\w+ → v\w+", shown)
    assert puts(plane, since) == []
    succeed(*more)
    assert deployed(plane) != before
    succeed()  # the earlier deployment still exists and becomes the default again
    assert deployed(plane) == before


def test_other_code_changes_the_version(project):
    compiled = CompiledPipeline.from_pipeline(bootstrap_project(project), "azureml", PIPELINE, {})
    before = compiled.content
    note = project / f"src/{PACKAGE}/note.py"
    note.write_text("CHANGED = True\n")
    assert replace(compiled).content != before
    note.unlink()
    assert replace(compiled).content == before


def test_commands_contain_no_values_and_steps_receive_all_inputs(plane, published):
    found = steps(plane, deployed(plane))
    assert found.keys() == set(STEPS)
    for node, runs in found.values():
        assert "endpoint_" not in runs["command"]
        assert node["inputs"]["endpoint_title"]["value"] == "${{parent.inputs.title}}"
        assert node["inputs"]["endpoint_trials"]["value"] == "${{parent.inputs.trials}}"
        assert runs["inputs"]["endpoint_title"]["type"] == "string"


def client():
    return MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, WORKSPACE)


def test_the_printed_request_body_starts_a_job(plane, published):
    address, body = re.search(r"POST (\S+)\n +(\{.+\})\n", published).groups()
    token = DefaultAzureCredential().get_token("https://ml.azure.com/.default").token
    document = json.loads(body.replace("…", "mine"))
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(address, json=document, headers=headers, timeout=GUARD_S)
    assert answer.status_code == 201, answer.text
    job = plane.manager.find(f"jobs/{answer.json()['name']}")
    inputs = {name: found["value"] for name, found in job["properties"]["inputs"].items()}
    assert inputs == {"title": "mine", "trials": "3"}


@pytest.mark.parametrize("passed_by", ["environment", "command"])
def test_a_step_receives_input_text_unchanged_and_no_shell_parses_it(
    passed_by, plane, succeed, project, azurite, place, plain_project, tmp_path
):
    cloud = project / "conf/azureml/cloud.yml"
    start = f"pipeline: {PIPELINE}\n"
    assert cloud.read_text().count(start) == 1
    cloud.write_text(cloud.read_text().replace(start, f"{start}      passed_by: {passed_by}\n"))
    succeed()
    (_, runs), *_ = steps(plane, deployed(plane)).values()
    assert ("${{inputs.endpoint_title}}" in runs["command"]) == (passed_by == "command")
    azurite.make_containers("raw", "work")
    blobs = azurite.filesystem()
    for name in ("companies", "shuttles"):
        table = plain_project / f"data/01_raw/{name}.csv"
        blobs.put_file(str(table), f"raw/plain/{name}.csv")
    title = Input(type="string", default=HOSTILE)
    called = client().batch_endpoints.invoke(NAME, inputs={"title": title})
    job = read_invoked(plane, plane.manager.find(f"jobs/{called.name}"))
    job = replace(job, experiment=PACKAGE, steps=(job["prepare"],))
    variables = {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    with place.lock():
        code = uploaded_code(plane, tmp_path / "downloaded")
        report = rehearse(job, code, place, processes=1, environment=variables)
    step = place.run(job.name) / "steps/prepare"
    assert report.succeeded, (step / "log.txt").read_text()
    with blobs.open("work/plain/companies.csv", "r", newline="") as file:
        assert {row["title"] for row in csv.DictReader(file)} == {HOSTILE}
    assert not list(place.folder.rglob("gone")), "a shell has run the text"


def uploaded_code(plane, folder):
    """Return the folder of the code that was uploaded for the steps."""
    _, runs = steps(plane, deployed(plane))["prepare"]
    kept = plane.resources.get(runs["code"].removeprefix("azureml:"))
    return next(download(plane, kept["properties"]["codeUri"], folder).glob("**/conf")).parent


def test_old_deployments_are_removed_but_not_those_of_others(plane, succeed, published):
    newest = deployed(plane).rpartition("/")[2]
    for number in range(6):
        plane.resources.put(
            f"{WORKSPACE_ID}/{ENDPOINT}/deployments/old{number}",
            {"tags": {"kedro_pipeline": PIPELINE}, "properties": {}},
        )
    plane.manager.add(f"{ENDPOINT}/deployments/by-hand", {})
    succeed()
    left = {each["name"] for each in plane.manager.list(f"{ENDPOINT}/deployments")}
    assert {f"v{newest}", "by-hand", "old5", "old4", "old3", "old2"} <= left
    assert not left & {"old0", "old1"}


def test_an_interrupted_publication_is_completed_by_a_rerun(plane, run, succeed):
    broken = Answer.error(500, "InternalServerError", "try again", **{"Retry-After": "0"})
    plane.faults.append(Fault(broken, method="PUT", path="/deployments/"))
    assert "this is an error of Azure: rerun later" in error_of(run())
    plane.faults.clear()
    since = len(plane.requests)
    succeed()
    changed = [path.rpartition("batchEndpoints/")[2] for path in puts(plane, since)]
    version = deployed(plane).rpartition("/")[2]
    assert changed == [f"{NAME}/deployments/v{version}", NAME]


def foreign(plane):
    plane.resources.put(
        f"{WORKSPACE_ID}/{ENDPOINT}",
        {"tags": {"kedro_pipeline": "another"}, "properties": {"authMode": "aadToken"}},
    )


@pytest.mark.parametrize(
    ("obstacle", "arguments", "message"),
    [
        (
            lambda plane: plane.manager.admission.taken_elsewhere.add(NAME),
            (),
            f"endpoint name '{NAME}' is taken by another workspace of the region; rename the "
            "endpoint in cloud.yml",
        ),
        (
            foreign,
            (),
            f"endpoint '{NAME}' exists and runs pipeline 'another'; rename the endpoint of "
            "'shuttles' in cloud.yml, or remove it: az ml batch-endpoint",
        ),
        (
            lambda plane: plane.manager.denied.add("batchEndpoints/write"),
            (),
            "ask for the role AzureML Data Scientist",
        ),
        (
            lambda plane: plane.resources.delete(f"{WORKSPACE_ID}/computes/cpu-cluster"),
            (),
            "has no cluster 'cpu-cluster'",
        ),
        (
            lambda plane: None,
            ("-p", "__default__"),
            "cloud.yml has no endpoint for pipeline '__default__'",
        ),
        (lambda plane: None, ("--params", "title=a"), "input 'title': --params sets title, too"),
    ],
)
def test_obstacles_are_reported_in_one_line(plane, run, obstacle, arguments, message):
    obstacle(plane)
    assert message in error_of(run(*arguments))
    assert not [request for request in plane.requests if "startPendingUpload" in request.path]
    assert not (arguments and plane.requests)
