"""`kedro cloud environment` must register what the job will name, once, and nothing more."""

import shutil
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from control_plane.manager import WORKSPACE_ID
from kedro_cloud.cli.environment import environment
from kedro_cloud.provisioning.environment import Image
from projects import make_project
from support import ROOT, bootstrap

bootstrap()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("registered") / "quartet")


@pytest.fixture
def register(plane):
    """Runs the command in a project, in this process."""

    def run(project, *arguments):
        metadata = SimpleNamespace(project_path=project)
        return CliRunner().invoke(environment, arguments, obj=metadata)

    return run


def registered(plane, image):
    return plane.manager.find(f"environments/{image.name}/versions/{image.version}")


@pytest.mark.parametrize(("kind", "arguments"), [("cpu", ()), ("gpu", ("--gpu",))])
def test_the_image_is_registered_once(plane, register, project, kind, arguments):
    image = Image.from_project(project, kind)
    result = register(project, *arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1].startswith(f"{image.reference} is registered")
    assert registered(plane, image)["properties"]["build"]["dockerfilePath"] == "Dockerfile"
    requests = len(plane.requests)
    again = register(project, *arguments)
    assert again.stdout.splitlines()[-1] == f"{image.reference} is registered already"
    assert not [request for request in plane.requests[requests:] if request.method == "PUT"]


def test_the_build_context_holds_what_the_dockerfile_copies_and_nothing_else(
    plane, register, project
):
    assert register(project).exit_code == 0
    uploads = [
        request
        for request in plane.requests
        if request.method == "PUT" and request.host.endswith(".blob.core.windows.net")
    ]
    sent = {request.path.rsplit("/", 1)[-1]: request.body for request in uploads if request.body}
    assert sent == {
        name: (ROOT / name).read_bytes() for name in ("Dockerfile", "requirements.lock")
    }


def test_a_dry_run_changes_nothing(plane, register, project):
    result = register(project, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "would be made of Dockerfile and requirements.lock" in result.stdout
    assert not [request for request in plane.requests if request.method == "PUT"]


def test_another_lock_file_is_another_environment(plane, register, project, tmp_path):
    other = shutil.copytree(project, tmp_path / "other")
    with (other / "requirements.lock").open("a") as file:
        file.write("another==1\n")
    for folder in (project, other):
        assert register(folder).exit_code == 0
    names = {found["name"] for found in plane.manager.list("environments")}
    assert names == {Image.from_project(folder, "cpu").name for folder in (project, other)}


@pytest.mark.parametrize(
    ("denied", "missing", "said"),
    [
        ("environments/versions/write", False, "you may not do that"),
        (None, True, "workspace 'quartet-workspace': (ResourceNotFound)"),
    ],
)
def test_what_is_amiss_is_told_in_one_line(plane, register, project, denied, missing, said):
    if denied:
        plane.manager.denied.add(denied)
    if missing:
        plane.resources.delete(WORKSPACE_ID)
    result = register(project)
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert said in errors[0]
