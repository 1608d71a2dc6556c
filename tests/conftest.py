"""Fixtures shared by all tests: a project of one's own to run in, and where real data lies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IN_CI = os.environ.get("CI") == "true"

Kedro = Callable[..., subprocess.CompletedProcess[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--benchmarks", action="store_true", help="measure and rewrite the tables")


def skip_or_fail(reason: str) -> None:
    """Skip, loudly; in CI, where everything must be at hand, fail."""
    if IN_CI:
        pytest.fail(f"{reason}; in CI nothing may be skipped")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def real_mnist() -> Path:
    """The folder of the real MNIST: $QUARTET_REAL_DATA/mnist, or what `make mnist` fetched."""
    candidates = [
        Path(os.environ.get("QUARTET_REAL_DATA", ROOT.parent / "shared/data")) / "mnist",
        ROOT / "data/01_raw/mnist_original",
    ]
    for folder in candidates:
        if (folder / "train-images-idx3-ubyte.gz").exists():
            return folder.resolve()
    skip_or_fail("the real MNIST is not here: make mnist")
    raise AssertionError


def make_workspace(folder: Path) -> Path:
    """A copy of the project without its results: configuration, samples, and this source."""
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf/local").mkdir()
    shutil.copytree(ROOT / "data/01_raw/mnist", folder / "data/01_raw/mnist")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder)
    (folder / "src").symlink_to(ROOT / "src")
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A project to run in, thrown away after the test."""
    return make_workspace(tmp_path)


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


QUICK = "convnet_training.minimum_steps=60,convnet_training.epochs=1"
"""Parameters for a run on the sample in which the network is trained only for form's sake."""


@pytest.fixture(scope="session")
def trained_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which `kedro run` has run once, on the samples; not to be changed."""
    folder = make_workspace(tmp_path_factory.mktemp("trained"))
    result = run_kedro(folder, "run")
    assert result.returncode == 0, result.stderr
    return folder
