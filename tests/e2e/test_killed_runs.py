"""A run after a killed run gives the results of an undisturbed run."""

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress

import pytest

from support import GUARD_S, clean_environment, drop_times, make_workspace


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
@pytest.mark.parametrize(("pipeline", "kills"), [("faq_ingestion", 2), ("sensor_ingestion", 1)])
def test_the_run_after_a_killed_run_gives_the_same_results(tmp_path, pipeline, kills):
    # Always in one folder: the registry refers to files by absolute paths.
    project, original = tmp_path / "project", tmp_path / "original"
    make_workspace(original)
    undisturbed = []
    for _ in range(2):
        shutil.rmtree(project, ignore_errors=True)
        shutil.copytree(original, project)
        started = time.monotonic()
        assert run(project, pipeline) == 0
        seconds = time.monotonic() - started
        undisturbed.append(read_results(project))
    first, second = undisturbed
    assert run(project, pipeline) == 0
    repeated = read_results(project)
    generator = random.Random(1)
    for _ in range(kills):
        shutil.rmtree(project)
        shutil.copytree(original, project)
        moment = seconds * generator.random()
        run(project, pipeline, moment)
        assert run(project, pipeline) == 0, f"killed after {moment:.2f} s"
        found = read_results(project)
        different = {
            name: (found.get(name), first.get(name))
            for name in first.keys() | found.keys()
            if found.get(name) not in (first.get(name), repeated.get(name))
            and first.get(name) == second.get(name)
        }
        assert different == {}, f"killed after {moment:.2f} s"
