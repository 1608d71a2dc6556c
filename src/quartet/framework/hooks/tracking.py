"""Log metrics and figures to MLflow, and serialise the set-up of its database."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Generator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from kedro_cloud.core import config, ranks, tracking_database

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext


_PASSWORD = re.compile(
    r"(://[^/@:\s]*:)[^/\s]+(?=@)|(?i:(\b(?:PWD|password|AccountKey|SharedAccessKey)=)[^;&\s]+)"
)

logger = logging.getLogger(__name__)


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
        """Replace passwords in the parameters that hooks receive; the catalog has them already."""
        run_params["runtime_params"] = _hide_passwords(run_params.get("runtime_params"))


def _hide_passwords(value: Any) -> Any:
    """Return a copy of nested parameters without the passwords of URLs and connection strings."""
    if isinstance(value, Mapping):
        return {name: _hide_passwords(item) for name, item in value.items()}
    if isinstance(value, str):
        return _PASSWORD.sub(lambda found: f"{found[1] or found[2]}***", value)
    return value


class TrackingHooks:
    """Log metrics and figures to the MLflow run that kedro-mlflow has started."""

    @hook_impl(wrapper=True)
    def before_pipeline_run(self) -> Generator[None, Any, Any]:
        """Tag the run with its process, and end runs whose process was killed.

        This applies to local databases only; runs on a tracking server are left as they are.
        """
        if ranks.rank() > 0:
            return (yield)
        import mlflow

        if not mlflow.get_tracking_uri().startswith(config.SQLITE):
            return (yield)
        with tracking_database.tag_process():
            result = yield
        run = mlflow.active_run()
        if run is not None and (ended := tracking_database.end_killed_runs(run.info.experiment_id)):
            logger.info("Marked %d earlier run(s) as KILLED: their processes have ended", ended)
        return result

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log a `*_metrics` mapping as metrics and a matplotlib figure as an image.

        Several pipelines may share a run, so the pipeline prefixes the metric, as in
        `faq_tuning/test_gain_at_1`; MLflow's pages group metrics by this prefix.
        """
        is_metrics = dataset_name.endswith("_metrics")
        is_figure = type(data).__module__ == "matplotlib.figure"
        if not (is_metrics or is_figure) or ranks.rank() > 0:
            return
        import mlflow

        if mlflow.active_run() is None:
            return
        if is_metrics:
            pipeline = dataset_name.removesuffix("_metrics")
            mlflow.log_metrics({f"{pipeline}/{name}": value for name, value in data.items()})
        else:
            mlflow.log_figure(data, f"figures/{dataset_name}.png")
