"""Helpers of several tests: the project's root, copies of the project, runs of `kedro`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from kedro.framework.startup import ProjectMetadata, bootstrap_project

ROOT = Path(__file__).parents[1]
GUARD_S = 600
"""Timeout of all waits in tests, in seconds; only a hang takes that long."""
_PARTS = ("conf", "data/01_raw", "data/06_models", "src", "pyproject.toml", ".telemetry")
"""Files and folders that a copy of the project needs, if they exist."""


@cache
def bootstrap() -> ProjectMetadata:
    """Bootstrap this project once in this process and return its metadata."""
    return bootstrap_project(ROOT)


@cache
def read_configuration(kind: str, environment: str = "base", **params: str) -> dict[str, Any]:
    """Return the catalog or the parameters of a run with these `--params`, read once.

    The caller must not change it.
    """
    from kedro.framework.project import settings

    loader = settings.CONFIG_LOADER_CLASS(
        str(ROOT / "conf"), env=environment, runtime_params=params, **settings.CONFIG_LOADER_ARGS
    )
    return {name: entry for name, entry in loader[kind].items() if not name.startswith("_")}


def make_workspace(folder: Path) -> Path:
    """Copy configuration, samples and source, without results of earlier runs."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "local", "*_original")
    for part in (ROOT / name for name in _PARTS):
        target = folder / part.relative_to(ROOT)
        if part.is_dir():
            shutil.copytree(part, target, ignore=ignored)
        elif part.exists():
            shutil.copy(part, target)
    (folder / "conf/local").mkdir()
    return folder


def clean_environment() -> dict[str, str]:
    """Return the environment without variables that MLflow may have set in this process."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}


def run_kedro(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `kedro` in a folder; the output is captured and the exit code not checked."""
    return subprocess.run(
        [sys.executable, "-m", "kedro", *arguments],
        cwd=folder,
        env={**clean_environment(), "COLUMNS": "200", "PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=False,
    )
