"""What a step's start costs must be told of the start alone, by one rank."""

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


def test_the_start_ends_with_the_first_nodes_first_dataset(report):
    found = report(
        (103.5, "before_dataset_loaded"),
        (104.0, "before_node_run"),
        (110.0, "before_dataset_loaded"),
        (120.0, "after_pipeline_run"),
    )
    assert (found["startup_s"], found["work_s"]) == (3.5, 16.5)


def test_a_node_that_reads_nothing_ends_the_start_as_well(report):
    found = report((102.0, "before_node_run"), (102.5, "after_pipeline_run"))
    assert (found["startup_s"], found["work_s"]) == (2.0, 0.5)


def test_a_step_that_failed_has_started_all_the_same(report):
    found = report((102.0, "before_node_run"), (105.0, "on_pipeline_error"))
    assert found["work_s"] == 3.0


def test_a_run_in_which_no_node_began_has_nothing_to_tell(report):
    assert report((102.0, "on_pipeline_error")) is None


def test_of_several_ranks_the_first_tells(report, monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    assert report((102.0, "before_node_run"), (105.0, "after_pipeline_run")) is None


def test_nobody_is_told_who_did_not_ask(monkeypatch, tmp_path):
    monkeypatch.delenv(timing.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    hooks = StepReportHooks()
    hooks.before_node_run(NODE)
    hooks.after_pipeline_run()
    assert list(tmp_path.iterdir()) == []


def test_memory_is_that_of_this_process_in_mib():
    before = timing.memory_mib()
    held = bytearray(64 << 20)
    assert 60 < timing.memory_mib() - before < 200
    assert timing.peak_mib() >= timing.memory_mib() - 1
    assert len(held) == 64 << 20


def test_the_memory_of_whatever_started_a_step_is_not_counted():
    ask = "from kedro_cloud.jobs import timing; print(timing.peak_mib())"
    become = f"os.execv(sys.executable, [sys.executable, '-c', {ask!r}])"
    large = f"import os, sys; held = b'.' * (1 << 29); {become}"
    found = subprocess.run(
        [sys.executable, "-c", large], capture_output=True, text=True, check=True
    )
    assert float(found.stdout) < 256


def test_a_process_starts_before_its_modules_are_imported():
    assert 0 < timing._IMPORTED - timing.process_start_time() < 3600
