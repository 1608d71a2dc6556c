"""Steps of a job executed one by one, as their commands in the job say, without a cluster."""

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
    """A copy of the project whose environment `azureml` keeps on this machine what blobs would."""
    make_workspace(folder)
    kept = {root: f"blobs/{root}" for root in ROOTS} | {"raw": "data/01_raw"}
    kept |= {"models": "data/06_models", "sensor_database": "sqlite:///blobs/sensors.db"}
    (folder / "conf/azureml/globals.yml").write_text(yaml.safe_dump(kept))
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
    """Run a step with its own folders below `folders`, and those of the steps before it there.

    Args:
        project: The working directory.
        pipeline: Its name.
        step: Its name.
        folders: Those of steps, by dataset.
        params: For `--params`.
        environment: Changes to this process's variables.
        ranks: Of MPI.
        fresh: Whether the step starts as on a cluster, in a process that has imported nothing yet.
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
