"""Lineage of registered models: run, Azure ML job and code version."""

from __future__ import annotations

import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path

from kedro_cloud.core.variables import JOB

_SOURCE = Path(__file__).parents[1]


def get_lineage_tags(run: str) -> dict[str, str]:
    """Return the tags of a model version that an MLflow run registers.

    These are `run_id` and `code_sha256`; `azureml_job` in an Azure ML job, whose properties contain
    the commit; and `git_commit` if the code is in a Git repository.
    """
    tags = {"run_id": run, "code_sha256": compute_code_digest(_SOURCE)}
    if job := os.environ.get(JOB):
        tags["azureml_job"] = job
    if commit := get_git_commit(_SOURCE):
        tags["git_commit"] = commit
    return tags


@cache
def compute_code_digest(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of all Python files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def get_git_commit(folder: Path) -> str:
    """Return the current commit of a folder, with `+changed` if it has uncommitted changes.

    Empty without a repository or without Git, as in a step on Azure ML.
    """
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changed"]
    try:
        result = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
