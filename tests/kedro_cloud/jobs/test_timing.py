"""The report must measure the start-up of a step alone, once per step."""

import json
import subprocess
import sys

import pytest
from kedro.pipeline import Node

from kedro_cloud.jobs import timing
from kedro_cloud.jobs.timing import StepReportHooks

NODE = Node(list, "first", "second", name="copy")
STARTS = ("before_dataset_loaded", "before_node_run")


@pytest.fixture
def report(monkeypatch, tmp_path):
    """Call hooks at given times, in a process that started at 100, and return the report."""
    file = tmp_path / "report.json"
    monkeypatch.setenv(timing.VARIABLE, str(file))
    monkeypatch.setattr(timing, "process_start_time", lambda: 100.0)

    def run(*events):
        now = 0.0
        hooks = StepReportHooks(clock=lambda: now)
        for now, event in events:  # noqa: B007  # the clock reads it
            getattr(hooks, event)(*([NODE] if event in STARTS else []))
        return json.loads(file.read_text()) if file.exists() else None

    return run


@pytest.mark.parametrize(
    ("events", "startup_s", "work_s"),
    [
        (
            [
                (103.5, "before_dataset_loaded"),
                (104.0, "before_node_run"),
                (110.0, "before_dataset_loaded"),
                (120.0, "after_pipeline_run"),
            ],
            3.5,
            16.5,
        ),
        ([(102.0, "before_node_run"), (102.5, "after_pipeline_run")], 2.0, 0.5),
        ([(102.0, "before_node_run"), (105.0, "on_pipeline_error")], 2.0, 3.0),
    ],
    ids=["node with inputs", "node without inputs", "failed step"],
)
def test_startup_ends_when_the_first_node_starts(report, events, startup_s, work_s):
    found = report(*events)
    assert (found["startup_s"], found["work_s"]) == (startup_s, work_s)


def test_a_run_without_a_started_node_writes_no_report(report):
    assert report((102.0, "on_pipeline_error")) is None


def test_only_rank_0_writes_the_report(report, monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    assert report((102.0, "before_node_run"), (105.0, "after_pipeline_run")) is None


def test_without_the_variable_no_file_is_written(monkeypatch, tmp_path):
    monkeypatch.delenv(timing.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    hooks = StepReportHooks()
    hooks.before_node_run(NODE)
    hooks.after_pipeline_run()
    assert list(tmp_path.iterdir()) == []


def test_memory_is_measured_in_mib():
    before = timing.memory_mib()
    held = bytearray(64 << 20)
    assert 60 < timing.memory_mib() - before < 200
    assert timing.peak_mib() >= timing.memory_mib() - 1
    assert len(held) == 64 << 20


def test_peak_memory_excludes_the_parent_process():
    ask = "from kedro_cloud.jobs import timing; print(timing.peak_mib())"
    become = f"os.execv(sys.executable, [sys.executable, '-c', {ask!r}])"
    large = f"import os, sys; held = b'.' * (1 << 29); {become}"
    found = subprocess.run(
        [sys.executable, "-c", large], capture_output=True, text=True, check=True
    )
    assert float(found.stdout) < 256


def test_a_process_starts_before_its_modules_are_imported():
    assert 0 < timing._IMPORTED - timing.process_start_time() < 3600
