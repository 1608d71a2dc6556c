"""`kedro cloud rehearse` must stop, fail, resume and support `kedro cloud plan`."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from kedro_cloud.blobs import azurite
from kedro_cloud.rehearsal import RehearsalDir
from plain import METRICS, PIPELINE, STEPS
from support import clean_environment, run_kedro, skip_or_fail

pytestmark = pytest.mark.integration  # each rehearsal starts an Azurite
COMMAND = ("cloud", "rehearse", "-p", PIPELINE)
ELSEWHERE = ("--params", "companies=abfs://mine/companies.csv")
UPLOAD = ("--upload", "data/01_raw/companies.csv=mine")


@pytest.fixture(scope="module")
def project(plain_project, tmp_path_factory) -> Path:
    try:
        with azurite.running():
            pass
    except OSError as error:
        skip_or_fail(str(error))
    return shutil.copytree(plain_project, tmp_path_factory.mktemp("rehearsed") / "plain")


@pytest.fixture(scope="module")
def stopped(project):
    """Interrupt a rehearsal; return exit code, errors, and the processes that still run."""
    with subprocess.Popen(
        [sys.executable, "-m", "kedro", *COMMAND],
        cwd=project,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout:
            if "running" in line:
                process.send_signal(signal.SIGINT)
                break
        _, errors = process.communicate()
    return process.returncode, errors, processes_of(project)


def processes_of(project) -> list[str]:
    """Return the command lines of processes whose arguments or variables name a project."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            text = f"{process.cmdline()} {process.environ()}"
            if str(project) in text and process.pid != os.getpid():
                found.append(text[:200])
    return found


@pytest.fixture(scope="module")
def failed(project, stopped):
    """Rehearse without the input data, after the stopped rehearsal."""
    return run_kedro(project, *COMMAND, *ELSEWHERE)


@pytest.fixture(scope="module")
def resumed(project, failed):
    """Upload the data, and resume the failed rehearsal."""
    return run_kedro(project, *COMMAND, *ELSEWHERE, *UPLOAD, "--resume")


def test_ctrl_c_stops_all_processes_and_prints_the_command_to_resume(stopped):
    code, errors, running = stopped
    assert code == 130
    command = f"kedro cloud rehearse -p {PIPELINE} --resume"
    assert errors.splitlines()[-1] == f"stopped; resume with: {command}"
    assert "Traceback" not in errors
    assert running == []


def test_a_failed_step_prints_its_log_and_the_command_to_resume(failed):
    assert failed.returncode == 1
    lines = failed.stdout.splitlines()
    (start,) = [index for index, line in enumerate(lines) if line.startswith("step 'pre")]
    assert "step 'prepare' failed: it ended with exit code 1; see its folder" in lines[start]
    assert any("mine" in line for line in lines[start + 1 : start + 21])
    assert "Traceback" not in failed.stdout
    assert failed.stderr.splitlines()[-1] == (
        f"fix this and resume with: kedro cloud rehearse -p {PIPELINE}"
        """ --params '{"companies": "abfs://mine/companies.csv"}' --resume"""
    )


def test_a_resumed_rehearsal_prints_costs_as_plain_text_and_has_the_metrics_of_a_run(
    resumed, project
):
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "\x1b" not in resumed.stdout
    assert "\r" not in resumed.stdout
    finished = [
        line
        for line in resumed.stdout.splitlines()
        if line.startswith(tuple(STEPS)) and "finished" in line
    ]
    assert [line.split()[0] for line in finished] == list(STEPS)
    for heading in ("seconds", "start-up s", "start-up MiB", "peak MiB", "output"):
        assert all(f"{heading} " in line for line in finished)
    assert "critical path" in resumed.stdout
    (metrics,) = RehearsalDir(project / "rehearsals").reports(PIPELINE).rglob("metrics.json")
    assert json.loads(metrics.read_text()) == METRICS


def test_a_rehearsal_can_be_planned(resumed, project):
    planned = run_kedro(project, "cloud", "plan", "-p", PIPELINE, "--nodes", "0:2")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "Standard_D4s_v5" in planned.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-p", "shutles"), "pipeline 'shutles' does not exist; did you mean 'shuttles'?"),
        (("--params", "title=/nowhere"), "parameter 'title': /nowhere does not exist on a cluster"),
    ],
)
def test_invalid_arguments_are_reported_in_one_line(project, arguments, message):
    result = run_kedro(project, *COMMAND, *arguments)
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert line.startswith(f"Error: {message}")


def test_a_step_advises_to_rehearse_what_it_needs(resumed, project):
    result = run_kedro(project, *COMMAND, "--params", "title=missing")
    assert result.returncode == 1
    assert "no title; run `kedro cloud rehearse -p titles` first" in result.stdout
