"""Log runs to MLflow, and serialise the set-up of its database."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Generator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from kedro_cloud.core import config, ranks, tracking_database
from kedro_cloud.core.errors import describe, is_user_error
from kedro_cloud.jobs.hooks import STEP
from quartet.datasets.lineage import get_git_commit
from quartet.framework.tracking.inputs import get_metadata, log_input
from quartet.framework.tracking.parameters import (
    MAX_LENGTH,
    flatten_parameters,
    hide_passwords,
    log_parameters,
)
from quartet.framework.tracking.tables import log_steps, log_trials

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node

logger = logging.getLogger(__name__)

_PARAMETERS = "params:"
_SOURCE = Path(__file__).parent


class SetupLockHooks:
    """Serialise the set-up of tracking among runs that start at the same time.

    MLflow creates its tables, and kedro-mlflow its experiment, without a lock: in a new project
    the second of two simultaneous runs would fail.
    """

    @hook_impl(wrapper=True)
    def after_context_created(self, context: KedroContext) -> Generator[None, Any, Any]:
        """Hold a file lock, which a killed run releases; only rank 0 tracks, so others skip it."""
        if ranks.rank() > 0:
            return (yield)
        folder = os.open(context.project_path, os.O_RDONLY)
        try:
            with suppress(OSError):  # some network file systems do not support locks
                fcntl.flock(folder, fcntl.LOCK_EX)
            return (yield)
        finally:
            os.close(folder)


class PasswordHooks:
    """Hide passwords in parameters of the command line, which kedro-mlflow stores as a tag."""

    @hook_impl(tryfirst=True)  # before kedro-mlflow, which gets the same mapping
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Replace passwords in the parameters for later hooks; the catalog keeps the originals."""
        run_params["runtime_params"] = hide_passwords(run_params.get("runtime_params"))


def _end_killed_runs() -> None:
    """Mark the runs of dead processes as KILLED; MLflow would show them as running."""
    import mlflow

    experiments = [each.experiment_id for each in mlflow.search_experiments()]
    if ended := sum(map(tracking_database.end_killed_runs, experiments)):
        logger.info("Marked %d earlier run(s) as KILLED: their processes have ended", ended)


class TrackingHooks:
    """Log parameters, data, metrics and figures to the MLflow run that kedro-mlflow has started."""

    def __init__(self) -> None:
        self._catalog: CatalogProtocol[Any, Any] | None = None
        self._raw_data: set[str] = set()
        self._parameters: set[str] = set()

    @hook_impl(wrapper=True)
    def before_pipeline_run(
        self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> Generator[None, Any, Any]:
        """Tag the run with its process and its commit, and end runs whose process was killed.

        Runs on a tracking server are left as they are: their processes may be on other machines.
        """
        if ranks.rank() > 0:
            return (yield)
        import mlflow

        is_local = mlflow.get_tracking_uri().startswith(config.SQLITE)
        with tracking_database.tag_process() if is_local else nullcontext():
            result = yield
        run = mlflow.active_run()
        if run is None:
            return result
        self._catalog = catalog
        self._parameters.clear()
        self._raw_data = {
            name
            for name in pipeline.inputs()
            if get_metadata(catalog.get(name), "kedro-viz").get("layer") == "raw"
        }
        if commit := get_git_commit(_SOURCE):
            mlflow.set_tag("mlflow.source.git.commit", commit)
        if is_local:
            _end_killed_runs()
        return result

    @hook_impl(wrapper=True)
    def before_node_run(
        self, node: Node, catalog: CatalogProtocol[Any, Any], inputs: dict[str, Any]
    ) -> Generator[None, Any, Any]:
        """Log the parameters of a node one by one, and the raw data that it reads.

        kedro-mlflow would log each group of parameters as one string. Its hook receives the same
        dictionary `inputs`, so the groups are removed before it is called. After it, the run is
        open in this thread, so the parameters are logged then.
        """
        names = [name for name in inputs if name.startswith(_PARAMETERS) or name == "parameters"]
        groups = {name: inputs.pop(name) for name in names}
        result = yield
        import mlflow

        if ranks.rank() > 0 or mlflow.active_run() is None:
            return result
        flat = flatten_parameters(
            {name.removeprefix(_PARAMETERS): value for name, value in groups.items()}
        )
        log_parameters({name: flat[name] for name in flat if name not in self._parameters})
        self._parameters |= flat.keys()
        for name in self._raw_data & set(node.inputs):
            self._raw_data.remove(name)
            log_input(name, catalog.get(name), inputs[name])
        return result

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log metrics, tables of steps or trials, and figures.

        A mapping with the name `PIPELINE_metrics` is logged as metrics `PIPELINE/NAME`, such as
        `faq_tuning/test_gain_at_1`: several pipelines may share a run, and MLflow groups metrics
        by this prefix. A table is logged if its dataset has `steps` or `trials` in the catalog's
        metadata for quartet.
        """
        if ranks.rank() > 0:
            return
        import mlflow

        if mlflow.active_run() is None:
            return
        if dataset_name.endswith("_metrics"):
            pipeline = dataset_name.removesuffix("_metrics")
            mlflow.log_metrics({f"{pipeline}/{name}": value for name, value in data.items()})
        elif type(data).__module__ == "matplotlib.figure":
            mlflow.log_figure(data, f"figures/{dataset_name}.png")
        elif self._catalog is not None:
            table = get_metadata(self._catalog.get(dataset_name), "quartet")
            if step := table.get("steps"):
                log_steps(dataset_name, data, step)
            if metrics := table.get("trials"):
                # A job's page on Azure ML would list each child run as a step.
                log_trials(dataset_name, data, metrics, as_runs=STEP.get() is None)

    @hook_impl(tryfirst=True)  # before kedro-mlflow ends the run
    def on_pipeline_error(self, error: Exception) -> None:
        """Set the run's description to the error, and its tag `failure` to input or program."""
        if ranks.rank() > 0:
            return
        import mlflow

        if mlflow.active_run() is None:
            return
        message = hide_passwords(describe(error))[:MAX_LENGTH]
        cause = "input" if is_user_error(error) else "program"
        mlflow.set_tags({"mlflow.note.content": message, "failure": cause})
