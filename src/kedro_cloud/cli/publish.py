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
@parameters_option('Parameters of every start, as for `kedro run`, a=1,b.c=2, or JSON, {"a": 1}.')
@dry_run_option
@environment_option
@click.pass_obj
def publish(metadata: Any, pipeline: str, params: dict[str, Any], dry_run: bool, env: str) -> None:
    """Publish a pipeline on a batch endpoint with typed inputs.

    Users and programs with the required role can then start the published pipeline, without a copy
    of the code. Publishing again replaces it if steps, code, image or inputs have changed, and does
    nothing otherwise. cloud.yml defines endpoints and inputs.

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
    todo = select_pending(changes)
    echo_lines(changes)
    if not todo:
        click.echo(f"pipeline '{pipeline}' is published already, as {publication.deployment}")
    elif dry_run:
        click.echo("nothing was changed: this was a dry run")
        return
    else:
        connection.check_storage(client)
        for change in todo:
            assert change.apply is not None
            change.apply()
        click.echo(f"pipeline '{pipeline}' is published as {publication.deployment}")
    address = str(client.batch_endpoints.get(name).scoring_uri)
    echo_lines(format_invocations(name, address, endpoint))


def compile_pipeline(
    metadata: Any, env: str, pipeline: str, params: dict[str, Any]
) -> tuple[MLClient, CompiledPipeline]:
    """Compile a pipeline for the workspace, and check what its jobs need there."""
    from kedro_cloud.jobs import snapshot
    from kedro_cloud.monitoring.step_variables import step_variables
    from kedro_cloud.publishing.component import CompiledPipeline
    from kedro_cloud.workspace import connection

    project = Path(metadata.project_path)
    snapshot.check_size(snapshot.uploaded_files(project))
    compiled = CompiledPipeline.from_pipeline(metadata, env, pipeline, params)
    client = connection.connect(project, env)
    connection.check_step_image(client, project, env)
    connection.check_clusters(client, compiled.clusters)
    return client, compiled.with_variables(step_variables(client, project, env))


def _find_endpoint(project: Path, env: str, pipeline: str) -> tuple[str, Any]:
    from kedro_cloud.core.cloud_settings import cloud_settings

    endpoints = cloud_settings(project, env).endpoints
    found = [name for name, endpoint in endpoints.items() if endpoint.pipeline == pipeline]
    if not found:
        known = ", ".join(sorted({endpoint.pipeline for endpoint in endpoints.values()})) or "none"
        raise ValueError(
            f"cloud.yml has no endpoint for pipeline '{pipeline}' (it has for {known}); add one "
            f"in conf/{env}/cloud.yml: endpoints: {{{pipeline.replace('_', '-')}: {{pipeline: "
            f"{pipeline}}}}}"
        )
    if len(found) > 1:
        raise ValueError(
            f"cloud.yml has several endpoints for pipeline '{pipeline}': {', '.join(found)}; "
            "remove all but one"
        )
    return found[0], endpoints[found[0]]
