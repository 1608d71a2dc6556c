"""The plugin must work in any Kedro project, without settings in Python."""

from __future__ import annotations

import json
import re
from importlib.metadata import entry_points
from pathlib import Path

from kedro_cloud.hooks import HOOKS
from plain import METRICS, PIPELINE
from support import ROOT, run_kedro

PLUGIN = ROOT / "src/kedro_cloud"


def test_the_code_names_no_scenario_and_not_the_project() -> None:
    words = r"faq|mnist|anomaly|sensor|styliz|style_transfer|video|quartet"
    for path in PLUGIN.rglob("*.py"):
        assert re.findall(words, path.read_text(encoding="utf-8"), re.IGNORECASE) == [], path


def test_each_hook_has_an_entry_point_of_its_name_and_runs_once() -> None:
    found = {point.name: point.load() for point in entry_points(group="kedro.hooks")}
    assert {name: hook for name, hook in found.items() if hook in HOOKS} == {
        hook.__name__: hook for hook in HOOKS
    }


def test_a_project_that_installs_the_plugin_has_its_commands(plain_project: Path) -> None:
    listed = run_kedro(plain_project, "--help")
    assert listed.returncode == 0, listed.stderr
    for command in ("azureml", "cloud"):
        assert len(re.findall(rf"^  {command} ", listed.stdout, re.MULTILINE)) == 1


def test_a_local_run_works_with_the_plugin(project: Path) -> None:
    result = run_kedro(project, "run", "--pipelines", PIPELINE)
    assert result.returncode == 0, result.stderr
    metrics = json.loads((project / "data/08_reporting/shuttles/metrics.json").read_text())
    assert metrics == METRICS
