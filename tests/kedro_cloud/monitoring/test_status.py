"""The status of a job must be correct: its steps, their results, and how to resume."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError

from control_plane import Moment, StepRun
from control_plane.documents import WORKSPACE_ID, places_to_look
from control_plane.messages import Answer, Fault
from control_plane.signin import TENANT
from kedro_cloud.cli import status as status_command
from kedro_cloud.monitoring.workspace_jobs import resume_command
from plain import METRICS, PACKAGE, PIPELINE, STEPS
from published import call, error_of

JOB = "hungry_island_7"
PREPARED = StepRun("Completed", step="prepare", began=60, ended=70)
SEARCHING = StepRun("Running", step="search", began=80)
SEARCHED = replace(SEARCHING, status="Completed", ended=190)
AVERAGED = StepRun(
    "Completed",
    step="average",
    began=200,
    ended=206,
    metrics={f"{PIPELINE}/{name}": value for name, value in METRICS.items()},
)
DONE = Moment("Completed", steps=(PREPARED, SEARCHED, AVERAGED), began=30, ended=210)
BROKEN = replace(
    SEARCHING,
    status="Failed",
    ended=95,
    log="".join(f"line {number}\n" for number in range(100)),
    error="Execution failed.\nExit code 1",
)
FAILED = Moment("Failed", steps=(PREPARED, BROKEN), began=30, ended=110)


@pytest.fixture
def plane(plane):
    """Return a workspace with a cluster."""
    plane.manager.add_cluster("cpu-cluster")
    return plane


@pytest.fixture
def status(plane, project, monkeypatch):
    monkeypatch.setattr(status_command.time, "sleep", lambda seconds: None)

    return partial(call, project, status_command.status)


def add_job(plane, name=JOB, pipeline=PIPELINE, params='{"seed": 2}', experiment=PACKAGE):
    """Add a job as kedro-azureml submits it; return its name."""
    option = f" --params='{params}'" if params else ""
    nodes = {}
    for step in STEPS:
        path = f"components/azureml_anonymous/versions/{name}-{step}"
        command = f"kedro azureml -e azureml execute --pipeline={pipeline} --node={step}{option}"
        environment = f"azureml:{WORKSPACE_ID}/environments/quartet-cpu/versions/1"
        spec = {"command": command, "name": step, "type": "command", "environment": environment}
        component = plane.manager.add(path, {"componentSpec": spec})
        nodes[step] = {"name": step, "type": "command", "componentId": component["id"]}
    job = {
        "jobType": "Pipeline",
        "displayName": pipeline,
        "experimentName": experiment,
        "jobs": nodes,
        "inputs": {},
        "outputs": {},
        "settings": {"_source": "DSL"},
        "properties": {},
        "tags": {},
        "services": places_to_look(f"jobs/{name}"),
    }
    plane.manager.add(f"jobs/{name}", job)
    plane.runs.experiments[name] = experiment
    return name


def test_a_finished_job_shows_steps_times_and_its_primary_metric(plane, status):
    plane.runs.moments[add_job(plane)] = (DONE,)
    result = status(JOB)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "prepare  finished   10.0 s",
        "search   finished   1 min 50 s",
        "average  finished   6.0 s",
        "mean_price 30",
        f"{JOB}: shuttles finished, 3 of 3 steps, 3 min 0 s",
        f"see https://ml.azure.com/runs/{JOB}?wsid={WORKSPACE_ID}&tid={TENANT}",
    ]
    assert plane.refused == []


def test_a_failed_step_shows_the_end_of_its_log_and_the_command_that_resumes(plane, status):
    plane.runs.moments[add_job(plane)] = (FAILED,)
    result = status(JOB)
    assert result.exit_code == 1, result.output
    lines = result.stdout.splitlines()
    assert lines[1].split() == ["search", "failed", "15.0", "s", *BROKEN.error.split()]
    assert lines[2] == "average  skipped"  # and no longer waits for a node
    assert f"{JOB}: shuttles failed, 1 of 3 steps, 1 min 20 s" in lines
    at = lines.index("step 'search' failed: Execution failed. Exit code 1")
    assert lines[at + 1 : at + 21] == [f"    line {number}" for number in range(80, 100)]
    assert lines[at + 21] == (
        "fix this and resume with: "
        "kedro azureml -e azureml run -p shuttles --params '{\"seed\": 2}'"
    )


@pytest.mark.parametrize(
    ("state", "code", "text"),
    [("Canceled", 3, "stopped"), ("Running", 4, "running"), ("Queued", 4, "queued")],
)
def test_the_exit_code_shows_the_state_of_the_job(plane, status, state, code, text):
    plane.runs.moments[add_job(plane)] = (Moment(state, steps=(PREPARED,), began=30),)
    result = status(JOB)
    assert result.exit_code == code
    assert f"{JOB}: shuttles {text}, 1 of 3 steps" in result.stdout


def test_following_a_job_writes_one_line_per_change(plane, status):
    going = Moment("Running", steps=(PREPARED,), began=30)
    later = Moment("Running", steps=(PREPARED, SEARCHING), began=30)
    plane.runs.moments[add_job(plane)] = (going, going, later, later, DONE)
    result = status(JOB, "--follow")
    assert result.exit_code == 0, result.output
    changes = [line.split()[:2] for line in result.stdout.splitlines()]
    assert changes == [
        ["prepare", "finished"],
        [f"{JOB}:", "shuttles"],
        ["search", "running"],
        ["search", "finished"],
        ["average", "finished"],
        ["mean_price", "30"],
        [f"{JOB}:", "shuttles"],
        ["see", f"https://ml.azure.com/runs/{JOB}?wsid={WORKSPACE_ID}&tid={TENANT}"],
    ]


def test_a_network_outage_does_not_stop_following(plane, status, monkeypatch):
    going = Moment("Running", steps=(PREPARED,), began=30)
    plane.runs.moments[add_job(plane)] = (going, going, DONE)
    gone = Fault(Answer.error(401, "Gone", "gone"), path=f"/jobs/{JOB}$")
    waits = iter([lambda: plane.faults.append(gone), plane.faults.clear])
    monkeypatch.setattr(status_command, "_is_transient", lambda error: True)
    monkeypatch.setattr(status_command.time, "sleep", lambda s: next(waits, lambda: None)())
    result = status(JOB, "--follow")
    assert gone.met
    assert result.exit_code == 0, result.output


def test_a_step_whose_result_was_reused_counts_as_done(plane, status):
    reused = replace(PREPARED, properties={"azureml.isreused": "true"})
    plane.runs.moments[add_job(plane)] = (replace(DONE, steps=(reused, *DONE.steps[1:])),)
    result = status(JOB)
    assert "prepare  kept" in result.stdout
    assert "3 of 3 steps" in result.stdout


def test_the_last_jobs_of_the_experiment_are_listed_latest_first(plane, status):
    for name in ("first_1", "second_2", "third_3"):
        add_job(plane, name)
    add_job(plane, "others_4", experiment="somebody-elses")
    add_job(plane, "called_5", "run of v123", experiment="plain-shuttles")  # of an endpoint
    plane.runs.moments |= {"second_2": (FAILED,), "third_3": (DONE,), "called_5": (FAILED,)}
    result = status("--last", "3")
    assert result.exit_code == 0, result.output
    heading, *rows = (line.split("  ") for line in result.stdout.splitlines())
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert heading[0] == "job"
    assert [(row[0], row[1], row[2], row[4]) for row in cells] == [
        ("called_5", "shuttles", "failed", "1 min 20 s"),
        ("third_3", "shuttles", "finished", "3 min 0 s"),
        ("second_2", "shuttles", "failed", "1 min 20 s"),
    ]
    assert cells[1][-1] == "mean_price 30"


def test_without_tracking_states_are_shown_with_a_note_on_the_rest(plane, status):
    plane.runs.moments[add_job(plane)] = (DONE,)
    plane.faults.append(Fault(Answer.error(403, "Forbidden", "no role"), path="/mlflow/"))
    result = status(JOB)
    assert result.exit_code == 0, result.output
    assert "prepare  finished" in result.stdout
    assert "times and metrics are not available: " in result.stdout


def test_a_lost_log_does_not_hide_the_fault(plane, status):
    plane.runs.moments[add_job(plane)] = (FAILED,)
    plane.faults.append(Fault(Answer(403), path="^/logs/"))
    result = status(JOB)
    assert "step 'search' failed: Execution failed. Exit code 1" in result.stdout
    assert "(the log is not available: HttpResponseError)" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no_such_job",), "has no job 'no_such_job'; kedro cloud status lists the last ones"),
        (("--rehearsal", PIPELINE), "pipeline 'shuttles' has no rehearsal"),
    ],
)
def test_an_unknown_job_is_reported_in_one_line(plane, status, arguments, message):
    assert message in error_of(status(*arguments))


@pytest.mark.parametrize(
    ("command", "inputs", "expected"),
    [
        ("python train.py", {}, ""),
        (
            "kedro azureml -e azureml execute --pipeline=faq_tuning --node=a --az-input=x y",
            {},
            "kedro azureml -e azureml run -p faq_tuning",
        ),
        (
            "kedro azureml -e prod execute --pipeline=style_transfer --node=a "
            '--params=\'{"video": "${{inputs.video}}"}\'',
            {"video": "abfs://videos/a.mp4"},
            "kedro azureml -e prod run -p style_transfer "
            '--params \'{"video": "abfs://videos/a.mp4"}\'',
        ),
    ],
)
def test_the_command_that_resumes_is_read_from_a_step(command, inputs, expected):
    assert resume_command(command, inputs) == expected


@pytest.mark.parametrize(
    ("error", "is_transient"),
    [
        (ServiceRequestError("no network"), True),
        (HttpResponseError(response=SimpleNamespace(status_code=429, reason="")), True),
        (HttpResponseError(response=SimpleNamespace(status_code=503, reason="")), True),
        (HttpResponseError(response=SimpleNamespace(status_code=403, reason="")), False),
        (ValueError("no such job"), False),
    ],
)
def test_only_transient_errors_are_retried(error, is_transient):
    assert status_command._is_transient(error) is is_transient
