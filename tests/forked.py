"""`kedro` in processes that are forked from one in which everything is imported already.

A command that is refused at once takes seconds to start and milliseconds to refuse. Here the
start is paid once: a server imports the libraries, and each command is a child of it.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from support import clean_environment

_IMPORTED = (
    "av",
    "kedro.framework.cli.cli",
    "kedro.framework.session",
    "kedro_azureml.hooks",
    "kedro_datasets.json",
    "kedro_datasets.matplotlib",
    "kedro_datasets.pandas",
    "kedro_datasets.partitions",
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
"""Libraries only: the project is imported by each command itself, as it is then configured."""


def start_server() -> multiprocessing.context.ForkServerContext:
    """The server; it starts with the first command, and ends with this process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


def run_forked(
    context: multiprocessing.context.ForkServerContext,
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    seconds: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Like `support.run_kedro`, in a fork; killed when it takes longer than expected."""
    told = {**clean_environment(), "COLUMNS": "200", **(environment or {})}
    with tempfile.TemporaryDirectory() as place:
        child = context.Process(target=_be_kedro, args=(folder, arguments, told, place))
        child.start()
        child.join(seconds)
        if child.exitcode is None:
            child.kill()
            child.join()
        out, err = (Path(place, name).read_text(errors="replace") for name in ("out", "err"))
    return subprocess.CompletedProcess(arguments, child.exitcode or 0, out, err)


def _be_kedro(
    folder: Path, arguments: tuple[str, ...], environment: dict[str, str], place: str
) -> None:
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(Path(place, name), os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["kedro", *arguments]
    sys.path.insert(0, str(folder))
    import yaml
    from kedro.framework.cli.cli import main
    from kedro.framework.project import LOGGING

    # Kedro looks for this file once, when the server imports it.
    LOGGING.configure(yaml.safe_load((folder / "conf/logging.yml").read_text()))
    main()
