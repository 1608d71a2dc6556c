"""A new deployment must answer a test request before it gets traffic, and be created once."""

import json

import pytest

from control_plane import Answer, Fault
from control_plane.documents import WORKSPACE, WORKSPACE_ID
from kedro_cloud.cli.deploy import deploy
from kedro_cloud.models import bundle
from kedro_cloud.models.rollout import DesiredDeployment, choose_target
from kedro_cloud.models.scoring import serve
from kedro_cloud.provisioning.environment import ROUTES, Image
from plain import MODEL
from published import error_of, puts
from registered import EXAMPLE, register_in_workspace, workspace_tags
from support import ROOT

ENDPOINT = "price-model"
COMMAND = (deploy, "--model", MODEL)


@pytest.fixture
def image(project):
    """The image of the project's servers."""
    return Image.from_project(project, "serving")


@pytest.fixture
def plane(plane, image):
    """A workspace with the image and two versions of the model."""
    register_in_workspace(plane)
    plane.manager.add(f"environments/{image.name}/versions/{image.version}", {})
    return plane


def traffic(plane):
    return plane.manager.find(f"onlineEndpoints/{ENDPOINT}")["properties"]["traffic"]


def deployments(plane):
    """Return the version of the model by deployment."""
    found = plane.manager.list(f"onlineEndpoints/{ENDPOINT}/deployments")
    return {each["name"]: each["tags"]["version"] for each in found}


def test_the_first_deployment_has_the_settings_of_cloud_yml(plane, succeed, image):
    succeed("--version", "1")
    endpoint = plane.manager.find(f"onlineEndpoints/{ENDPOINT}")
    assert endpoint["properties"]["authMode"] == "AADToken"
    assert endpoint["identity"]["type"] == "SystemAssigned"
    deployment = plane.manager.find(f"onlineEndpoints/{ENDPOINT}/deployments/blue")
    found = deployment["properties"]
    assert found["environmentId"].endswith(f"environments/{image.name}/versions/{image.version}")
    assert found["model"].endswith(f"models/{MODEL}/versions/1")
    assert found["modelMountPath"] == found["environmentVariables"]["KEDRO_CLOUD_MODEL_DIR"]
    assert found["codeConfiguration"]["scoringScript"] == bundle.ENTRY
    assert found["instanceType"] == "Standard_DS2_v2"
    assert deployment["sku"]["capacity"] == 1
    assert found["requestSettings"]["maxConcurrentRequestsPerInstance"] > 1
    assert traffic(plane) == {"blue": 100}
    before = len(plane.requests)
    assert f"endpoint {ENDPOINT} answers with it already" in succeed("--version", "1")
    assert puts(plane, before) == []


def test_the_code_is_uploaded_and_traffic_moves_after_the_test_request(plane, succeed):
    succeed()
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


def test_another_version_replaces_the_previous_deployment_unless_it_is_kept(plane, succeed):
    succeed("--version", "1")
    succeed("--version", "2", "--keep")
    assert traffic(plane) == {"green": 100}
    assert deployments(plane) == {"blue": "1", "green": "2"}
    before = len(plane.requests)
    succeed("--version", "1")
    assert traffic(plane) == {"blue": 100}
    assert deployments(plane) == {"blue": "1"}
    assert not [each for each in puts(plane, before) if "PUT" in each and "/deployments/" in each]


@pytest.mark.parametrize(
    "answer",
    [
        Answer.error(424, "ModelError", "the model failed"),
        Answer.of({"predictions": []}),
        Answer(200, b"Hello"),
    ],
)
def test_a_failed_test_request_moves_no_traffic_and_a_rerun_repeats_it(plane, run, succeed, answer):
    succeed("--version", "1")
    plane.invocations.scoring.answers["green"] = answer
    line = error_of(run("--version", "2"))
    assert f"get-logs --endpoint-name {ENDPOINT} --name green" in line
    assert traffic(plane) == {"blue": 100}
    assert deployments(plane) == {"blue": "1", "green": "2"}
    plane.invocations.scoring.answers.clear()
    before = len(plane.requests)
    succeed("--version", "2")
    assert traffic(plane) == {"green": 100}
    assert puts(plane, before) == [
        f"PUT {WORKSPACE}/onlineEndpoints/{ENDPOINT}",
        f"DELETE {WORKSPACE}/onlineEndpoints/{ENDPOINT}/deployments/blue",
    ]


