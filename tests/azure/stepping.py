"""Steps of a job executed one by one, as their commands in the job say, without a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from kedro.framework.project import pipelines

from quartet.azure.steps import Steps
from support import clean_environment, make_workspace, on_ranks

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
    *,
    params: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    ranks: int = 1,
) -> subprocess.CompletedProcess[str]:
    """Run a step with its own folders below `folders`, and those of the steps before it there."""
    (node,) = (each for each in Steps(pipelines[pipeline]).nodes if each.name == step)
    given = [name for name in node.inputs if (folders / name).is_dir()]
    for name in node.outputs:
        (folders / name).mkdir(parents=True)
    arguments = [
        *("-m", "kedro", "azureml", "-e", "azureml", "execute"),
        *(f"--pipeline={pipeline}", f"--node={step}"),
        *(part for name in given for part in ("--az-input", name, str(folders / name))),
        *(part for name in node.outputs for part in ("--az-output", name, str(folders / name))),
        *((f"--params={json.dumps(params)}",) if params else ()),
    ]
    command = on_ranks(ranks, *arguments) if ranks > 1 else [sys.executable, *arguments]
    return subprocess.run(
        command,
        cwd=project,
        env={**clean_environment(), "KEDRO_AZURE_RUNNER_CONFIG": "", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def execute_all(
    project: Path, pipeline: str, folders: Path, **options: Any
) -> Iterator[subprocess.CompletedProcess[str]]:
    """Run all steps of a pipeline, each after those it needs."""
    for node in Steps(pipelines[pipeline]).nodes:
        result = execute(project, pipeline, node.name, folders, **options)
        assert result.returncode == 0, result.stderr
        yield result
