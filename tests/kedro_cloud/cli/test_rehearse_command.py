"""`kedro cloud rehearse` as a person runs it: real pipelines, on the samples, in one place."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from kedro.framework.startup import bootstrap_project
from mlflow import MlflowClient

from kedro_cloud.blobs import azurite
from kedro_cloud.jobs.job import Job
from kedro_cloud.jobs.translation import translate
from kedro_cloud.rehearsal import RehearsalDir, RehearsalSettings, rehearse
from projects import make_project
from support import clean_environment, run_kedro, skip_or_fail

pytestmark = pytest.mark.integration  # each rehearsal starts an Azurite of its own
TRAINING = "sensor_svm.workers=1"
THREE_RANKS = {"step_nodes": {"train_models": 3}, "sensor_svm": {"workers": 1}}
UPLOAD = ("--upload", "data/01_raw/stackexchange=mine/dump")
ELSEWHERE = ("-p", "faq_ingestion", "--params", "faq_dump=abfs://mine/dump")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    try:
        with azurite.running():
            pass
    except OSError as error:
        skip_or_fail(str(error))
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def local(project) -> Path:
    """The same project, in which `kedro run` has made what the rehearsals are compared with."""
    names = ",".join(["faq_ingestion", "sensor_ingestion", "anomaly_training"])
    result = run_kedro(project, "run", "--pipelines", names, "--params", TRAINING)
    assert result.returncode == 0, result.stderr
    return project / "data/08_reporting"


@pytest.fixture(scope="module")
def place(project) -> RehearsalDir:
    return RehearsalDir(project / "rehearsals")


def rehearsed(project, *arguments):
    return run_kedro(project, "cloud", "rehearse", *arguments)


@pytest.fixture(scope="module")
def stopped(project):
    """One that Ctrl-C ends while its step runs: exit code, what it said, what is left running."""
    command = [sys.executable, "-m", "kedro", "cloud", "rehearse", "-p", "faq_ingestion"]
    with subprocess.Popen(
        command,
        cwd=project,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "running" in line:
                process.send_signal(signal.SIGINT)
                break
        output, errors = process.communicate()
    return process.returncode, "".join(seen) + output, errors, processes_of(project)


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
    return rehearsed(project, *ELSEWHERE)


@pytest.fixture(scope="module")
def resumed(project, failed):
    """The same, gone on with once the data is there."""
    # In a process of its own: what libraries print when they are imported is noise, too.
    return run_kedro(project, "cloud", "rehearse", *ELSEWHERE, *UPLOAD, "--resume")


@pytest.fixture(scope="module")
def trained(project, resumed):
    """Two pipelines one after the other; the second reads the database that the first filled."""
    first = rehearsed(project, "-p", "sensor_ingestion")
    assert first.returncode == 0, first.stdout + first.stderr
    second = rehearsed(project, "-p", "anomaly_training", "--params", json.dumps(THREE_RANKS))
    assert second.returncode == 0, second.stdout + second.stderr
    return second


def test_ctrl_c_stops_all_and_says_how_to_go_on(stopped):
    code, _, errors, left = stopped
    assert code == 130
    assert errors.splitlines()[-1] == (
        "stopped; go on with: kedro cloud rehearse -p faq_ingestion --resume"
    )
    assert "Traceback" not in errors
    assert left == []


def test_a_failed_step_shows_why_and_says_how_to_go_on(failed, place):
    assert failed.returncode == 1
    lines = failed.stdout.splitlines()
    (beginning,) = [number for number, line in enumerate(lines) if line.startswith("step 'ing")]
    assert "step 'ingest_dump' failed: it ended with exit code 1; it is kept in" in lines[beginning]
    assert any("mine" in line for line in lines[beginning + 1 : beginning + 21])
    assert "Traceback" not in failed.stdout
    assert failed.stderr.splitlines()[-1] == (
        "mend it and go on with: kedro cloud rehearse -p faq_ingestion"
        """ --params '{"faq_dump": "abfs://mine/dump"}' --resume"""
    )


def test_a_rehearsal_in_a_file_is_plain_text(resumed):
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "\x1b" not in resumed.stdout
    assert "\r" not in resumed.stdout
    words = {line.split()[1] for line in resumed.stdout.splitlines() if line.startswith("ingest_")}
    assert words == {"running", "finished"}


def test_a_rehearsal_tells_what_the_start_cost_and_what_decided_the_time(resumed):
    (line,) = [line for line in resumed.stdout.splitlines() if "finished" in line]
    for heading in ("seconds", "start-up s", "start-up MiB", "peak MiB", "output"):
        assert f"{heading} " in line
    assert "critical path" in resumed.stdout


def test_noise_of_libraries_stays_out(resumed):
    assert resumed.stderr == ""


@pytest.mark.parametrize("pipeline", ["faq_ingestion", "sensor_ingestion", "anomaly_training"])
def test_a_rehearsal_measures_what_a_local_run_measures(pipeline, trained, place, local):
    found = json.loads((place.reports(pipeline) / "metrics.json").read_text())
    expected = json.loads((local / pipeline / "metrics.json").read_text())
    assert untimed(found) == untimed(expected)
    reports = {path.name for path in place.reports(pipeline).rglob("*")}
    assert reports == {path.name for path in (local / pipeline).rglob("*")}


def untimed(metrics):
    return {
        name: value
        for name, value in metrics.items()
        if "second" not in name and "_per_s" not in name
    }


def test_metrics_are_in_the_runs_of_steps_below_that_of_the_job(trained, place):
    journal = json.loads((place.run("anomaly_training") / "job.json").read_text())
    client = MlflowClient(place.tracking)
    metrics = {}
    for step in journal["steps"].values():
        run = client.get_run(step["run_id"])
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == journal["run_id"]
        metrics.update(run.data.metrics)
    assert client.get_run(journal["run_id"]).info.status == "FINISHED"
    written = json.loads((place.reports("anomaly_training") / "metrics.json").read_text())
    assert metrics == {f"anomaly_training/{name}": value for name, value in written.items()}


def test_ranks_train_the_same_models_as_one_process(trained, place, project):
    three = models(place)
    whole = translate(bootstrap_project(project), "azureml", "anomaly_training", THREE_RANKS)
    needed = [step for step in whole.steps if step.name != "release_bank"]
    with place.lock(), azurite.running(place.blobs) as storage:
        settings = RehearsalSettings(
            resume=True,
            environment={
                "AZURE_STORAGE_CONNECTION_STRING": storage.connection_string,
                "QUARTET_SENSOR_DATABASE": f"sqlite:///{place.folder}/sensors.db",
            },
        )
        steps = (
            replace(step, instances=1) if step.name == "train_models" else step for step in needed
        )
        job = Job(whole.name, whole.experiment, tuple(steps))
        report = rehearse(job, place.snapshot, place, settings)
        assert [str(step.state) for step in report.steps] == ["kept", "finished"]
        assert models(place) == three


def models(place) -> bytes:
    folder = place.run("anomaly_training") / "steps/train_models/outputs/trained_models"
    (file,) = [path for path in folder.rglob("*") if path.is_file()]
    return file.read_bytes()


def test_a_misspelt_pipeline_ends_in_one_line(project):
    result = rehearsed(project, "-p", "faq_tunin")
    assert result.returncode == 1
    assert result.stderr == "Error: there is no pipeline 'faq_tunin'; did you mean 'faq_tuning'?\n"


def test_a_local_file_ends_in_one_line(project, tmp_path):
    result = rehearsed(project, "-p", "style_transfer", "--params", f"video={tmp_path}")
    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: parameter 'video': {tmp_path} would not be there")
    assert len(result.stderr.splitlines()) == 1
