"""A run after a killed run gives the results of an undisturbed run."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from functools import partial

import pytest

from support import GUARD_S, clean_environment, drop_times, make_workspace, run_kedro


def run(project, pipeline, seconds=GUARD_S):
    """Run a pipeline, kill it with its children if it takes longer, and return its exit code."""
    with subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", "--pipelines", pipeline],
        cwd=project,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode


def read_results(folder):
    """Return metrics without times, digests of files, numbers of versions and of open runs."""
    found = {}
    for path in sorted((folder / "data").rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == "metrics.json":
            metrics = drop_times(json.loads(path.read_text()))
            found |= {f"{name} {key}": value for key, value in metrics.items()}
        elif path.is_file() and not path.name.startswith(".") and ".db" not in path.suffix:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        for name, count in database.execute("SELECT name, count(*) FROM model_versions GROUP BY 1"):
            found[f"versions of {name}"] = count
        ((running,),) = database.execute("SELECT count(*) FROM runs WHERE status = 'RUNNING'")
        found["open runs"] = running
    return found


@pytest.mark.integration
@pytest.mark.parametrize(
    ("pipeline", "share"), [("faq_ingestion", 0.85), ("sensor_ingestion", 0.7)]
)
def test_the_run_after_a_killed_run_gives_the_same_results(tmp_path, pipeline, share):
    """The run is killed after this share of its time, of which the first half is the start."""
    # Always in one folder: the registry refers to files by absolute paths.
    project, original = tmp_path / "project", tmp_path / "original"
    make_workspace(original)
    again = partial(run_kedro, project, "run", "--pipelines", pipeline)
    shutil.copytree(original, project)
    started = time.monotonic()
    assert run(project, pipeline) == 0
    seconds = time.monotonic() - started
    first = read_results(project)
    assert again().returncode == 0
    repeated = read_results(project)
    shutil.rmtree(project)
    shutil.copytree(original, project)
    assert again().returncode == 0
    second = read_results(project)
    shutil.rmtree(project)
    shutil.copytree(original, project)
    run(project, pipeline, share * seconds)
    result = again()
    assert result.returncode == 0, result.stderr
    found = read_results(project)
    different = {
        name: (found.get(name), first.get(name))
        for name in first.keys() | found.keys()
        if found.get(name) not in (first.get(name), repeated.get(name))
        and first.get(name) == second.get(name)
    }
    assert different == {}
