"""Run the steps of a job one by one with their commands, without a cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from kedro.framework.project import pipelines

from kedro_cloud.jobs.steps import Steps
from support import clean_environment, make_workspace, on_ranks, run_kedro

ROOTS = ("raw", "intermediate", "primary", "model_input", "models", "model_output", "reporting")


def make_project(folder: Path) -> Path:
    """Copy the project; its environment `azureml` stores its data on this machine."""
    make_workspace(folder)
    roots = {root: f"blobs/{root}" for root in ROOTS} | {"raw": "data/01_raw"}
    roots |= {"models": "data/06_models", "sensor_database": "sqlite:///blobs/sensors.db"}
    (folder / "conf/azureml/globals.yml").write_text(yaml.safe_dump(roots))
    return folder


def execute(
    project: Path,
    pipeline: str,
    step: str,
    folders: Path,
    params: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    ranks: int = 1,
    fresh: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a step, with a folder for each input and output below `folders`.

    Args:
        project: Working directory.
        pipeline: Name of the pipeline.
        step: Name of the step.
        folders: Folder with a subfolder per dataset.
        params: Value of `--params`.
        environment: Changes to this process's variables.
        ranks: Number of MPI ranks.
        fresh: Whether to start a new Python process, as on a cluster.
    """
    (node,) = (each for each in Steps(pipelines[pipeline]).nodes if each.name == step)
    given = [name for name in node.inputs if (folders / name).is_dir()]
    for name in node.outputs:
        (folders / name).mkdir(parents=True)
    arguments = [
        *("azureml", "-e", "azureml", "execute"),
        *(f"--pipeline={pipeline}", f"--node={step}"),
        *(part for name in given for part in ("--az-input", name, str(folders / name))),
        *(part for name in node.outputs for part in ("--az-output", name, str(folders / name))),
        *((f"--params={json.dumps(params)}",) if params else ()),
    ]
    changed = {"KEDRO_AZURE_RUNNER_CONFIG": "", **(environment or {})}
    if ranks == 1:
        return run_kedro(project, *arguments, environment=changed, fresh=fresh)
    return subprocess.run(
        on_ranks(ranks, "-m", "kedro", *arguments),
        cwd=project,
        env={**clean_environment(), **changed},
        capture_output=True,
        text=True,
        check=False,
    )
