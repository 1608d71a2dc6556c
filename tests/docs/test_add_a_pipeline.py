"""The guide on adding a pipeline ends in a pipeline that works."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.guide import copy_project, follow
from docs.pages import DOCS
from support import run_kedro

GUIDE = DOCS / "how-to/add-a-pipeline.md"
ELSEWHERE = ("kedro cloud rehearse", "make ")
"""Commands of the guide that have tests of their own, and take long."""


@pytest.mark.integration
def test_the_guide_can_be_followed_from_its_first_block_to_its_last(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    done = list(follow(GUIDE, project, skip=ELSEWHERE))
    assert "src/quartet/pipelines/mnist_means/pipeline.py" in done
    assert sum(step.startswith("pytest") for step in done) >= 4
    assert (project / "data/08_reporting/mnist_means/mean_digits.png").stat().st_size > 10_000
    listed = run_kedro(
        project, "registry", "list", environment={"PYTHONPATH": f"{project}/src"}, fresh=True
    )
    assert "- mnist_means" in listed.stdout
