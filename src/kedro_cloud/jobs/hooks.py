"""What the environment `azureml` and steps on a cluster want beyond any run."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from kedro.config import MissingConfigException
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines

from kedro_cloud import compat
from kedro_cloud.core.config import PATTERNS

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import DataCatalog
    from kedro.pipeline import Pipeline

STEP: ContextVar[tuple[str, str] | None] = ContextVar("step", default=None)
"""Pipeline and step that this process was started for, on Azure ML or in a rehearsal."""


class StepHooks:
    """Shows pipelines as steps where the environment wants that, and keeps a step to itself."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Register steps if the environment's `azureml.yml` says `merged: true`, or else nodes."""
        from kedro_cloud.jobs import registry

        loader: Any = context.config_loader
        loader.config_patterns.setdefault("azureml", PATTERNS["azureml"])
        try:
            config = loader["azureml"]
        except MissingConfigException:
            return  # a project that runs on no cluster in this environment
        if config.get("steps", {}).get("merged", False):
            registry.use_steps(config["azure"].get("compute", {}))
        else:
            registry.use_nodes()

    @hook_impl(tryfirst=True)
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        """Drop datasets that the step does not use: plugins open each one that there is."""
        step = STEP.get()
        if step is None:
            return
        pipeline, name = step
        compat.drop_datasets(catalog, pipelines[pipeline].filter(node_names=[name]).datasets())


class ValidationHooks:
    """Lets validators of the catalog work within steps, too.

    kedro-azureml runs a step with a catalog of its own, made of the datasets of Kedro's,
    which has lost what these say of validators. So there each dataset gets its own along.
    """

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Have the step's datasets checked by Kedro's catalog when they are loaded and saved."""
        if "AzurePipelinesRunner" not in run_params["runner"]:
            return
        for name in pipeline.datasets() & catalog.validator_specs.keys():
            _check_by(catalog, name)


def _check_by(catalog: DataCatalog, name: str) -> None:
    """Put the catalog's own check after a dataset's `load` and before its `save`."""
    dataset: Any = catalog[name]
    load, save = dataset.load, dataset.save
    dataset.load = lambda: compat.validate_data(catalog, name, load(), "load")
    dataset.save = lambda data: save(compat.validate_data(catalog, name, data, "save"))
