"""What is published must be what was meant, once, and no caller's text may reach a shell."""

import json
import re
from dataclasses import replace

import pytest
import requests
from azure.ai.ml import Input, MLClient
from azure.identity import DefaultAzureCredential

from control_plane import Answer, Fault
from control_plane.documents import GROUP, SUBSCRIPTION, WORKSPACE, WORKSPACE_ID
from kedro_cloud.cli.publish import publish
from kedro_cloud.rehearsal import RehearsalSettings, rehearse
from projects import furnish, make_project
from published import call, puts, read_invoked, told
from submitted import component, download
from support import GUARD_S, ROOT, bootstrap

bootstrap()

ENDPOINT = "batchEndpoints/style-transfer"
HOSTILE = "it's; touch gone \"`touch gone`\" $(touch gone) '.mp4"
"""A name that a person may give a blob, and that a shell would run."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("published") / "quartet")


@pytest.fixture(scope="module")
def plane(lasting_plane):
    return lasting_plane


@pytest.fixture
def say(plane, project, compile_once, monkeypatch):
    """Runs the command; what went wrong before is mended first."""
    plane.faults.clear()
    plane.manager.denied.clear()
    furnish(plane)
    for key, value in plane.environment.items():
        monkeypatch.setenv(key, value)
    return lambda *arguments: call(project, publish, "-p", "style_transfer", *arguments)


@pytest.fixture
def published(plane, say):
    """The pipeline on its endpoint, as it was published first."""
    result = say()
    assert result.exit_code == 0, result.output
    return result


def steps(plane, version):
    """The component's steps, each with the command that it runs."""
    spec = component(plane, {"componentId": f"{WORKSPACE_ID}/components/{version}"})
    return {name: (node, component(plane, node)) for name, node in spec["jobs"].items()}


def deployed(plane):
    """Component that the endpoint's default deployment runs: `name/versions/version`."""
    endpoint = plane.manager.find(ENDPOINT)
    name = endpoint["properties"]["defaults"]["deploymentName"]
    found = plane.manager.find(f"{ENDPOINT}/deployments/{name}")["properties"]
    asset = found["deploymentConfiguration"]["componentId"]["assetId"]
    return asset.partition("/components/")[2]


def test_what_is_published_already_is_left_alone(plane, say, published):
    since = len(plane.requests)
    again = say()
    assert again.exit_code == 0
    assert "is published already" in again.stdout
    assert puts(plane, since) == []
    endpoint = plane.manager.find(ENDPOINT)
    assert endpoint["properties"]["authMode"] == "aadToken"


def test_a_dry_run_shows_the_change_and_makes_none(plane, say, published):
    since = len(plane.requests)
    before = deployed(plane)
    result = say("--params", "stylizing.batch_size=2", "--dry-run")
    assert result.exit_code == 0, result.output
    assert re.search(r"~ default v\w+: of endpoint style-transfer, v\w+ → v\w+", result.stdout)
    assert puts(plane, since) == []
    changed = say("--params", "stylizing.batch_size=2")
    assert changed.exit_code == 0, changed.output
    assert deployed(plane) != before
    assert say().exit_code == 0  # the earlier one is there still, and is only named again
    assert deployed(plane) == before


def test_other_code_is_another_version(project, compiled, say, published):
    first = next(iter(compiled.values()))
    before = first.content
    note = project / "src/quartet/note.py"
    note.write_text("CHANGED = True\n")
    try:
        assert replace(first).content != before
    finally:
        note.unlink()
    assert replace(first).content == before


def test_no_value_stands_in_a_command_and_each_step_gets_each_input(plane, published):
    for node, runs in steps(plane, deployed(plane)).values():
        assert "endpoint_" not in runs["command"]
        assert node["inputs"]["endpoint_video"]["value"] == "${{parent.inputs.video}}"
        assert node["inputs"]["endpoint_style"]["value"] == "${{parent.inputs.style}}"
        assert runs["inputs"]["endpoint_video"]["type"] == "string"


def client():
    return MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, WORKSPACE)


def test_the_body_that_the_command_prints_makes_a_job(plane, published):
    address, body = re.search(r"POST (\S+)\n +(\{.+\})\n", published.stdout).groups()
    token = DefaultAzureCredential().get_token("https://ml.azure.com/.default").token
    said = json.loads(body.replace("…", "abfs://videos/a.mp4"))
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(address, json=said, headers=headers, timeout=GUARD_S)
    assert answer.status_code == 201, answer.text
    job = plane.manager.find(f"jobs/{answer.json()['name']}")
    inputs = {name: found["value"] for name, found in job["properties"]["inputs"].items()}
    assert inputs == {"video": "abfs://videos/a.mp4", "style": "starry_night"}


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"style": Input(type="string", default="starry_night")}, "Required input 'video'"),
        ({"film": Input(type="string", default="a")}, "Unknown input 'film'"),
    ],
)
def test_a_call_with_other_inputs_makes_no_job(plane, published, inputs, said):
    before = len(plane.manager.list("jobs"))
    with pytest.raises(Exception, match=said):
        client().batch_endpoints.invoke("style-transfer", inputs=inputs)
    assert len(plane.manager.list("jobs")) == before


