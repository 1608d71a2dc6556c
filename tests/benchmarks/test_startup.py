"""Start-up time of a command."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest

from support import ROOT

EMPTY = {
    "pyproject.toml": '[tool.kedro]\npackage_name = "empty"\nproject_name = "empty"\n'
    'kedro_init_version = "1.7.0"\n',
    ".telemetry": "consent: false\n",
    "conf/base/parameters.yml": "",
    "conf/local/.gitkeep": "",
    "src/empty/__init__.py": "",
    "src/empty/settings.py": "",
    "src/empty/pipeline_registry.py": "def register_pipelines():\n    return {'__default__': []}\n",
}


@pytest.fixture
def empty_project(tmp_path):
    for name, content in EMPTY.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def measure_seconds(folder):
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "kedro", "registry", "list"],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - start


def test_listing_the_pipelines(empty_project, record):
    pairs = [(measure_seconds(ROOT), measure_seconds(empty_project)) for _ in range(9)]
    here, empty = (statistics.median(times) for times in zip(*pairs, strict=True))
    record(
        "Start-up",
        "`kedro registry list`, against an empty Kedro project in the same environment",
        reference=f"{empty:.2f} s",
        quartet=f"{here:.2f} s, {here / empty:.2f} times",
        target="≤ 1.5 times",
        reached=here <= 1.5 * empty,
    )
