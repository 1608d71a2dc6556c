"""Whoever promotes a model must see which one it replaces, and where each comes from."""

import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from kedro_cloud.cli.models import models
from projects import make_project
from registered import COMMIT, MODEL, register_here, register_there, tags_there
from support import bootstrap

bootstrap()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("registry") / "quartet")


class Here:
    """The registry of this machine; MLflow's own client tells what is in it."""

    environment = "base"

    def __init__(self, folder):
        self.client = register_here(folder)

    def stages(self):
        """Versions by stage."""
        aliases = self.client.get_registered_model(MODEL).aliases
        return {stage: [str(number)] for stage, number in aliases.items()}


class There:
    """The registry of a workspace; its documents tell what is in it."""

    environment = "azureml"

    def __init__(self, plane):
        self.plane = plane
        register_there(plane)

    def stages(self):
        """Versions by stage."""
        found = {}
        for number in ("1", "2"):
            for tag in tags_there(self.plane, number):
                if tag.startswith("stage."):
                    found.setdefault(tag.removeprefix("stage."), []).append(number)
        return found


@pytest.fixture
def call(project):
    """Runs a command in this process."""

    def run(*arguments):
        metadata = SimpleNamespace(project_path=project)
        return CliRunner().invoke(models, arguments, obj=metadata)

    return run


@pytest.fixture(params=["here", pytest.param("there", marks=pytest.mark.integration)])
def registry(request, tmp_path, empty_tracking, monkeypatch):
    if request.param == "there":
        return There(request.getfixturevalue("plane"))
    shutil.copy(empty_tracking, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return Here(tmp_path)


@pytest.fixture
def told(call, registry):
    """Lines that a command prints of the registry, which it must find fault with nothing in."""

    def run(*arguments):
        result = call(*arguments, "-e", registry.environment)
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    return run


def test_all_versions_are_listed_with_their_stages(told):
    told("promote", MODEL, "1", "--to", "champion")
    _, *rows = told("list")
    assert [row.split()[:3] for row in rows] == [[MODEL, "1", "champion"], [MODEL, "2", "-"]]
    assert rows[0].endswith("reason 1")
    assert told("list", MODEL)[1:] == rows


def test_a_promotion_says_what_it_replaces_and_happens_once(told, registry):
    assert told("promote", MODEL, "1", "--to", "champion") == [
        f"{MODEL} version 1 is now champion; no other was"
    ]
    line = f"{MODEL} version 2 {{}} champion in the place of version 1"
    command = ("promote", MODEL, "2", "--to", "champion")
    assert told(*command, "--dry-run") == [line.format("would become")]
    assert registry.stages() == {"champion": ["1"]}
    assert told(*command) == [line.format("is now")]
    assert registry.stages() == {"champion": ["2"]}
    assert told(*command) == [f"{MODEL} version 2 is champion already"]
    assert registry.stages() == {"champion": ["2"]}


def test_a_champion_is_no_candidate_any_more(told, registry):
    told("promote", MODEL, "1", "--to", "champion")
    told("promote", MODEL, "2", "--to", "candidate")
    assert registry.stages() == {"champion": ["1"], "candidate": ["2"]}
    told("promote", MODEL, "2", "--to", "champion")
    assert registry.stages() == {"champion": ["2"]}


def test_a_version_is_shown_with_run_data_and_code(told):
    lines = "\n".join(told("show", MODEL, "2"))
    assert f"commit {COMMIT}" in lines
    assert "train aaaaaaaaaaaa, test bbbbbbbbbbbb" in lines
    assert "reason 2" in lines
    assert lines.count("0.99") == 1


def test_what_differs_between_two_versions_is_shown_and_nothing_else(told):
    lines = told("compare", MODEL, "1", "2")
    cells = [line.split() for line in lines]
    assert ["test_accuracy", "0.98", "0.99", "+0.01"] in cells
    assert ["epochs", "8", "12"] in cells
    assert not [row for row in cells if row[:1] == ["seed"]]
    assert "library: the same in both" in lines
    assert not [line for line in lines if "do not compare" in line]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", MODEL, "7"), f"{MODEL} has no version 7; registered: 1, 2"),
        (("promote", "nobody", "1", "--to", "champion"), f"no model 'nobody'; registered: {MODEL}"),
    ],
)
def test_a_version_that_is_not_there_is_told_in_one_line(call, registry, arguments, said):
    result = call(*arguments, "-e", registry.environment)
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert said in line


def test_metrics_of_other_test_data_are_not_passed_off_as_comparable(call, plane):
    register_there(plane)
    tags_there(plane, "2")["test_data_sha256"] = "d" * 64
    result = call("compare", MODEL, "1", "2")
    assert "tested on different data: their metrics do not compare" in result.stdout


def test_a_promotion_that_was_broken_off_is_noticed_and_can_be_finished(call, plane):
    register_there(plane, {"stage.champion": "true"})
    result = call("show", MODEL)
    assert result.exit_code == 1
    assert "versions 1 and 2" in result.stderr
    assert call("promote", MODEL, "2", "--to", "champion").exit_code == 0
    assert "stage.champion" not in tags_there(plane, "1")
    assert f"{MODEL} version 2" in call("show", MODEL).stdout


def test_of_a_model_from_a_job_the_job_tells_the_commit(call, plane):
    register_there(plane, {"git_commit": "", "azureml_job": "job-1"})
    properties = {"mlflow.source.git.commit": "e" * 40, "azureml.git.dirty": "True"}
    plane.manager.add(
        "jobs/job-1", {"jobType": "Pipeline", "properties": properties, "status": "Completed"}
    )
    lines = call("show", MODEL, "1").stdout
    assert f"commit {'e' * 40}+changed" in lines
    assert "job job-1" in lines


def test_one_who_may_not_promote_is_told_so(call, plane):
    register_there(plane)
    plane.manager.denied.add("models/versions/write")
    result = call("promote", MODEL, "1", "--to", "champion")
    assert result.exit_code == 1
    assert "you may not do that" in result.stderr
    assert "stage.champion" not in tags_there(plane, "1")


def test_asking_for_models_makes_no_database(call, project, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = call("list", "-e", "base")
    assert result.exit_code == 1
    assert "train one: kedro run" in result.stderr
    assert not (project / "mlflow.db").exists()


def test_help_waits_for_neither_mlflow_nor_the_sdk():
    code = (
        "import sys, quartet.settings; "
        "from kedro_cloud.cli import deploy, models; "
        "print(sorted({'mlflow', 'azure.ai.ml.entities', 'torch', 'pandas'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr
