"""`kedro cloud watch`: new videos of a container or folder, each restyled once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quartet.azure.options import STOPPED, of_environment, with_parameters
from quartet.messages import one_line_errors

if TYPE_CHECKING:
    from quartet.azure.watching import Place, Starter, WatchSettings
    from quartet.azure.watching.configured import Configured

HERE, ENDPOINT = "local", "endpoint"


@click.command()
@click.argument("place", metavar="[CONTAINER-OR-FOLDER]", required=False)
@click.option("--once", is_flag=True, help="End when nothing is left to be done.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="From one look to the next. Files that change in between wait.",
)
@click.option(
    "--most-at-once",
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    help="Videos under way; the others wait. Without it 1 here, on Azure ML as in cloud.yml.",
)
@click.option(
    "--start",
    type=click.Choice([HERE, ENDPOINT]),
    default=HERE,
    show_default=True,
    help="Restyle on this machine, or by the endpoint of cloud.yml.",
)
@with_parameters("Of style_transfer, as for `kedro run`: style=wave. For the endpoint its inputs.")
@click.option(
    "--results",
    metavar="FOLDER",
    default=None,
    help="Where restyled videos go, a path or abfs://; else as without watching.",
)
@click.option(
    "--again",
    multiple=True,
    metavar="NAME",
    help="Forget what became of this video: it is started anew. Can be said several times.",
)
@click.option("--dry-run", is_flag=True, help="Only say what there is, and what became of it.")
@of_environment
@click.pass_obj
def watch(metadata: Any, /, **options: Any) -> None:
    """Restyle each new video of a container or folder, once.

    What it watches is the container of the trigger in cloud.yml, any other (abfs://NAME/FOLDER),
    or a folder of this machine. Several may watch the same, the Logic App included: markers tell
    who has a video. A video that fails is tried again, and in the end left alone as poison. Ctrl-C
    stops what is under way; the next watcher goes on with it.

    \b
    kedro cloud watch ~/incoming --params style=wave
    kedro cloud watch --once
    kedro cloud watch abfs://videos --start endpoint --most-at-once 8
    """
    if options["start"] == ENDPOINT and options["results"]:
        raise click.UsageError("--results: jobs on Azure ML put them where its catalog says")
    from quartet.azure import faults

    with faults.explained():
        code = one_line_errors(_watch)(Path(metadata.project_path), **options)
    sys.exit(code)


def _watch(
    project: Path,
    place: str | None,
    once: bool,
    every: float,
    most_at_once: int | None,
    again: tuple[str, ...],
    dry_run: bool,
    start: str,
    env: str,
    **others: Any,
) -> int:
    """The exit code."""
    from quartet.azure import watching
    from quartet.azure.cloud_settings import cloud_settings
    from quartet.azure.watching.configured import Configured

    here = Configured(project, env, cloud_settings(project, env), others["results"])
    watched = here.place(place)
    watched.require()
    starter = _starter(here, watched, start, others["params"], every)
    if dry_run:
        return _tell(watched, starter)
    for told in watching.forget(watched, again) if again else []:
        click.echo(told)
    usual = 1 if start == HERE else here.trigger.most_at_once
    settings = watching.WatchSettings(most_at_once or usual, here.trigger.attempts, every)
    return _go_on(watched, starter, settings, once)


def _starter(
    here: Configured, watched: Place, start: str, params: dict[str, Any], every: float
) -> Starter:
    """How videos are restyled.

    Raises:
        ValueError: It cannot be done in this way.
    """
    from quartet.azure import watching, workspace

    if start == HERE:
        return here.commands(params)
    if isinstance(watched, watching.Folder):
        raise ValueError(f"{watched.address}: a cluster does not see it; watch a container")
    return here.jobs(workspace.connect(here.project, here.environment), params, every)


def _go_on(watched: Place, starter: Starter, settings: WatchSettings, once: bool) -> int:
    """Watch until it is over; the exit code."""
    from quartet.azure import watching
    from quartet.azure.watching import table

    with watching.Request.taken() as request:
        click.echo(f"watching {watched.address}")
        with table.shown(sys.stdout) as show:
            watcher = watching.Watcher(watched, starter, settings, show)
            watching.watch(
                watcher, settings.every, once, request, lambda line: click.echo(line, err=True)
            )
        for told in table.summary(watcher.rows):
            click.echo(told)
        if request.made:
            return STOPPED
    return int(any(row.state in watching.LEFT_ALONE for row in watcher.rows))


def _tell(place: Place, starter: Starter) -> int:
    """Say what there is, and start nothing."""
    from quartet.azure.watching import Watcher, WatchSettings, table

    # With room for none, all that may be started waits for its turn.
    watcher = Watcher(place, starter, WatchSettings(0, every=0), lambda rows: None)
    watcher.look()
    for told in table.dry_summary(watcher.rows):
        click.echo(told)
    return 0
