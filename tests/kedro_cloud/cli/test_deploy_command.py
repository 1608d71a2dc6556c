"""A new model must answer before anybody is sent to it, and be made once however often one asks."""

import json
from functools import partial

import pytest

from control_plane import Answer, Fault
from control_plane.documents import WORKSPACE_ID
from kedro_cloud.cli.deploy import deploy
from kedro_cloud.models import bundle
from kedro_cloud.models.deployment import DesiredDeployment, EndpointState, plan
from kedro_cloud.models.scoring import serve
from kedro_cloud.provisioning.environment import ROUTES, Image
from plain import MODEL
from published import call, error_of, succeed
from registered import EXAMPLE, register_there, tags_there
from support import ROOT

ENDPOINT = "price-model"


@pytest.fixture
def image(plane, project):
    """The project's image, registered in a workspace that has the model as well."""
    register_there(plane)
    image = Image.from_project(project, "serving")
    plane.manager.add(f"environments/{image.name}/versions/{image.version}", {})
    return image


@pytest.fixture
def run(image, project):
    """Run the command."""
    return partial(call, project, deploy, "--model", MODEL)


@pytest.fixture
def done(image, project):
    """Run the command, which must succeed; return what it prints."""
    return partial(succeed, project, deploy, "--model", MODEL)


def writes(plane):
    """Method and path of each request that may have changed something."""
    reads = ("GET", "HEAD")
    asked = [each for each in plane.requests if each.method not in reads]
    return [
        f"{each.method} {each.path.removeprefix(WORKSPACE_ID)}"
        for each in asked
        if each.host == "management.azure.com"
    ]


def traffic(plane):
    return plane.manager.find(f"onlineEndpoints/{ENDPOINT}")["properties"]["traffic"]


def deployments(plane):
    """Version of the model by deployment."""
    found = plane.manager.list(f"onlineEndpoints/{ENDPOINT}/deployments")
    return {each["name"]: each["tags"]["version"] for each in found}


def test_the_first_deployment_is_as_the_file_says_and_made_once(plane, done, image):
    done("--version", "1")
    endpoint = plane.manager.find(f"onlineEndpoints/{ENDPOINT}")
    assert endpoint["properties"]["authMode"] == "AADToken"
    assert endpoint["identity"]["type"] == "SystemAssigned"
    made = plane.manager.find(f"onlineEndpoints/{ENDPOINT}/deployments/blue")
    said = made["properties"]
    assert said["environmentId"].endswith(f"environments/{image.name}/versions/{image.version}")
    assert said["model"].endswith(f"models/{MODEL}/versions/1")
    assert said["modelMountPath"] == said["environmentVariables"]["KEDRO_CLOUD_MODEL_DIR"]
    assert said["codeConfiguration"]["scoringScript"] == bundle.ENTRY
    assert said["instanceType"] == "Standard_DS2_v2"
    assert made["sku"]["capacity"] == 1
    assert said["requestSettings"]["maxConcurrentRequestsPerInstance"] > 1
    assert traffic(plane) == {"blue": 100}
    before = len(writes(plane))
    assert f"endpoint {ENDPOINT} answers with it already: blue" in done("--version", "1")
    assert len(writes(plane)) == before


def test_the_server_is_sent_and_traffic_moves_after_the_example_was_answered(plane, done):
    done()
    sent = {
        each.path.split("/", 2)[2].partition("/")[2]: each.body
        for each in plane.requests
        if each.method == "PUT" and ".blob." in each.host and each.body
    }
    server = (ROOT / "src/kedro_cloud/models/scoring").glob("*.py")
    assert sent == {f"scoring/{file.name}": file.read_bytes() for file in server}
    assert plane.invocations.scoring.asked == [("blue", EXAMPLE)]
    steps = [
        (each.method, each.document.get("properties", {}).get("traffic"))
        for each in plane.requests
        if each.path.endswith((f"/onlineEndpoints/{ENDPOINT}", "/invocations"))
        and each.method in ("PUT", "POST")
    ]
    assert [method for method, _ in steps] == ["PUT", "POST", "PUT"]
    assert [shares for method, shares in steps if method == "PUT"] == [{}, {"blue": 100}]


def test_another_version_takes_over_and_the_one_before_goes_unless_it_is_kept(plane, done):
    done("--version", "1")
    done("--version", "2", "--keep")
    assert traffic(plane) == {"green": 100}
    assert deployments(plane) == {"blue": "1", "green": "2"}
    before = len(writes(plane))
    done("--version", "1")
    assert traffic(plane) == {"blue": 100}
    assert deployments(plane) == {"blue": "1"}
    assert not [each for each in writes(plane)[before:] if each.startswith("PUT /deployments")]


