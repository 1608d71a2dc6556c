"""Users who promote a model must see which one it replaces, and where each comes from."""

import shutil
import subprocess
import sys
from functools import partial

import pytest

from kedro_cloud.cli.models import models
from plain import MODEL
from published import call, error_of, succeed
from registered import COMMIT, register_in_workspace, register_locally, workspace_tags


class LocalRegistry:
    """The registry of this machine, read with MLflow's client."""

    environment = "base"

    def __init__(self, folder):
        self.client = register_locally(folder)

    def stages(self):
        """Return the versions by stage."""
        aliases = self.client.get_registered_model(MODEL).aliases
        return {stage: [str(number)] for stage, number in aliases.items()}


class WorkspaceRegistry:
    """The registry of a workspace, read from its documents."""

    environment = "azureml"

    def __init__(self, plane):
        self.plane = plane
        register_in_workspace(plane)

    def stages(self):
        """Return the versions by stage."""
        found = {}
        for number in ("1", "2"):
            for tag in workspace_tags(self.plane, number):
                if tag.startswith("stage."):
                    found.setdefault(tag.removeprefix("stage."), []).append(number)
        return found


@pytest.fixture(params=["local", pytest.param("workspace", marks=pytest.mark.integration)])
def registry(request, project, empty_tracking):
    if request.param == "workspace":
        return WorkspaceRegistry(request.getfixturevalue("plane"))
    shutil.copy(empty_tracking, project)
    return LocalRegistry(project)


@pytest.fixture
def lines(project, registry):
    """Run a command, which must succeed; return the lines that it prints."""
    return lambda *arguments: succeed(
        project, models, *arguments, "-e", registry.environment
    ).splitlines()


def test_a_promotion_reports_the_replaced_version_and_is_idempotent(lines, registry):
    assert lines("promote", MODEL, "1", "--to", "champion") == [
        f"{MODEL} version 1 is now champion; the stage was empty"
    ]
    _, *rows = lines("list")
    assert [row.split()[:3] for row in rows] == [[MODEL, "1", "champion"], [MODEL, "2", "-"]]
    assert rows[0].endswith("reason 1")
    lines("promote", MODEL, "2", "--to", "candidate")
    assert registry.stages() == {"champion": ["1"], "candidate": ["2"]}
    line = f"{MODEL} version 2 {{}} champion, replacing version 1"
    command = ("promote", MODEL, "2", "--to", "champion")
    assert lines(*command, "--dry-run") == [line.format("would become")]
    assert registry.stages() == {"champion": ["1"], "candidate": ["2"]}
    assert lines(*command) == [line.format("is now")]
    assert registry.stages() == {"champion": ["2"]}  # the candidate stage is empty
    assert lines(*command) == [f"{MODEL} version 2 is champion already"]
    assert registry.stages() == {"champion": ["2"]}


def test_a_version_is_shown_with_its_sources_and_compared_with_another(lines, registry, project):
    shown = "\n".join(lines("show", MODEL, "2"))
    for part in (f"commit {COMMIT}", "train aaaaaaaaaaaa, test bbbbbbbbbbbb", "reason 2"):
        assert part in shown
    assert shown.count("0.99") == 1
    compared = lines("compare", MODEL, "1", "2")
    cells = [line.split() for line in compared]
    assert ["test_accuracy", "0.98", "0.99", "+0.01"] in cells
    assert ["epochs", "8", "12"] in cells
    assert not [row for row in cells if row[:1] == ["seed"]]
    assert "library: the same in both" in compared
    assert not [line for line in compared if "not comparable" in line]
    for arguments, message in (
        (("show", MODEL, "7"), f"{MODEL} has no version 7; registered: 1, 2"),
        (("promote", "nobody", "1", "--to", "champion"), f"no model 'nobody'; registered: {MODEL}"),
    ):
        result = call(project, models, *arguments, "-e", registry.environment)
        assert message in error_of(result)


@pytest.fixture
def run(project):
    """Run a command."""
    return partial(call, project, models)


def test_metrics_of_other_test_data_are_not_passed_off_as_comparable(run, plane):
    register_in_workspace(plane)
    workspace_tags(plane, "2")["test_data_sha256"] = "d" * 64
    result = run("compare", MODEL, "1", "2")
    assert "tested on different data: their metrics are not comparable" in result.stdout


def test_a_promotion_that_was_broken_off_is_noticed_and_can_be_finished(run, plane):
    register_in_workspace(plane, {"stage.champion": "true"})
    assert "versions 1 and 2" in error_of(run("show", MODEL))
    assert run("promote", MODEL, "2", "--to", "champion").exit_code == 0
    assert "stage.champion" not in workspace_tags(plane, "1")
    assert f"{MODEL} version 2" in run("show", MODEL).stdout


def test_of_a_model_from_a_job_the_job_tells_the_commit(run, plane):
    register_in_workspace(plane, {"git_commit": "", "azureml_job": "job-1"})
    properties = {"mlflow.source.git.commit": "e" * 40, "azureml.git.dirty": "True"}
    plane.manager.add(
        "jobs/job-1", {"jobType": "Pipeline", "properties": properties, "status": "Completed"}
    )
    lines = run("show", MODEL, "1").stdout
    assert f"commit {'e' * 40}+changed" in lines
    assert "job job-1" in lines


def test_promoting_without_permission_is_an_error(run, plane):
    register_in_workspace(plane)
    plane.manager.denied.add("models/versions/write")
    assert "permission denied" in error_of(run("promote", MODEL, "1", "--to", "champion"))
    assert "stage.champion" not in workspace_tags(plane, "1")


def test_listing_models_creates_no_database(run, project):
    assert "train one: kedro run" in error_of(run("list", "-e", "base"))
    assert not (project / "mlflow.db").exists()


def test_help_imports_neither_mlflow_nor_the_sdk():
    code = (
        "import sys, quartet.settings; "
        "from kedro_cloud.cli import deploy, models; "
        "print(sorted({'mlflow', 'azure.ai.ml.entities', 'torch', 'pandas'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr
