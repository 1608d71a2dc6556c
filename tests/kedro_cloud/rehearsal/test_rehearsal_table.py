"""The output of a rehearsal must be correct, in a terminal and in a file."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from kedro_cloud.jobs.job import Job, Source, Step
from kedro_cloud.jobs.snapshot import Snapshot
from kedro_cloud.rehearsal import RehearsalResult, StepRecord, StepState, table
from kedro_cloud.rehearsal.place import RehearsalDir
from kedro_cloud.rehearsal.records import Journal, fingerprint

JOB = Job(
    "two",
    "tests",
    (Step("first", "true", outputs=("o",)), Step("second", "true", {"i": Source("first", "o")})),
)


def record(name, state=StepState.FINISHED, **facts):
    return StepRecord(name, state, Path("/place/runs/two/steps", name), **facts)


def test_a_file_receives_one_plain_line_per_change():
    output = io.StringIO()
    with table.show_progress(output) as show:
        waiting = record("first", StepState.WAITING), record("second", StepState.WAITING)
        show(waiting)
        for seconds in (0.0, 1.0, 2.0):
            show((replace(waiting[0], state=StepState.RUNNING, seconds=seconds), waiting[1]))
        failed = replace(
            waiting[0],
            state=StepState.FAILED,
            seconds=3.21,
            startup_s=1.04,
            startup_mib=250,
            peak_mib=301.4,
            output_bytes=1536,
            fault="it ended with exit code 1",
        )
        show((failed, replace(waiting[1], state=StepState.SKIPPED, fault="'first' failed")))
    assert output.getvalue().splitlines() == [
        "first   running",
        "first   failed    seconds 3.2, start-up s 1.0, start-up MiB 250, peak MiB 301,"
        " output 1.5 KiB  it ended with exit code 1",
        "second  skipped   'first' failed",
    ]


def test_a_terminal_shows_a_live_table(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    output = io.StringIO()
    output.isatty = lambda: True
    with table.show_progress(output) as show:
        show((record("first", StepState.RUNNING),))
        show((record("first", StepState.FINISHED),))
    assert "finished" in output.getvalue()
    assert "\x1b[" in output.getvalue()


@pytest.mark.parametrize(
    ("startup_s", "startup_mib", "marked"),
    [
        (4.0, 381.4, (False, False)),
        (4.1, 381.4, (True, False)),
        (1.0, 381.5, (False, True)),  # 400 MB are 381.47 MiB
        (None, None, (False, False)),
    ],
)
def test_a_start_up_over_budget_is_marked(startup_s, startup_mib, marked):
    step = record("first", startup_s=startup_s, startup_mib=startup_mib)
    assert table.over_budget(step) == marked
    assert tuple(cell.endswith("!") for cell in table.format_cells(step)[1:3]) == marked


def test_the_table_has_all_steps_and_their_costs():
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    steps = (
        record("first", seconds=12.34, startup_s=5.0, startup_mib=100, output_bytes=3 * 2**20),
        record("second", StepState.WAITING),
    )
    console.print(table.make_table(steps))
    output = console.file.getvalue()
    assert [line.split() for line in output.splitlines()[1:]] == [
        ["first", "finished", "12.3", "5.0!", "100", "3.0", "MiB"],
        ["second", "waiting"],
    ]


def test_the_summary_has_critical_path_slow_start_ups_and_failures(tmp_path):
    failed = StepRecord(
        "second",
        StepState.FAILED,
        tmp_path / "second",
        seconds=3,
        fault="it ended with exit code 1",
    )
    failed.folder.mkdir()
    failed.log.write_text("".join(f"line {number}\n" for number in range(1, 31)))
    report = RehearsalResult(JOB, "r", (record("first", seconds=2, startup_s=9.0), failed), 6.5)
    lines = list(table.format_summary(report, tmp_path))
    assert lines[:4] == [
        "critical path, 2.0 s: first 2.0",
        "steps together 2.0 s, this rehearsal 6.5 s",
        "start-up over 4 s or 400 MB (!): first",
        "step 'second' failed: it ended with exit code 1; see its folder second",
    ]
    assert [line.strip() for line in lines[4:]] == [f"line {number}" for number in range(11, 31)]


@pytest.mark.parametrize(
    ("earlier", "line"),
    [
        (["first"], "kept: first; to run: second"),
        (["first", "second"], "kept: first, second; to run: nothing"),
        (["second"], "no finished steps of an earlier rehearsal: running all steps"),
    ],
)
def test_a_resumed_rehearsal_lists_kept_steps(tmp_path, earlier, line):
    assert format_start(tmp_path, earlier, "same") == line
    if line.startswith("kept"):
        assert format_start(tmp_path, earlier, "another") == (
            f"kept, although the code has changed since{line.removeprefix('kept')}"
        )


def format_start(folder, finished, code):
    directory = RehearsalDir(folder)
    directory.run("two").mkdir(parents=True, exist_ok=True)
    steps = {
        name: StepRecord(
            name, StepState.FINISHED, folder, fingerprint=fingerprint(JOB[name]), snapshot=code
        )
        for name in finished
    }
    Journal("r", steps).write(directory.run("two") / "job.json")
    snapshot = Snapshot(folder, "same", 3, 2048)
    first, line = table.format_start(JOB, directory, snapshot, resume=True)
    assert first == "two: 2 steps, code of 3 files, 2.0 KiB"
    return line


def test_a_damaged_journal_is_ignored(tmp_path):
    for text in ("", "{", "[]", '{"run_id": "r", "steps": {"a": {"state": "no such"}}}'):
        (tmp_path / "job.json").write_text(text)
        assert Journal.read(tmp_path / "job.json") == Journal()


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0"), (812, "812 B"), (1536, "1.5 KiB"), (3 * 2**30, "3.0 GiB")]
)
def test_sizes_have_binary_units(size, text):
    assert table.format_size(size) == text
