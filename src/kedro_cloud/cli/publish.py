"""`kedro cloud publish`: publish a pipeline on a batch endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kedro_cloud.cli.options import (
    Command,
    dry_run_option,
    echo_lines,
    environment_option,
    parameters_option,
    pipeline_option,
)

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from kedro_cloud.publishing.component import CompiledPipeline


@click.command(cls=Command)
@pipeline_option
@parameters_option('Parameters of all jobs, as for `kedro run` (a=1,b.c=2) or as JSON ({"a": 1}).')
@dry_run_option
@environment_option
@click.pass_obj
def publish(metadata: Any, pipeline: str, params: dict[str, Any], dry_run: bool, env: str) -> None:
    """Publish a pipeline on a batch endpoint with typed inputs.

    Users and programs with the required role can then start the published pipeline without a copy
    of the code. Publishing again replaces it if steps, code, environment or inputs have changed.
    cloud.yml defines endpoints and inputs.

    \b
    kedro cloud publish -p PIPELINE
    kedro cloud publish -p PIPELINE --params step_nodes.STEP=4 --dry-run
    """
    from kedro_cloud.publishing.component import check_inputs
    from kedro_cloud.publishing.endpoint import Publication
    from kedro_cloud.publishing.invocation import format_invocations
    from kedro_cloud.workspace import connection
    from kedro_cloud.workspace.changes import select_pending

    name, endpoint = _find_endpoint(Path(metadata.project_path), env, pipeline)
    check_inputs(endpoint, params)
    client, compiled = compile_pipeline(metadata, env, pipeline, params)
    publication = Publication(client, name, compiled, endpoint)
    changes = publication.plan_changes()
    pending = select_pending(changes)
    echo_lines(changes)
    if not pending:
        click.echo(f"pipeline '{pipeline}' is already published as {publication.deployment}")
    elif dry_run:
        click.echo("nothing was changed: this was a dry run")
        return
    else:
        connection.check_storage(client)
        for change in pending:
            assert change.apply is not None
            change.apply()
        click.echo(f"pipeline '{pipeline}' is published as {publication.deployment}")
    scoring_uri = str(client.batch_endpoints.get(name).scoring_uri)
    echo_lines(format_invocations(name, scoring_uri, endpoint))


def compile_pipeline(
    metadata: Any, env: str, pipeline: str, params: dict[str, Any]
) -> tuple[MLClient, CompiledPipeline]:
    """Compile a pipeline, and check that the workspace has its clusters and its environment.

    Returns:
        Client of the workspace, and the compiled pipeline.

    Raises:
        ValueError: Code, pipeline, settings or environment are not valid.
        azure.core.exceptions.ResourceNotFoundError: A cluster does not exist.
    """
    from kedro_cloud.jobs import snapshot
    from kedro_cloud.monitoring.step_variables import step_variables
    from kedro_cloud.publishing.component import CompiledPipeline
    from kedro_cloud.workspace import connection

    project = Path(metadata.project_path)
    snapshot.check_size(snapshot.uploaded_files(project))
    compiled = CompiledPipeline.from_pipeline(metadata, env, pipeline, params)
    client = connection.connect(project, env)
    connection.check_step_image(client, project, env)
    for cluster in compiled.clusters:
        client.compute.get(cluster)  # raises before code is uploaded
    return client, compiled.with_variables(step_variables(client, project, env))


def _find_endpoint(project: Path, env: str, pipeline: str) -> tuple[str, Any]:
    """Return the name and the settings of the only endpoint for a pipeline in cloud.yml."""
    from kedro_cloud.core.cloud_settings import cloud_settings

    endpoints = cloud_settings(project, env).endpoints
    names = [name for name, endpoint in endpoints.items() if endpoint.pipeline == pipeline]
    if not names:
        others = ", ".join(sorted({endpoint.pipeline for endpoint in endpoints.values()})) or "none"
        raise ValueError(
            f"cloud.yml has no endpoint for pipeline '{pipeline}' (configured: {others}); add one "
            f"in conf/{env}/cloud.yml: endpoints: {{{pipeline.replace('_', '-')}: {{pipeline: "
            f"{pipeline}}}}}"
        )
    if len(names) > 1:
        raise ValueError(
            f"cloud.yml has several endpoints for pipeline '{pipeline}': {', '.join(names)}; "
            "remove all but one"
        )
    return names[0], endpoints[names[0]]
