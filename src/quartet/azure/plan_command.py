"""`kedro cloud plan`: what a pipeline will take and cost on a cluster, before it is paid for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from quartet.azure.options import of_environment
from quartet.messages import one_line_errors

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d)\s*")
_TIERS = ("dedicated", "low_priority")


class Duration(click.ParamType[Any]):
    """Seconds, from `90s`, `20min`, `2h` or `1d`."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        found = _DURATION.fullmatch(str(value))
        if found is None or not float(found[1]):
            self.fail(f"'{value}' is no time; say 90s, 20min, 2h or 1d", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class NodeRange(click.ParamType[Any]):
    """Least and most nodes, from `0:16`, or `4` for `4:4`."""

    name = "least:most"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A pair of numbers."""
        found = re.fullmatch(r"(\d+)(?::(\d+))?", str(value))
        if found is None:
            self.fail(f"'{value}' is no range of nodes; say 0:16", param, ctx)
        least, most = int(found[1]), int(found[2] or found[1])
        if most < least:
            self.fail(
                f"'{value}' goes backwards: at least {least}, at most {most} nodes; say "
                f"{most}:{least}",
                param,
                ctx,
            )
        if not most:
            self.fail(f"'{value}': a cluster of no node runs nothing; say 0:1", param, ctx)
        return least, most


class OfStep(click.ParamType[Any]):
    """A step and a number, from `STEP=NUMBER`."""

    name = "step=number"

    def __init__(self, whole: bool = True) -> None:
        self._whole = whole

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name and the number."""
        name, equals, text = str(value).partition("=")
        try:
            number = int(text) if self._whole else float(text)
        except ValueError:
            number = -1
        if not (name and equals) or not (0 if self._whole else -1) < number < 10**12:
            least = "a whole number from 1 on" if self._whole else "seconds"
            self.fail(f"'{value}': say STEP=NUMBER, with {least}", param, ctx)
        return name, number


@click.command()
@click.option("--pipeline", "-p", required=True, help="Which pipeline.")
@of_environment
@click.option(
    "--nodes",
    type=NodeRange(),
    multiple=True,
    help="Nodes that stand, and nodes at most: all sizes up to the second are tried. Can be said "
    "several times, to compare. As in cloud.yml, if not said.",
)
@click.option("--size", default=None, help="Of the machines, in place of what cloud.yml says.")
@click.option("--tier", type=click.Choice(_TIERS), default=None, help="The same for their tier.")
@click.option("--idle", type=Duration(), default=None, help="The same for their idle time.")
@click.option("--within", type=Duration(), default=None, help="95 of 100 jobs are to be done by.")
@click.option("--every", type=Duration(), default=None, help="A job comes at each of these times.")
@click.option(
    "--per-day", type=click.FloatRange(min=0, min_open=True), help="So many jobs come, by chance."
)
@click.option("--burst", type=click.IntRange(min=1), default=1, help="Jobs that come at once.")
@click.option(
    "--days", type=click.FloatRange(min=0, min_open=True), default=1.0, help="That are played."
)
@click.option("--gang", type=OfStep(), multiple=True, help="Nodes of a step; all, if not said.")
@click.option("--pieces", type=OfStep(), multiple=True, help="Trials, sensors, pieces of a step.")
@click.option(
    "--seconds",
    type=OfStep(whole=False),
    multiple=True,
    help="Of a step's work by one rank alone, in place of what the rehearsal measured.",
)
@click.option(
    "--evictions",
    type=click.FloatRange(min=0),
    default=None,
    help="How often a low-priority machine is taken away in an hour.",
)
@click.option("--sensors", type=click.IntRange(min=0), default=0, help="That send readings.")
@click.option("--quota", type=click.IntRange(min=0), default=None, help="Cores that you may use.")
@click.option("--limits", is_flag=True, help="Show all limits, not only the first that breaks.")
@click.option("--assumptions", is_flag=True, help="Show what is taken for granted, with sources.")
@click.option(
    "--replications", type=click.IntRange(min=1), default=None, help="How often each is played."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=42, show_default=True, help="Of chance."
)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Picture to write, PNG.")
@click.pass_obj
def plan(metadata: Any, /, **options: Any) -> None:
    """What a pipeline will take and cost on clusters of several sizes.

    Seconds come from the last `kedro cloud rehearse`, prices from prices.yml, what is taken for
    granted from planning.yml. Nothing is asked of Azure, and nothing is started.

    \b
    kedro cloud plan -p faq_tuning --nodes 0:16 --pieces tune_ranker=96 --within 2h
    kedro cloud plan -p anomaly_scoring --nodes 0:2 --nodes 2:2 --every 1h
    kedro cloud plan -p style_transfer --nodes 0:64 --gang restyle_pieces=4 --per-day 10000
    """
    if options["every"] and options["per_day"]:
        raise click.UsageError("--every and --per-day both say when jobs come: say one of them")
    from quartet.azure import faults

    with faults.explained():
        one_line_errors(_plan)(metadata, options)


def _plan(metadata: Any, options: Mapping[str, Any]) -> None:
    from quartet.azure.planning import picture
    from quartet.azure.planning.planned import Wishes, planned

    if options["out"] is not None:
        picture.refuse_unfit(options["out"])
    made = planned(metadata, options["env"], options["pipeline"], Wishes.of(options))
    for line in made.lines():
        click.echo(line)
    if options["out"] is not None:
        title = f"{options['pipeline']}, {made.coming}"
        figure = picture.draw(made.rows, made.best, title, made.currency, options["seed"])
        picture.save(figure, options["out"])
        click.echo(f"picture: {options['out']}")
