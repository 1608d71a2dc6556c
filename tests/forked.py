"""Run `kedro` in processes forked from a server that has imported the libraries.

Importing these libraries takes seconds and most commands milliseconds, so that they are imported
once per session.
"""

from __future__ import annotations

import atexit
import functools
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import forkserver
from pathlib import Path

ROOT = Path(__file__).parents[1]
_IMPORTED = (
    "adlfs",
    "av",
    "azure.ai.ml.entities",
    "azure.identity",
    "azure.storage.blob.aio",
    "kedro.framework.cli.cli",
    "kedro.framework.session",
    "kedro_azureml.cli",
    "kedro_azureml.hooks",
    "kedro_datasets.json",
    "kedro_datasets.matplotlib",
    "kedro_datasets.pandas",
    "kedro_datasets.partitions",
    "kedro_datasets.plotly",
    "kedro_datasets.text",
    "kedro_datasets.yaml",
    "kedro_mlflow.framework.hooks.mlflow_hook",
    "lightgbm",
    "matplotlib.pyplot",
    "mlflow",
    "mlflow.store.db.utils",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracking",
    "optuna",
    "pyarrow.parquet",
    "sklearn.linear_model",
    "sklearn.svm",
    "sqlalchemy",
    "torch",
)
"""Libraries only: each command imports the project, with its current configuration."""
_SETTINGS = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}
"""Variables that MLflow reads when it is imported, as in quartet/settings.py."""


@functools.cache
def server() -> multiprocessing.context.ForkServerContext:
    """Start the server, which ends with this process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    before = dict(os.environ)
    os.environ.update(_SETTINGS)
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


def run_forked(
    folder: Path, arguments: tuple[str, ...], environment: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run `kedro ARGUMENTS` in a folder, with this environment; kill it after so many seconds."""
    with tempfile.TemporaryDirectory() as place:
        target = (folder, arguments, dict(environment), place)
        child = server().Process(target=_run_command_line, args=target)
        child.start()
        child.join(seconds)
        if child.exitcode is None:
            child.kill()
            child.join()
        out, err = (Path(place, name).read_text(errors="replace") for name in ("out", "err"))
    return subprocess.CompletedProcess(arguments, child.exitcode or 0, out, err)


def _run_command_line(
    folder: Path, arguments: tuple[str, ...], environment: dict[str, str], place: str
) -> None:
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(place, name), os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["kedro", *arguments]
    # This process's path may begin with a project that a test has opened.
    given = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [str(folder), *filter(None, given), str(ROOT / "src")]
    import yaml
    from kedro.framework.cli.cli import main
    from kedro.framework.project import LOGGING

    configured = folder / "conf/logging.yml"
    if configured.exists():  # Kedro looks for it once, when the server imports it
        LOGGING.configure(yaml.safe_load(configured.read_text()))
    try:
        main()
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves them out
