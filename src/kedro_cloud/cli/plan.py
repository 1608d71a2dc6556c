"""`kedro cloud plan`: estimate time and cost of a pipeline per cluster size."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kedro_cloud.cli.options import Command, echo_lines, environment_option, pipeline_option

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


class Parsed(click.ParamType[Any]):
    """An option whose text matches a pattern, and is parsed from the groups of the match."""

    def __init__(self, name: str, pattern: str, parse: Callable[..., Any], expected: str) -> None:
        self.name = name
        self._pattern, self._parse, self._expected = pattern, parse, expected

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value."""
        found = re.fullmatch(self._pattern, str(value).strip())
        parsed = self._parse(*found.groups()) if found else None
        if parsed is None:
            self.fail(f"'{value}': expected {self._expected}", param, ctx)
        return parsed


def _range(minimum: str, maximum: str | None) -> tuple[int, int] | None:
    bounds = int(minimum), int(maximum or minimum)
    return bounds if bounds[1] >= max(1, bounds[0]) else None


DURATION = Parsed(
    "time",
    r"(\d+(?:\.\d+)?)\s*(s|min|h|d)",
    lambda number, unit: float(number) * _UNITS[unit] or None,
    "a time above 0: 90s, 20min, 2h or 1d",
)
NODES = Parsed(
    "min:max", r"(\d{1,4})(?::(\d{1,4}))?", _range, "MIN:MAX with at least one node: 0:16, or 4:4"
)
OF_STEP = Parsed(
    "step=number",
    r"([^=]+)=(\d{1,12}(?:\.\d+)?)",
    lambda step, number: (step, float(number)),
    "STEP=NUMBER",
)


@click.command(cls=Command)
@pipeline_option
@environment_option
@click.option(
    "--nodes",
    type=NODES,
    multiple=True,
    help="Minimum and maximum number of nodes; maxima that double up to the second number are "
    "estimated. Repeatable, to compare. Default: as in cloud.yml.",
)
@click.option("--size", help="Size of the nodes, in place of cloud.yml's.")
@click.option(
    "--tier",
    type=click.Choice(["dedicated", "low_priority"]),
    help="Tier, in place of cloud.yml's. Azure retired low_priority on 2026-03-31.",
)
@click.option("--within", type=DURATION, help="Time within which 95 % of the jobs must end.")
@click.option("--every", type=DURATION, help="Interval between jobs. Default: one job.")
@click.option(
    "--seconds",
    type=OF_STEP,
    multiple=True,
    help="Work of a step on one rank, in place of what the rehearsal recorded.",
)
@click.option("--scale", type=OF_STEP, multiple=True, help="Factor on the work of a step.")
@click.option("--seed", type=int, default=42, show_default=True, help="Seed of the simulations.")
@click.option("--out", type=click.Path(path_type=Path), help="PNG file for a picture.")
@click.pass_obj
def plan(metadata: Any, /, pipeline: str, env: str, out: Path | None, **options: Any) -> None:
    """Estimate time and cost of a pipeline per cluster size.

    Seconds come from the last `kedro cloud rehearse`, prices from prices.yml, overheads from
    planning.yml. Nothing is sent to Azure. Machines that Azure retires, as in platform.yml, are
    reported.

    \b
    kedro cloud plan -p PIPELINE --nodes 0:16 --scale STEP=500 --within 2h
    kedro cloud plan -p PIPELINE --nodes 0:2 --nodes 1:1 --every 1h --out plan.png
    """
    from kedro_cloud.estimate import figure
    from kedro_cloud.estimate.plans import NodeRange, PlanOptions, make_plan
    from kedro_cloud.estimate.report import format_plan

    if out:
        figure.check_path(out)
    asked = PlanOptions(
        nodes=tuple(NodeRange(*each) for each in options["nodes"]),
        size=options["size"],
        tier=options["tier"],
        within_s=options["within"],
        interval_s=options["every"],
        seconds=dict(options["seconds"]),
        scale=dict(options["scale"]),
        seed=options["seed"],
    )
    made = make_plan(
        metadata, env, pipeline, asked, lambda message: click.echo(f"Warning: {message}", err=True)
    )
    echo_lines(format_plan(made))
    if out:
        figure.save(figure.draw_plan(made), out)
        click.echo(f"picture: {out}")
