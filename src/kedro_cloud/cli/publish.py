"""`kedro cloud publish`: publish a pipeline on a batch endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kedro_cloud.cli.options import environment_option, parameters_option
from kedro_cloud.core.errors import one_line_errors
from kedro_cloud.workspace import faults


@click.command()
@click.option("--pipeline", "-p", required=True, help="Pipeline with an endpoint in cloud.yml.")
@parameters_option('Parameters of every start, as for `kedro run`, a=1,b.c=2, or JSON, {"a": 1}.')
@click.option("--dry-run", is_flag=True, help="Show the changes without applying them.")
@environment_option
@click.pass_obj
def publish(metadata: Any, /, **options: Any) -> None:
    """Publish a pipeline on a batch endpoint with typed inputs.

    Users and programs with the required role can then start the published pipeline, without a copy
    of the code. Publishing again replaces it if steps, code, image or inputs have changed, and does
    nothing otherwise. cloud.yml defines endpoints and inputs.

    \b
    kedro cloud publish -p PIPELINE
    kedro cloud publish -p PIPELINE --params step_nodes.STEP=4 --dry-run
    """
    with faults.short_errors():
        one_line_errors(_publish)(metadata, **options)


def _publish(metadata: Any, pipeline: str, params: dict[str, Any], dry_run: bool, env: str) -> None:
    from kedro_cloud.monitoring.step_variables import step_variables
    from kedro_cloud.publishing.component import Compiled, Published, check_inputs
    from kedro_cloud.publishing.endpoint import Publication
    from kedro_cloud.publishing.invocation import format_invocations
    from kedro_cloud.workspace import connection
    from kedro_cloud.workspace.changes import select_pending

    project = Path(metadata.project_path)
    name, endpoint = _endpoint_of(project, env, pipeline)
    check_inputs(endpoint, params)
    faults.check_snapshot(project)
    compiled = Compiled.from_pipeline(metadata, env, pipeline, params)
    client = connection.connect(project, env)
    connection.check_image(client, project, env)
    connection.check_clusters(client, compiled.clusters)
    published = Published(compiled.with_variables(step_variables(client, project, env)), endpoint)
    publication = Publication(client, name, published)
    changes = publication.plan_changes()
    todo = select_pending(changes)
    for change in changes:
        click.echo(str(change))
    if not todo:
        click.echo(f"pipeline '{pipeline}' is published already, as {published.deployment}")
    elif dry_run:
        click.echo("nothing was changed: this was a dry run")
        return
    else:
        connection.check_storage(client)
        for change in todo:
            assert change.apply is not None
            change.apply()
        click.echo(f"pipeline '{pipeline}' is published as {published.deployment}")
    address = str(client.batch_endpoints.get(name).scoring_uri)
    for line in format_invocations(name, address, endpoint):
        click.echo(line)


def _endpoint_of(project: Path, env: str, pipeline: str) -> tuple[str, Any]:
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
