"""From a registered pipeline to the job that kedro-azureml makes of it, checked before it runs."""

from __future__ import annotations

import contextlib
import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from kedro_cloud.core.hooks import NoTracking
from kedro_cloud.jobs.job import Job, read_job

_CARRIED = ("AzureMLPipelineDataset", "AzureMLAssetDataset")
"""Types of datasets that lie in the folders that Azure ML carries from step to step."""
_PATHS = ("filepath", "path", "folder")
"""Arguments of datasets that say where they lie."""


def translate(metadata: Any, environment: str, pipeline: str, params: Mapping[str, Any]) -> Job:
    """The job that `kedro azureml -e ENVIRONMENT run -p PIPELINE` would submit.

    Args:
        metadata: Kedro's, of the project.
        environment: Folder of `conf`.
        pipeline: Its registered name.
        params: Nested, as `--params` gives them.

    Raises:
        ValueError: There is no such pipeline, a parameter would not survive the way to a cluster,
            or the catalog would lose data on it.
    """
    document, experiment = compile_document(metadata, environment, pipeline, params)
    return replace(read_job(document), name=pipeline, experiment=experiment)


def compile_document(
    metadata: Any, environment: str, pipeline: str, params: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    """The document that `kedro azureml compile` writes, and the experiment that it is for.

    Args and errors are those of `translate`.
    """
    from kedro.framework.project import pipelines
    from kedro_azureml.cli_functions import get_context_and_pipeline
    from kedro_azureml.generator import ConfigException
    from kedro_azureml.utils import CliContext

    check_pipeline_name(pipeline, list(pipelines))
    check_texts(params)
    text = json.dumps(params) if params else ""
    context = CliContext(environment, metadata)
    with contextlib.chdir(metadata.project_path), disabled_tracking():
        try:
            with get_context_and_pipeline(context, None, pipeline, text) as (manager, made):
                registered = pipelines[pipeline]
                check_datasets(registered, manager.context.config_loader["catalog"], environment)
                experiment = manager.plugin_config.azure.experiment_name
                return dict(yaml.safe_load(str(made))), str(experiment)
        except ConfigException as error:  # which is no Exception
            raise ValueError(f"pipeline '{pipeline}': {error}") from error


@contextlib.contextmanager
def disabled_tracking() -> Iterator[None]:
    """Keep kedro-mlflow from opening, or making, a tracking database: nothing is run here."""
    from kedro.framework.project import settings

    before = settings.HOOKS
    settings.set("HOOKS", (*before, NoTracking()))
    try:
        yield
    finally:
        settings.set("HOOKS", before)


def check_texts(params: Mapping[str, Any]) -> None:
    """Raise if the plugin cannot hand a text to the steps.

    Raises:
        ValueError: A text has an apostrophe; the plugin puts all between two of them.
    """
    for name, value in leaves(params):
        if "'" in json.dumps(value) or "'" in name:
            raise ValueError(
                f"parameter '{name}': kedro-azureml cannot hand an apostrophe to a step "
                f"(given: {value}); use another name"
            )


def check_local_paths(params: Mapping[str, Any], project: Path, snapshot: Path) -> None:
    """Raise if a parameter names a file that only this machine has.

    Args:
        params: Nested, as `--params` gives them.
        project: Where relative paths begin.
        snapshot: The code as it is uploaded; what it holds is on a cluster as well.

    Raises:
        ValueError: One does.
    """
    for name, value in leaves(params):
        if not isinstance(value, str) or "://" in value or not value:
            continue
        absolute = value.startswith(("/", "~"))
        here = (project / value).exists() and ("/" in value or (project / value).is_file())
        if absolute or (here and not (snapshot / value).exists()):
            file = Path(value).name
            raise ValueError(
                f"parameter '{name}': {value} would not be there on a cluster; upload it and name "
                f"it there: --upload {value}=mine --params {name}=abfs://mine/{file}"
            )


def check_datasets(pipeline: Any, catalog: Mapping[str, Any], environment: str) -> None:
    """Raise if data of a pipeline would be lost on a cluster.

    Args:
        pipeline: As registered for the environment.
        catalog: Entries as they are configured.
        environment: Named in the error.

    Raises:
        ValueError: A dataset lies where no other machine sees it.
    """
    found = list(find_losses(pipeline, catalog))
    if found:
        raise ValueError(
            f"on a cluster data would be lost: {'; '.join(found)}; put it on abfs://, or wrap it "
            f"in kedro_azureml.datasets.AzureMLPipelineDataset, in conf/{environment}"
        )


def find_losses(pipeline: Any, catalog: Mapping[str, Any]) -> Iterator[str]:
    """In words, each dataset that leaves a step, or comes from outside, and would be lost.

    Args:
        pipeline: As registered for the environment, whose nodes are the job's steps.
        catalog: Entries as they are configured.
    """
    kept_by_nobody = getattr(pipeline, "plain", pipeline).outputs()
    names = pipeline.datasets() | kept_by_nobody
    for name in sorted(name for name in names if not _is_parameter(name)):
        reason = _reason(name, catalog)
        if reason:
            yield f"dataset '{name}' {reason}"


def leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of a nested mapping's ends."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _is_parameter(name: str) -> bool:
    return name == "parameters" or name.startswith("params:")


def _reason(name: str, catalog: Mapping[str, Any]) -> str:
    """Why a dataset would be lost; nothing if it would not."""
    if "@" in name:
        return "is transcoded, which the plugin does not understand"
    entry = catalog.get(name)
    if entry is None:  # the plugin then passes it on as a pickle
        return _pattern_reason(name, catalog)
    kind = str(entry.get("type", ""))
    if kind.endswith(_CARRIED):
        return ""
    if kind.endswith("MemoryDataset"):
        return "is kept in memory"
    for argument in _PATHS:
        path = entry.get(argument)
        if isinstance(path, str) and "://" not in path:
            return f"lies on its step's own machine ({path})"
    return ""


def _pattern_reason(name: str, catalog: Mapping[str, Any]) -> str:
    from kedro.io import CatalogConfigResolver

    patterns = {key: entry for key, entry in catalog.items() if "{" in key}
    pattern = CatalogConfigResolver(patterns).match_dataset_pattern(name)
    return f"has no entry of its own but the pattern '{pattern}'" if pattern else ""


def check_pipeline_name(pipeline: str, known: list[str]) -> None:
    """Raise if there is no such pipeline.

    Raises:
        ValueError: With the name that was probably meant, or all there are.
    """
    if pipeline not in known:
        close = difflib.get_close_matches(pipeline, known, n=1)
        hint = (
            f"did you mean '{close[0]}'?"
            if close
            else f"expected one of {', '.join(sorted(known))}"
        )
        raise ValueError(f"pipeline '{pipeline}' does not exist; {hint}")
