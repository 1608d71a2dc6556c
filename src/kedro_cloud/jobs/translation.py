"""Translate a registered pipeline into a job with kedro-azureml, and check it before it runs."""

from __future__ import annotations

import contextlib
import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from kedro_cloud.core.hooks import NoTracking
from kedro_cloud.jobs.job import Job, read_job

_PASSED_TYPES = ("AzureMLPipelineDataset", "AzureMLAssetDataset")
"""Types of datasets whose folders Azure ML passes from step to step."""
_PATH_ARGUMENTS = ("filepath", "path", "folder")
"""Arguments of datasets that contain a path."""


def translate(metadata: Any, environment: str, pipeline: str, params: Mapping[str, Any]) -> Job:
    """Return the job that `kedro azureml -e ENVIRONMENT run -p PIPELINE` would submit.

    Args:
        metadata: Kedro's project metadata.
        environment: Folder of `conf`.
        pipeline: Registered name.
        params: Nested runtime parameters.

    Raises:
        ValueError: The pipeline does not exist, a parameter contains an apostrophe, a dataset
            cannot be passed from step to step, or the job is invalid.
    """
    document, experiment = compile_document(metadata, environment, pipeline, params)
    return read_job(document, pipeline, experiment)


def compile_document(
    metadata: Any, environment: str, pipeline: str, params: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    """Return the parsed YAML of `kedro azureml compile`, and the experiment's name.

    Arguments and errors are those of `translate`.
    """
    from kedro.framework.project import pipelines
    from kedro_azureml.cli_functions import get_context_and_pipeline
    from kedro_azureml.generator import ConfigException
    from kedro_azureml.utils import CliContext

    check_pipeline_name(pipeline, list(pipelines))
    check_apostrophes(params)
    text = json.dumps(params) if params else ""
    context = CliContext(environment, metadata)
    with contextlib.chdir(metadata.project_path), disabled_tracking():
        try:
            with get_context_and_pipeline(context, None, pipeline, text) as (manager, compiled):
                registered = pipelines[pipeline]
                check_datasets(registered, manager.context.config_loader["catalog"], environment)
                experiment = manager.plugin_config.azure.experiment_name
                return dict(yaml.safe_load(str(compiled))), str(experiment)
        except ConfigException as error:  # a BaseException
            raise ValueError(f"pipeline '{pipeline}': {error}") from error


@contextlib.contextmanager
def disabled_tracking() -> Iterator[None]:
    """Disable kedro-mlflow, which would create or open a tracking database."""
    from kedro.framework.project import settings

    before = settings.HOOKS
    settings.set("HOOKS", (*before, NoTracking()))
    try:
        yield
    finally:
        settings.set("HOOKS", before)


def check_apostrophes(params: Mapping[str, Any]) -> None:
    """Check that no parameter contains an apostrophe: kedro-azureml quotes parameters with it.

    Raises:
        ValueError: A name or a value contains an apostrophe.
    """
    for name, value in iterate_leaves(params):
        if "'" in json.dumps(value) or "'" in name:
            raise ValueError(
                f"parameter '{name}': kedro-azureml cannot pass an apostrophe to a step "
                f"(given: {value}); remove the apostrophe"
            )


def check_local_paths(params: Mapping[str, Any], project: Path, snapshot: Path) -> None:
    """Check that no parameter is the path of a local file.

    Args:
        params: Nested runtime parameters.
        project: Folder that relative paths start from.
        snapshot: Folder of the uploaded code, whose files also exist on a cluster.

    Raises:
        ValueError: A parameter is the path of a file that is not in the snapshot.
    """
    for name, value in iterate_leaves(params):
        if not isinstance(value, str) or "://" in value or not value:
            continue
        absolute = value.startswith(("/", "~"))
        # A bare word may also be the name of a folder, such as `data`, by chance.
        is_local = (project / value).exists() and ("/" in value or (project / value).is_file())
        if absolute or (is_local and not (snapshot / value).exists()):
            file = Path(value).name
            raise ValueError(
                f"parameter '{name}': {value} does not exist on a cluster; upload it and use its "
                f"address: --upload {value}=mine --params {name}=abfs://mine/{file}"
            )


def check_datasets(pipeline: Any, catalog: Mapping[str, Any], environment: str) -> None:
    """Check that all steps on a cluster can read their data.

    Args:
        pipeline: Registered pipeline, whose nodes are steps: `kedro_cloud.jobs.steps.Steps`, or
            any other. Datasets that only one step uses may be anywhere.
        catalog: Entries of the catalog configuration.
        environment: Folder of `conf`, for the error message.

    Raises:
        ValueError: A dataset is stored where other machines cannot read it.
    """
    # Steps have no final outputs: the original nodes save them, and they must be kept, too.
    names = pipeline.datasets() | getattr(pipeline, "plain", pipeline).outputs()
    reasons = {
        name: _explain_loss(name, catalog) for name in sorted(names) if not _is_parameter(name)
    }
    found = [f"dataset '{name}' {reason}" for name, reason in reasons.items() if reason]
    if found:
        raise ValueError(
            f"data would be lost on a cluster: {'; '.join(found)}; store it on abfs://, or wrap it "
            f"in kedro_azureml.datasets.AzureMLPipelineDataset, in conf/{environment}"
        )


def iterate_leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted names and values of a nested mapping's leaves."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from iterate_leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _is_parameter(name: str) -> bool:
    return name == "parameters" or name.startswith("params:")


def _explain_loss(name: str, catalog: Mapping[str, Any]) -> str:
    """Return why a dataset would be lost; empty if it would not."""
    from kedro.io import CatalogConfigResolver

    if "@" in name:
        return "is transcoded, which kedro-azureml does not support"
    entry = catalog.get(name)
    if entry is None:  # kedro-azureml passes it on as a pickle, and ignores patterns
        patterns = {key: each for key, each in catalog.items() if "{" in key}
        pattern = CatalogConfigResolver(patterns).match_dataset_pattern(name)
        return f"matches only the pattern '{pattern}', but needs its own entry" if pattern else ""
    kind = str(entry.get("type", ""))
    if kind.endswith(_PASSED_TYPES):
        return ""
    if kind.endswith("MemoryDataset"):
        return "is kept in memory"
    for argument in _PATH_ARGUMENTS:
        path = entry.get(argument)
        if isinstance(path, str) and "://" not in path:
            return f"is stored on the step's own machine ({path})"
    return ""


def check_pipeline_name(pipeline: str, known: list[str]) -> None:
    """Check that a pipeline is registered.

    Raises:
        ValueError: It is not; the message suggests the closest name, or lists all.
    """
    if pipeline not in known:
        close = difflib.get_close_matches(pipeline, known, n=1)
        hint = (
            f"did you mean '{close[0]}'?"
            if close
            else f"expected one of {', '.join(sorted(known))}"
        )
        raise ValueError(f"pipeline '{pipeline}' does not exist; {hint}")
