"""`kedro cloud environment` must register the image that jobs name, once."""

import pytest

from control_plane.documents import WORKSPACE_ID
from kedro_cloud.cli.environment import environment
from kedro_cloud.provisioning.environment import Image
from published import call, error_of, puts, succeed


@pytest.mark.parametrize(
    ("kind", "arguments"), [("cpu", ()), ("gpu", ("--gpu",)), ("serving", ("--serving",))]
)
def test_the_image_is_registered_once_from_what_the_dockerfile_copies(
    plane, project, kind, arguments
):
    source = project / "tools/start.sh"
    source.parent.mkdir()
    source.write_text("true\n")
    with Image.from_project(project, kind).dockerfile.open("a") as file:
        file.write("COPY tools/start.sh /start.sh\n")
    image = Image.from_project(project, kind)
    planned = succeed(project, environment, "--dry-run", *arguments)
    names = f"{image.dockerfile.name}, requirements.lock, tools/start.sh"
    assert f"would be made of {names}" in planned
    assert not [request for request in plane.requests if request.method == "PUT"]
    output = succeed(project, environment, *arguments)
    assert output.splitlines()[-1].startswith(f"{image.reference} is registered")
    found = plane.manager.find(f"environments/{image.name}/versions/{image.version}")
    assert found["properties"]["build"]["dockerfilePath"] == "Dockerfile"
    assert bool(found["properties"].get("inferenceConfig")) == (kind == "serving")
    uploads = [each for each in plane.requests if each.method == "PUT" and ".blob." in each.host]
    sent = {each.path: each.body for each in uploads if each.body}
    (root,) = (path.removesuffix("Dockerfile") for path in sent if path.endswith("/Dockerfile"))
    assert {path.removeprefix(root): body for path, body in sent.items()} == {
        "Dockerfile": image.dockerfile.read_bytes(),
        "requirements.lock": image.lock.read_bytes(),
        "tools/start.sh": source.read_bytes(),
    }
    since = len(plane.requests)
    again = succeed(project, environment, *arguments)
    assert again.splitlines()[-1] == f"{image.reference} is registered already"
    assert puts(plane, since) == []


@pytest.mark.parametrize(
    ("break_azure", "message"),
    [
        (
            lambda plane: plane.manager.denied.add("environments/versions/write"),
            "permission denied",
        ),
        (
            lambda plane: plane.resources.delete(WORKSPACE_ID),
            "workspace 'quartet-workspace': (ResourceNotFound)",
        ),
    ],
    ids=["no role", "no workspace"],
)
def test_an_error_is_reported_in_one_line(plane, project, break_azure, message):
    break_azure(plane)
    assert message in error_of(call(project, environment))
