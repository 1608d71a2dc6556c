"""What tests of several folders use: the project's root, runs of `kedro`, loud skips."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IN_CI = os.environ.get("CI") == "true"
QUICK = "convnet_training.minimum_steps=60,convnet_training.epochs=1"
"""Parameters for a run on the sample in which the network is trained only for form's sake."""


def skip_or_fail(reason: str) -> None:
    """Skip, loudly; in CI, where everything must be at hand, fail."""
    if IN_CI:
        pytest.fail(f"{reason}; in CI nothing may be skipped")
    pytest.skip(reason)


def make_workspace(folder: Path) -> Path:
    """A copy of the project without its results: configuration, samples, and this source."""
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf/local").mkdir()
    shutil.copytree(ROOT / "data/01_raw/mnist", folder / "data/01_raw/mnist")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignored)
    return folder


def run_kedro(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `kedro` in a folder, as a person would; output is captured, exit code not checked."""
    return subprocess.run(
        [sys.executable, "-m", "kedro", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