@pytest.mark.parametrize(
    "answer",
    [
        Answer.error(424, "ModelError", "the model failed"),
        Answer.of({"predictions": []}),
        Answer(200, b"Hello"),
    ],
)
def test_what_does_not_answer_gets_no_traffic_and_is_asked_again(plane, run, done, answer):
    done("--version", "1")
    plane.invocations.scoring.answers["green"] = answer
    line = error_of(run("--version", "2"))
    assert f"get-logs --endpoint-name {ENDPOINT} --name green" in line
    assert traffic(plane) == {"blue": 100}
    assert deployments(plane) == {"blue": "1", "green": "2"}
    plane.invocations.scoring.answers.clear()
    before = len(writes(plane))
    done("--version", "2")
    assert traffic(plane) == {"green": 100}
    assert writes(plane)[before:] == [
        f"PUT /onlineEndpoints/{ENDPOINT}",
        f"DELETE /onlineEndpoints/{ENDPOINT}/deployments/blue",
    ]


def test_a_dry_run_tells_all_and_changes_nothing(plane, done):
    done("--version", "1")
    before = len(writes(plane))
    told = done("--version", "2", "--dry-run").splitlines()
    assert len(writes(plane)) == before
    assert told[1].startswith(f"+ deployment green: {MODEL} version 2 on 1 × Standard_DS2_v2 in ")
    assert told[2].startswith("~ traffic: 100 % to green, once it has answered a test request")
    assert told[3:] == ["- deployment blue"]


def test_the_champion_is_deployed_if_no_version_is_said(plane, done):
    tags_there(plane, "1")["stage.champion"] = "true"
    assert f"{MODEL} version 1 (champion)" in done("--dry-run")
    del tags_there(plane, "1")["stage.champion"]
    assert f"{MODEL} version 2:" in done("--dry-run")


def test_packages_other_than_those_the_model_was_made_with_are_told(plane, run):
    tags_there(plane, "2")["library.torch"] = "1.9.0"
    result = run("--dry-run")
    assert "Warning: made with torch 1.9.0, now 2.13.0" in result.stderr


def test_a_missing_image_is_told_with_the_command_that_registers_it(plane, run, image):
    plane.resources.delete(f"{WORKSPACE_ID}/environments/{image.name}/versions/{image.version}")
    assert "kedro cloud environment" in error_of(run())
    assert not writes(plane)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--version", "9"), "has no version 9; registered: 1, 2"),
        (("--stage", "candidate"), f"kedro cloud models promote {MODEL} 2 --to candidate"),
        (("-e", "base"), f"kedro cloud deploy --model {MODEL} --local -e base"),
        (("--model", "sensor_models"), "`deployments` has no entry 'sensor_models'"),
        (("--version", "1", "--stage", "champion"), "use one of them"),
        (("--port", "80"), "--port needs --local"),
    ],
)
def test_what_cannot_be_is_told_in_one_line_and_changes_nothing(plane, run, arguments, said):
    assert said in error_of(run(*arguments))
    assert not writes(plane)


def test_a_refusal_in_the_middle_is_told_and_the_next_run_goes_on(plane, run, done):
    fault = Fault(
        Answer.error(400, "UserError", "Not enough quota for Standard_DS2_v2"),
        method="PUT",
        path="/deployments/blue$",
        times=1,
    )
    plane.faults.append(fault)
    assert "Not enough quota for Standard_DS2_v2" in error_of(run())
    assert traffic(plane) == {}
    done()
    assert traffic(plane) == {"blue": 100}


def test_traffic_that_somebody_has_split_is_left_to_them():
    desired = DesiredDeployment(ENDPOINT, MODEL, "1", "image:1", "code", "Standard_DS2_v2", 1)
    state = EndpointState(True, {"blue": 90, "green": 10}, {"blue": "x", "green": "y"})
    with pytest.raises(ValueError, match="splits its traffic between blue and green; give all"):
        plan(desired, state, keep=False)


def test_the_image_starts_the_server_that_is_sent_where_azure_looks_for_it():
    command = (ROOT / "Dockerfile.serving").read_text().splitlines()[-1]
    shell = json.loads(command.removeprefix("CMD "))[-1]
    assert shell.endswith(f"python -m {bundle.MODULE}")
    assert f"{bundle.MODULE.replace('.', '/')}.py" == bundle.ENTRY
    assert {route["port"] for route in ROUTES.values()} == {serve.PORT}
