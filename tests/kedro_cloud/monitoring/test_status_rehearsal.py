"""The status of a rehearsal looks like that of a job, in a terminal as in a file."""

import os
import subprocess
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from kedro_cloud.cli import status as status_command
from kedro_cloud.core.console import format_duration
from kedro_cloud.jobs.progress import Status, StepState, StepStatus
from kedro_cloud.monitoring.display import make_view
from kedro_cloud.rehearsal.place import RehearsalDir
from kedro_cloud.rehearsal.records import Journal, StepRecord
from published import call


def record(name, state, **fields):
    return StepRecord(name, state, Path(name), **fields)


@pytest.fixture
def rehearsed(project):
    """Return a function that writes a rehearsal, which is running or has died."""
    directory = RehearsalDir(project / "rehearsals")

    def write(*records, process):
        directory.run("shuttles").mkdir(parents=True, exist_ok=True)
        (directory.folder / ".lock").write_text(str(process))
        journal = Journal("run-7", {each.name: each for each in records})
        journal.write(directory.run("shuttles") / "job.json")
        return directory

    return write


def test_a_rehearsal_is_shown_like_a_job(project, rehearsed):
    log = project / "rehearsals/steps/train"
    log.mkdir(parents=True)
    (log / "log.txt").write_text("too many\nlost\n")
    fault = "it ended with exit code 1"
    failed = replace(record("search", StepState.FAILED, seconds=3.25, fault=fault), folder=log)
    directory = rehearsed(
        record("prepare", StepState.KEPT, seconds=2.0),
        failed,
        record("average", StepState.SKIPPED),
        process=os.getpid(),
    )
    reports = directory.reports("shuttles")
    reports.mkdir(parents=True)
    (reports / "metrics.json").write_text('{"mean_price": 0.5}')
    result = on_rehearsals(project, "shuttles")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "prepare  kept       2.0 s",
        "search   failed     3.2 s  it ended with exit code 1",
        "average  skipped",
        "mean_price 0.5",
        "shuttles: shuttles failed, 1 of 3 steps, 5.2 s",
        "step 'search' failed: it ended with exit code 1",
        "    too many",
        "    lost",
        "fix this and resume with: kedro cloud rehearse -p shuttles --resume",
    ]
    listed = on_rehearsals(project)
    assert listed.exit_code == 0
    assert listed.stdout.splitlines()[1].split()[:3] == [
        "shuttles",
        "shuttles",
        "failed",
    ]


def test_a_killed_rehearsal_is_shown_as_stopped(project, rehearsed):
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    steps = [record("prepare", StepState.RUNNING), record("search", StepState.WAITING)]

    def shown(process):
        rehearsed(*steps, process=process)
        return on_rehearsals(project, "shuttles")

    alive, unwatched = shown(os.getpid()), shown(ended.pid)
    ended.wait()
    dead = shown(ended.pid)
    assert [each.exit_code for each in (alive, unwatched, dead)] == [4, 3, 3]
    assert "shuttles: shuttles running, 0 of 2 steps" in alive.stdout
    for each in (unwatched, dead):
        assert "shuttles: shuttles stopped, 0 of 2 steps" in each.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "show it again: kedro cloud status"),
        (("a_1",), "the job continues; show it again: kedro cloud status a_1"),
        (("a_1", "-e", "mine"), "the job continues; show it again: kedro cloud status a_1 -e mine"),
        (
            ("--rehearsal", "study"),
            "the job continues; show it again: kedro cloud status study --rehearsal",
        ),
    ],
)
def test_ctrl_c_prints_the_command_to_continue(project, monkeypatch, arguments, message):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(status_command, "_status", interrupt)
    result = call(project, status_command.status, *arguments)
    assert (result.exit_code, result.stderr) == (130, f"{message}\n")


def on_rehearsals(project, *arguments):
    return call(project, status_command.status, "--rehearsal", *arguments)


def test_a_terminal_shows_steps_headline_and_metric_below_each_other():
    steps = (
        StepStatus("search", StepState.RUNNING, 75.0),
        StepStatus("average", StepState.WAITING),
    )
    seen = StringIO()
    console = Console(file=seen, width=60, force_terminal=False)
    metric = ("test_accuracy", 0.9)
    console.print(make_view(Status("a_1", "study", StepState.RUNNING, metric=metric, steps=steps)))
    *table, headline, last = (line.strip() for line in seen.getvalue().splitlines())
    assert [line.split()[:2] for line in table[1:]] == [
        ["search", "running"],
        ["average", "waiting"],
    ]
    assert headline == "a_1: study running, 0 of 2 steps"
    assert last == "test_accuracy 0.9"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, ""),
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (90_061, "1 d 1 h"),
    ],
)
def test_durations_are_readable(seconds, expected):
    assert format_duration(seconds) == expected