def test_a_dry_run_shows_all_changes_and_applies_none(plane, succeed):
    succeed("--version", "1")
    before = len(plane.requests)
    lines = succeed("--version", "2", "--dry-run").splitlines()
    assert puts(plane, before) == []
    assert lines[1].startswith(f"+ deployment green: {MODEL} version 2 on 1 × Standard_DS2_v2 in ")
    assert lines[2].startswith("~ traffic to green: 100 %, once it has answered a test request")
    assert lines[3:] == ["- deployment blue"]


def test_the_champion_is_the_default_or_else_the_latest(plane, succeed):
    workspace_tags(plane, "1")["stage.champion"] = "true"
    assert f"{MODEL} version 1 (champion)" in succeed("--dry-run")
    del workspace_tags(plane, "1")["stage.champion"]
    assert f"{MODEL} version 2:" in succeed("--dry-run")


def test_packages_that_changed_since_training_are_reported(plane, run):
    workspace_tags(plane, "2")["library.torch"] = "1.9.0"
    result = run("--dry-run")
    assert "Warning: made with torch 1.9.0, now 2.13.0" in result.stderr


def test_a_missing_image_is_reported_with_the_command_that_registers_it(plane, run, image):
    plane.resources.delete(f"{WORKSPACE_ID}/environments/{image.name}/versions/{image.version}")
    assert "kedro cloud environment" in error_of(run())
    assert not puts(plane)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--version", "9"), "has no version 9; registered: 1, 2"),
        (("--stage", "candidate"), f"kedro cloud models promote {MODEL} 2 --to candidate"),
        (("-e", "base"), f"kedro cloud deploy --model {MODEL} --local -e base"),
        (("--model", "sensor_models"), "`deployments` has no entry 'sensor_models'"),
        (("--version", "1", "--stage", "champion"), "use one of them"),
        (("--port", "80"), "--port needs --local"),
    ],
)
def test_invalid_options_are_reported_in_one_line_and_change_nothing(
    plane, run, arguments, message
):
    assert message in error_of(run(*arguments))
    assert not puts(plane)


def test_a_rejected_deployment_is_reported_and_a_rerun_completes_it(plane, run, succeed):
    fault = Fault(
        Answer.error(400, "UserError", "Not enough quota for Standard_DS2_v2"),
        method="PUT",
        path="/deployments/blue$",
        times=1,
    )
    plane.faults.append(fault)
    assert "Not enough quota for Standard_DS2_v2" in error_of(run())
    assert traffic(plane) == {}
    succeed()
    assert traffic(plane) == {"blue": 100}


def test_split_traffic_is_not_changed():
    desired = DesiredDeployment(ENDPOINT, MODEL, "1", "image:1", "code", "Standard_DS2_v2", 1)
    with pytest.raises(ValueError, match="splits its traffic between blue and green; give all"):
        choose_target(desired, {"blue": 90, "green": 10}, {"blue": "x", "green": "y"})


def test_the_image_starts_the_uploaded_server_on_the_port_of_its_routes():
    command = (ROOT / "Dockerfile.serving").read_text().splitlines()[-1]
    shell = json.loads(command.removeprefix("CMD "))[-1]
    assert shell.endswith(f"python -m {bundle.MODULE}")
    assert f"{bundle.MODULE.replace('.', '/')}.py" == bundle.ENTRY
    assert {route["port"] for route in ROUTES.values()} == {serve.PORT}