def test_a_step_reads_the_video_that_was_said_and_no_shell_reads_its_name(
    plane, published, azurite, place, tmp_path
):
    azurite.make_containers("work", "models", "reports", "videos")
    blobs = azurite.filesystem()
    blobs.put_file(str(ROOT / "data/01_raw/style/sample.mp4"), f"videos/{HOSTILE}")
    weights = "style/starry_night.safetensors"
    blobs.put_file(str(ROOT / "data/06_models" / weights), f"models/{weights}")
    video = Input(type="string", default=f"abfs://videos/{HOSTILE}")
    called = client().batch_endpoints.invoke("style-transfer", inputs={"video": video})
    job = read_invoked(plane, plane.manager.find(f"jobs/{called.name}"))
    job = replace(job, steps=(job["plan_transfer"],))
    variables = {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    with place.lock():
        code = uploaded_code(plane, tmp_path / "downloaded")
        report = rehearse(job, code, place, RehearsalSettings(1, False, variables))
    step = place.run(job.name) / "steps/plan_transfer"
    assert report.succeeded, (step / "log.txt").read_text()
    plan = json.loads((step / "outputs/transfer_plan/transfer_plan.json").read_text())
    assert (plan["source"], plan["style"]) == (HOSTILE, "starry_night")
    assert not list(place.folder.rglob("gone")), "a shell has run the name of the video"


def uploaded_code(plane, folder):
    """What was uploaded for the steps, as they see it."""
    _, runs = steps(plane, deployed(plane))["plan_transfer"]
    kept = plane.resources.get(runs["code"].removeprefix("azureml:"))
    return next(download(plane, kept["properties"]["codeUri"], folder).glob("**/conf")).parent


def test_old_versions_make_room_and_what_others_made_stays(plane, say, published):
    newest = deployed(plane).rpartition("/")[2]
    for number in range(6):
        plane.resources.put(
            f"{WORKSPACE_ID}/{ENDPOINT}/deployments/old{number}",
            {"tags": {"kedro_pipeline": "style_transfer"}, "properties": {}},
        )
    plane.manager.add(f"{ENDPOINT}/deployments/by-hand", {})
    result = say()
    assert result.exit_code == 0, result.output
    left = {each["name"] for each in plane.manager.list(f"{ENDPOINT}/deployments")}
    assert {f"v{newest}", "by-hand", "old5", "old4", "old3", "old2"} <= left
    assert not left & {"old0", "old1"}


def test_what_was_interrupted_goes_on(plane, say):
    plane.resources.delete(f"{WORKSPACE_ID}/{ENDPOINT}")
    broken = Answer.error(500, "InternalServerError", "try again", **{"Retry-After": "0"})
    plane.faults.append(Fault(broken, method="PUT", path="/deployments/"))
    (error,) = told(say())
    assert "that is Azure's own: run the same command again" in error
    plane.faults.clear()
    since = len(plane.requests)
    assert say().exit_code == 0
    changed = [path.rpartition("batchEndpoints/")[2] for path in puts(plane, since)]
    version = deployed(plane).rpartition("/")[2]
    assert changed == [f"style-transfer/deployments/v{version}", "style-transfer"]


def taken(plane):
    plane.resources.delete(f"{WORKSPACE_ID}/{ENDPOINT}")
    plane.manager.admission.taken_elsewhere = {"style-transfer"}


def foreign(plane):
    plane.resources.delete(f"{WORKSPACE_ID}/{ENDPOINT}")
    plane.resources.put(
        f"{WORKSPACE_ID}/{ENDPOINT}",
        {"tags": {"kedro_pipeline": "faq_tuning"}, "properties": {"authMode": "aadToken"}},
    )


def without_role(plane):
    plane.resources.delete(f"{WORKSPACE_ID}/{ENDPOINT}")
    plane.manager.denied.add("batchEndpoints/write")


@pytest.mark.parametrize(
    ("amiss", "said"),
    [
        (
            taken,
            "another workspace of the region has an endpoint 'style-transfer' already; give it "
            "another name wherever cloud.yml says it",
        ),
        (
            foreign,
            "endpoint 'style-transfer' is there and runs pipeline 'faq_tuning'; give the endpoint "
            "of 'style_transfer' another name in cloud.yml, or remove it: az ml batch-endpoint",
        ),
        (without_role, "ask for the role AzureML Data Scientist"),
        (
            lambda plane: plane.resources.delete(f"{WORKSPACE_ID}/computes/cpu-cluster"),
            "has no cluster 'cpu-cluster'",
        ),
    ],
)
def test_what_stands_against_it_is_told_in_one_line(plane, say, amiss, said):
    amiss(plane)
    uploads = [request for request in plane.requests if "startPendingUpload" in request.path]
    result = say()
    plane.manager.admission.taken_elsewhere = set()
    plane.resources.delete(f"{WORKSPACE_ID}/{ENDPOINT}")
    assert result.exit_code == 1
    (error,) = told(result)
    assert said in error
    after = [request for request in plane.requests if "startPendingUpload" in request.path]
    assert after == uploads


@pytest.mark.parametrize(
    ("pipeline", "params", "said"),
    [
        ("mnist_training", "", "cloud.yml has no endpoint for pipeline 'mnist_training'"),
        ("style_transfer", "video=abfs://raw/a.mp4", "input 'video': --params says video as well"),
    ],
)
def test_what_cannot_be_published_is_told_before_anything_is_asked(
    plane, project, say, pipeline, params, said
):
    since = len(plane.requests)
    result = call(project, publish, "-p", pipeline, *(["--params", params] if params else []))
    assert said in told(result)[0]
    assert len(plane.requests) == since
