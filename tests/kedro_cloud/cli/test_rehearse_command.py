"""`kedro cloud rehearse` as a person runs it: stopped, failed, gone on with, and then planned."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kedro_cloud.blobs import azurite
from kedro_cloud.rehearsal import RehearsalDir
from plain import METRICS, PIPELINE, STEPS
from support import clean_environment, run_kedro, skip_or_fail

pytestmark = pytest.mark.integration  # each rehearsal starts an Azurite of its own
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
    """One that Ctrl-C ends while its step runs: exit code, errors, and what is left running."""
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
    """Command lines of living processes that have to do with a project."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if str(project).encode() in told and int(folder.name) != os.getpid():
            found.append(told.replace(b"\0", b" ").decode()[:200])
    return found


@pytest.fixture(scope="module")
def failed(project, stopped):
    """One whose data is not there, in a place where another was stopped."""
    return run_kedro(project, *COMMAND, *ELSEWHERE)


@pytest.fixture(scope="module")
def resumed(project, failed):
    """The same, gone on with once the data is there."""
    return run_kedro(project, *COMMAND, *ELSEWHERE, *UPLOAD, "--resume")


def test_ctrl_c_stops_all_and_says_how_to_go_on(stopped):
    code, errors, left = stopped
    assert code == 130
    again = f"kedro cloud rehearse -p {PIPELINE} --resume"
    assert errors.splitlines()[-1] == f"stopped; resume with: {again}"
    assert "Traceback" not in errors
    assert left == []


def test_a_failed_step_shows_why_and_says_how_to_go_on(failed):
    assert failed.returncode == 1
    lines = failed.stdout.splitlines()
    (beginning,) = [number for number, line in enumerate(lines) if line.startswith("step 'pre")]
    assert "step 'prepare' failed: it ended with exit code 1; see its folder" in lines[beginning]
    assert any("mine" in line for line in lines[beginning + 1 : beginning + 21])
    assert "Traceback" not in failed.stdout
    assert failed.stderr.splitlines()[-1] == (
        f"fix this and resume with: kedro cloud rehearse -p {PIPELINE}"
        """ --params '{"companies": "abfs://mine/companies.csv"}' --resume"""
    )


def test_what_was_resumed_tells_in_plain_text_what_it_cost_and_measures_what_a_run_does(
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
    ("arguments", "said"),
    [
        (("-p", "shutles"), "pipeline 'shutles' does not exist; did you mean 'shuttles'?"),
        (("--params", "title=/nowhere"), "parameter 'title': /nowhere does not exist on a cluster"),
    ],
)
def test_what_cannot_be_rehearsed_ends_in_one_line(project, arguments, said):
    result = run_kedro(project, *COMMAND, *arguments)
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert line.startswith(f"Error: {said}")


def test_a_step_advises_to_rehearse_what_it_needs(resumed, project):
    result = run_kedro(project, *COMMAND, "--params", "title=missing")
    assert result.returncode == 1
    assert "no title; run `kedro cloud rehearse -p titles` first" in result.stdout
