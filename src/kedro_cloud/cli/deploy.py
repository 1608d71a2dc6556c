"""`kedro cloud deploy`: serve a registered model, on Azure ML or on this machine."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kedro_cloud.cli.models import hide_log_lines
from kedro_cloud.cli.options import Command, dry_run_option, echo_lines
from kedro_cloud.models.registry import STAGES
from kedro_cloud.models.scoring import PORT

if TYPE_CHECKING:
    from kedro_cloud.models.registry import Version


@click.command(cls=Command)
@click.option("--model", required=True, help="Registered name, as in `kedro cloud models list`.")
@click.option("--version", default="", help="Version. Default: the champion, or else the latest.")
@click.option("--stage", type=click.Choice(STAGES), help="Deploy the version in this stage.")
@dry_run_option
@click.option("--keep", is_flag=True, help="Keep the previous deployment, for a fast rollback.")
@click.option("--local", is_flag=True, help="Serve on this machine, until Ctrl-C.")
@click.option("--port", type=click.IntRange(1, 65535), help=f"Port, with --local. Default: {PORT}.")
@click.option(
    "--env", "-e", help="Environment of the model registry. Default: azureml; with --local: base."
)
@click.pass_obj
def deploy(metadata: Any, /, **options: Any) -> None:
    """Deploy a registered model that answers batches of images or questions.

    On Azure ML the model runs behind a managed online endpoint, with the settings of `deployments`
    in conf/azureml/cloud.yml and the environment of the lock file. A new deployment gets the
    traffic once it has answered a test request; then the previous one is removed. With --local the
    same server runs on this machine.

    \b
    kedro cloud deploy --model MODEL --local
    kedro cloud deploy --model MODEL --dry-run
    kedro cloud deploy --model MODEL --stage candidate --keep
    """
    if options["version"] and options["stage"]:
        raise click.UsageError("--version and --stage both select a version; use one of them")
    if options["port"] and not options["local"]:
        raise click.UsageError("--port needs --local; add it, or remove --port")
    if options["local"] and (options["dry_run"] or options["keep"]):
        raise click.UsageError("--local changes nothing; remove --dry-run and --keep")
    hide_log_lines()
    project = Path(metadata.project_path)
    which = (options["model"], options["version"], options["stage"] or "")  # for choose_version
    if options["local"]:
        _serve(project, options["env"] or "base", which, options["port"] or PORT)
    else:
        environment = options["env"] or "azureml"
        _deploy_to_azure(project, environment, which, options["dry_run"], options["keep"])


def _serve(project: Path, environment: str, which: tuple[str, str, str], port: int) -> None:
    from kedro_cloud.models import local_server
    from kedro_cloud.models.environment_registry import open_registry
    from kedro_cloud.models.registry import choose_version

    registry = open_registry(project, environment)
    chosen = choose_version(registry, *which)
    with tempfile.TemporaryDirectory(prefix="kedro-cloud-model-") as folder:
        files = registry.fetch(chosen, Path(folder))
        click.echo(_format_version(chosen))
        local_server.serve(files, port, click.echo)


def _deploy_to_azure(
    project: Path, environment: str, which: tuple[str, str, str], dry_run: bool, keep: bool
) -> None:
    from kedro_cloud.models import bundle, packages, rollout
    from kedro_cloud.models.registry import choose_version
    from kedro_cloud.models.workspace_registry import WorkspaceRegistry
    from kedro_cloud.provisioning.environment import Image
    from kedro_cloud.workspace import connection

    settings = _deployment_settings(project, environment, which[0])
    image = Image.from_project(project, "serving")
    client = connection.connect(project, environment)
    registry = WorkspaceRegistry(client, environment)
    chosen = choose_version(registry, *which)
    connection.check_image_registered(client, image.reference, "the model's server", " --serving")
    desired = rollout.DesiredDeployment(
        settings.endpoint,
        chosen.model,
        chosen.number,
        image.reference,
        bundle.hash_code(),
        settings.size,
        settings.instances,
    )

    @functools.cache
    def load_example() -> bytes:
        with tempfile.TemporaryDirectory(prefix="kedro-cloud-model-") as folder:
            return bundle.read_example(registry.fetch(chosen, Path(folder)))

    changes = rollout.plan_changes(client, desired, keep, load_example)
    click.echo(_format_version(chosen))
    for line in packages.find_differences(chosen.select_tags("library"), image.lock):
        click.echo(f"Warning: made with {line}", err=True)
    if not changes:
        click.echo(f"endpoint {settings.endpoint} answers with it already")
    elif dry_run:
        echo_lines(changes)
    else:
        load_example()  # before anything is changed
        for change in changes:
            click.echo(str(change))
            assert change.apply is not None
            change.apply()
        scoring_uri = str(client.online_endpoints.get(settings.endpoint).scoring_uri)
        click.echo(_format_example(scoring_uri))


def _deployment_settings(project: Path, environment: str, model: str) -> Any:
    """Return the settings of a model's deployment.

    Raises:
        ValueError: cloud.yml does not have them, or the environment is not for Azure ML.
    """
    from kedro_cloud.core.cloud_settings import cloud_settings
    from kedro_cloud.models.environment_registry import uses_azure_ml

    if not uses_azure_ml(project, environment):
        raise ValueError(
            f"environment '{environment}' is not for Azure ML; serve its models on this machine: "
            f"kedro cloud deploy --model {model} --local -e {environment}"
        )
    known = cloud_settings(project, environment).deployments
    if model not in known:
        raise ValueError(
            f"conf/{environment}/cloud.yml: `deployments` has no entry '{model}'; expected one of "
            f"{', '.join(known)}"
        )
    return known[model]


def _format_version(version: Version) -> str:
    stages = f" ({', '.join(version.stages)})" if version.stages else ""
    return (
        f"{version.model} version {version.number}{stages}: {version.reason or 'no reason given'}"
    )


def _format_example(address: str) -> str:
    return (
        "Send a request, with the role AzureML Data Scientist:\n"
        "TOKEN=$(az account get-access-token --resource https://ml.azure.com "
        "--query accessToken --output tsv)\n"
        "curl -s -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' "
        f"-d @request.json {address}"
    )
