"""`kedro azureml run` must submit the rehearsed job, and nothing private."""

import json
from dataclasses import replace

import pytest
from kedro.framework.startup import bootstrap_project

from control_plane import signin
from kedro_cloud.jobs.snapshot import take_snapshot
from kedro_cloud.jobs.translation import translate
from kedro_cloud.provisioning.environment import Image
from projects import PRIVATE, add_history, add_private_files, furnish, last_commit, make_project
from submitted import (
    code_addresses,
    component,
    connected,
    download,
    job_document,
    read_submitted,
    submit_everything,
)
from support import bootstrap

bootstrap()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("submitted") / "quartet")
    add_history(folder)
    add_private_files(folder)
    return folder


@pytest.fixture(scope="module")
def plane(project, control_plane):
    """Return an Azure with all resources of the project's configuration."""
    control_plane.reset()
    furnish(control_plane, project)
    return control_plane


@pytest.fixture(scope="module")
def everything(plane, project):
    """Submit all scenarios as one job, in a process whose connections are recorded."""
    result = submit_everything(plane, project)
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr
    return job_document(plane, result)


def test_the_submitted_job_is_the_rehearsed_job(plane, everything, project):
    job = read_submitted(plane, everything)
    translated = translate(bootstrap_project(project), "azureml", "__default__", {})
    assert job == replace(translated, name=job.name)
    assert len({step.compute for step in job.steps}) == 3


def test_the_job_has_experiment_name_and_commit(everything, plane, project):
    image = Image.from_project(project, "cpu")
    properties = everything["properties"]
    assert properties["experimentName"] == "quartet"
    assert properties["displayName"] == "__default__"
    for name, node in properties["jobs"].items():
        step = component(plane, node)
        assert step["display_name"] == name
        assert step["environment"].endswith(f"/environments/{image.name}/versions/{image.version}")
    assert properties["properties"]["mlflow.source.git.commit"] == last_commit(project)


def test_steps_receive_no_secrets_and_only_azure_is_contacted(plane, everything):
    nodes = everything["properties"]["jobs"].values()
    for node in nodes:
        assert node["environment_variables"] == {"KEDRO_AZURE_RUNNER_CONFIG": ""}
    text = json.dumps([everything, *(component(plane, node) for node in nodes)])
    for secret in (signin.SECRET, PRIVATE, "AccountKey", "sig="):
        assert secret not in text
    assert plane.refused == []
    assert connected(plane) == {"127.0.0.1"}


def test_the_uploaded_code_is_the_rehearsed_code_without_private_files(
    plane, everything, project, tmp_path
):
    (address,) = code_addresses(plane, everything)
    uploaded = contents(download(plane, address, tmp_path / "uploaded"))
    take_snapshot(project, tmp_path / "rehearsed")
    assert uploaded == contents(tmp_path / "rehearsed")
    for folder in ("src", "conf/base", "conf/azureml"):
        needed = contents(project / folder)
        assert (
            needed.items()
            <= {
                name.removeprefix(f"{folder}/"): content for name, content in uploaded.items()
            }.items()
        )
    # Reading the configuration needs the last two, for the name of the image.
    assert {"pyproject.toml", "requirements.lock", "Dockerfile"} <= uploaded.keys()
    assert not [name for name, content in uploaded.items() if PRIVATE.encode() in content]
    tops = {name.partition("/")[0] for name in uploaded}
    assert not tops & {".git", ".env", ".venv", "data", "notebooks", "mlflow.db", "rehearsals"}
    assert not [name for name in uploaded if name.startswith("conf/local/")]


def contents(folder):
    """Return the content of a folder's files by path, without `__pycache__`."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: path.read_bytes()
        for name, path in files.items()
        if path.is_file() and "__pycache__" not in name
    }
