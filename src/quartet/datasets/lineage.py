"""Where a registered model comes from: the run, the job on Azure ML, the code."""

from __future__ import annotations

import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path

from kedro_cloud.core.variables import JOB

_SOURCE = Path(__file__).parents[1]


def get_lineage_tags(run: str) -> dict[str, str]:
    """Tags of a version that is registered now.

    Args:
        run: MLflow's identifier of the run that registers it.

    Returns:
        `run_id` and `code_sha256`; `azureml_job` in a job, whose properties name the commit; and
        `git_commit` where the code lies in a repository, with `+changed` if it differs from it.
    """
    found = {"run_id": run, "code_sha256": compute_code_digest(_SOURCE)}
    if job := os.environ.get(JOB):
        found["azureml_job"] = job
    if commit := get_git_commit(_SOURCE):
        found["git_commit"] = commit
    return found


@cache
def compute_code_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all Python files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def get_git_commit(folder: Path) -> str:
    """The commit that a folder is at, `…+changed` if its files are not as committed.

    Empty where there is no repository, or no git: a step on Azure ML has neither.
    """
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changed"]
    try:
        found = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
