"""`kedro cloud publish`: a pipeline on an endpoint, for others to start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kedro_cloud.cli.options import environment_option, parameters_option
from kedro_cloud.core.errors import one_line_errors
from kedro_cloud.workspace import faults


@click.command()
@click.option("--pipeline", "-p", required=True, help="Which pipeline; cloud.yml has its endpoint.")
@parameters_option('The same for every start, as for `kedro run`: a=1,b.c=2. Or JSON: {"a": 1}.')
@click.option("--dry-run", is_flag=True, help="Only say what would be made.")
@environment_option
@click.pass_obj
def publish(metadata: Any, /, **options: Any) -> None:
    """Let others start a pipeline, by a batch endpoint with typed inputs.

    A person or a program with the role for it then starts the pipeline as it was published,
    without a copy of the code. Publishing again replaces it if the steps, the code, the image or
    the inputs have changed, and does nothing otherwise. Endpoints and inputs are in cloud.yml.

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
    from kedro_cloud.publishing.invocation import how_to_invoke
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
    published = Published(compiled.telling(step_variables(client, project, env)), endpoint)
    publication = Publication(client, name, published)
    changes = publication.changes()
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
    for line in how_to_invoke(name, address, endpoint):
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
            "leave one"
        )
    return found[0], endpoints[found[0]]
