"""Check inputs before tracking opens a run, so that a wrong path leaves no failed run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io.core import DatasetError

from kedro_cloud.compat import dataset_file
from kedro_cloud.core import ranks
from kedro_cloud.core.run_command import run_command, set_run_command
from kedro_cloud.jobs.hooks import STEP
from quartet.framework.config_loader import PARAMETER, SAMPLE, get_dataset_name

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline


class InputHooks:
    """Check the inputs of a run, each as far as it is quick."""

    @hook_impl(tryfirst=True)  # before kedro-mlflow opens its run
    def before_pipeline_run(
        self,
        run_params: Mapping[str, Any],
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        """Check all inputs that no node of the run creates.

        Raises:
            ValueError: An input is in neither the catalog nor the parameters.
            DatasetError: An input is missing or invalid.
        """
        _name_data_set_in_advice(get_dataset_name(run_params.get("runtime_params")))
        if ranks.rank() > 0 or STEP.get() is not None or run_params.get("only_missing_outputs"):
            # Rank 0 checks for all. The runner of a step replaces its inputs by what the job
            # mounts. Nodes with outputs may not run.
            return
        # Models last: no model was trained on a path that does not exist.
        for name in sorted(pipeline.inputs(), key=lambda name: (_is_model(name, catalog), name)):
            if name not in catalog:
                raise ValueError(
                    f"pipeline inputs missing: '{name}'; add it to catalog.yml or parameters.yml"
                )
            try:
                _check_input(name, catalog)
            except (DatasetError, OSError) as error:
                if not str(error).startswith(f"{name}: "):
                    error.add_note(name)
                raise


def _is_model(name: str, catalog: CatalogProtocol[Any, Any]) -> bool:
    """Return whether an input is a registered model."""
    return name in catalog and hasattr(catalog.get(name), "model_name")


def _name_data_set_in_advice(name: str) -> None:
    """Let messages that advise to run another pipeline do so for the same data set."""
    if name != SAMPLE:
        in_job = STEP.get() is not None
        given = json.dumps({PARAMETER: name}) if in_job else f"{PARAMETER}={name}"
        set_run_command(f"{run_command('{}')} --params {shlex.quote(given)}")


def _check_input(name: str, catalog: CatalogProtocol[Any, Any]) -> None:
    """Check one input: by its own `check_at_start`, or that its local file exists.

    Loading a file that does not exist ends in the dataset's own message, or in what replaces it.
    """
    dataset: Any = catalog.get(name)
    protocol, _ = dataset_file(dataset) or ("", "")
    if hasattr(dataset, "check_at_start"):
        dataset.check_at_start()
    elif protocol == "file" and not dataset.exists():
        catalog.load(name)
