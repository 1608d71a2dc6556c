"""Hooks for the environment `azureml` and for steps on a cluster."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from kedro.config import MissingConfigException
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines

from kedro_cloud import compat
from kedro_cloud.core import azureml_settings
from kedro_cloud.core.config import PATTERNS
from kedro_cloud.core.run_command import set_run_command

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import DataCatalog
    from kedro.pipeline import Pipeline

STEP: ContextVar[tuple[str, str] | None] = ContextVar("step", default=None)
"""Pipeline and step that this process runs, on Azure ML or in a rehearsal; else None."""


class StepHooks:
    """Register pipelines as steps or nodes, and limit the catalog of a step."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Register steps if the environment's `azureml.yml` has `merged: true`, or else nodes.

        Also note which command runs a pipeline like this one, for messages that advise it.

        Raises:
            ValueError: A setting of `azureml.yml` is missing, unknown or invalid.
        """
        from kedro_cloud.jobs import registry

        env = f" -e {context.env}" if context.env else ""
        command = f"azureml{env} run -p {{}}" if STEP.get() else f"run{env} --pipelines {{}}"
        set_run_command(f"kedro {command}")
        loader: Any = context.config_loader
        loader.config_patterns.setdefault("azureml", PATTERNS["azureml"])
        try:
            settings = azureml_settings.read_settings(loader)
        except MissingConfigException:
            return  # this environment has no cluster
        if settings.steps.merged:
            registry.use_steps(settings.azure.compute or {})
        else:
            registry.use_nodes()

    @hook_impl(tryfirst=True)
    def after_catalog_created(self, catalog: DataCatalog, parameters: dict[str, Any]) -> None:
        """Drop datasets that the step does not use, as plugins instantiate every dataset.

        Raises:
            ValueError: A number of machines or ranks is invalid: kedro-azureml would only submit
                it.
        """
        from kedro_cloud.jobs.steps import check_rank_counts

        check_rank_counts(parameters["parameters"])
        step = STEP.get()
        if step is None:
            return
        pipeline, name = step
        compat.drop_datasets(catalog, pipelines[pipeline].filter(node_names=[name]).datasets())


class ValidationHooks:
    """Run the catalog's validators in steps, too.

    kedro-azureml runs a step with its own catalog. It contains the datasets of Kedro's catalog, but
    not their validators, so each dataset's `load` and `save` are wrapped.
    """

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Validate the step's datasets with Kedro's catalog when they are loaded and saved."""
        if "AzurePipelinesRunner" not in run_params["runner"]:
            return
        for name in pipeline.datasets() & catalog.validator_specs.keys():
            _add_validation(catalog, name)


def _add_validation(catalog: DataCatalog, name: str) -> None:
    """Validate a dataset after `load` and before `save`."""
    dataset: Any = catalog[name]
    load, save = dataset.load, dataset.save
    dataset.load = lambda: compat.validate_data(catalog, name, load(), "load")
    dataset.save = lambda data: save(compat.validate_data(catalog, name, data, "save"))
