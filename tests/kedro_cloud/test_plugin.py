"""The plugin serves any Kedro project: it knows no scenario, and needs no setting in Python."""

from __future__ import annotations

import json
import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

from control_plane import ControlPlane
from kedro_cloud.blobs.azurite import Azurite
from kedro_cloud.hooks import HOOKS
from plain import PIPELINE, make_plain_project
from submitted import job_document, read_submitted, submit
from support import ROOT, run_kedro

PLUGIN = ROOT / "src/kedro_cloud"
STEPS = {"clean", "join", "average"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_plain_project(tmp_path_factory.mktemp("plain"))


def test_its_code_names_no_scenario_and_not_the_project() -> None:
    words = r"faq|mnist|anomaly|sensor|styliz|style_transfer|video|quartet"
    for path in PLUGIN.rglob("*.py"):
        assert re.findall(words, path.read_text(encoding="utf-8"), re.IGNORECASE) == [], path


def test_each_hook_has_an_entry_point_of_its_name_and_runs_once() -> None:
    found = {point.name: point.load() for point in entry_points(group="kedro.hooks")}
    assert {name: hook for name, hook in found.items() if hook in HOOKS} == {
        hook.__name__: hook for hook in HOOKS
    }


def test_its_commands_are_those_of_a_project_that_installs_it(project: Path) -> None:
    listed = run_kedro(project, "--help", fresh=True)
    assert listed.returncode == 0, listed.stderr
    for command in ("azureml", "cloud"):
        assert len(re.findall(rf"^  {command} ", listed.stdout, re.MULTILINE)) == 1


def test_a_pipeline_is_compiled(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "job.yml"
    result = run_kedro(
        project, "azureml", "-e", "azureml", "compile", "-p", PIPELINE, "-o", str(file)
    )
    assert result.returncode == 0, result.stderr
    assert yaml.safe_load(file.read_text())["jobs"].keys() == STEPS


def test_a_local_run_works_as_ever(project: Path) -> None:
    result = run_kedro(project, "run", "--pipelines", PIPELINE)
    assert result.returncode == 0, result.stderr
    metrics = json.loads((project / "data/08_reporting/shuttles/metrics.json").read_text())
    assert metrics == {"mean_price": 30.0}


@pytest.mark.integration
def test_a_pipeline_is_rehearsed_and_then_planned(project: Path, azurite: Azurite) -> None:
    rehearsed = run_kedro(project, "cloud", "rehearse", "-p", PIPELINE)
    assert rehearsed.returncode == 0, rehearsed.stdout + rehearsed.stderr
    (metrics,) = (project / "rehearsals/reports").rglob("metrics.json")
    assert json.loads(metrics.read_text()) == {"mean_price": 30.0}
    planned = run_kedro(project, "cloud", "plan", "-p", PIPELINE, "--nodes", "0:2")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "Standard_D4s_v5" in planned.stdout


def test_a_pipeline_is_submitted(project: Path, plane: ControlPlane) -> None:
    plane.manager.add_cluster("cpu-cluster")
    plane.manager.add("environments/plain/versions/1", {"osType": "Linux"})
    result = submit(plane, project, "-p", PIPELINE)
    assert result.returncode == 0, result.stderr
    job = read_submitted(plane, job_document(plane, result))
    assert {step.name for step in job.steps} == STEPS
    assert {step.environment for step in job.steps} == {"plain:1"}
