"""`kedro cloud plan`: estimate time and cost of a pipeline per cluster size."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kedro_cloud.cli.options import Command, echo_lines, environment_option, pipeline_option

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
"""Seconds by unit of time."""


class PatternType(click.ParamType[Any]):
    """Type of an option that is parsed with a regular expression."""

    def __init__(self, name: str, pattern: str, parse: Callable[..., Any], expected: str) -> None:
        """Configure the type.

        Args:
            name: Name of the type in the help text.
            pattern: Regular expression for the complete text.
            parse: Receives the groups of the match; returns the value, or None if it is invalid.
            expected: Description of valid texts, for the error message.
        """
        self.name = name
        self._pattern, self._parse, self._expected = pattern, parse, expected

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value."""
        match = re.fullmatch(self._pattern, str(value).strip())
        parsed = self._parse(*match.groups()) if match else None
        if parsed is None:
            self.fail(f"'{value}': expected {self._expected}", param, ctx)
        return parsed


def _parse_range(minimum: str, maximum: str | None) -> tuple[int, int] | None:
    """Return minimum and maximum, or None if the maximum is less than 1 or the minimum."""
    bounds = int(minimum), int(maximum or minimum)
    return bounds if bounds[1] >= max(1, bounds[0]) else None


DURATION = PatternType(
    "time",
    r"(\d+(?:\.\d+)?)\s*(s|min|h|d)",
    lambda number, unit: float(number) * _SECONDS[unit] or None,  # 0 is invalid
    "a time above 0: 90s, 20min, 2h or 1d",
)
NODES = PatternType(
    "min:max",
    r"(\d{1,4})(?::(\d{1,4}))?",
    _parse_range,
    "MIN:MAX with at least one node: 0:16, or 4:4",
)
STEP_NUMBER = PatternType(
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
    help="Minimum and maximum number of nodes. Smaller maxima (1, 2, 4, …) are estimated, too. "
    "Repeat the option to compare ranges. Default: as in cloud.yml.",
)
@click.option("--size", help="VM size of the nodes. Default: as in cloud.yml.")
@click.option(
    "--tier",
    type=click.Choice(["dedicated", "low_priority"]),
    help="Tier of the nodes. Default: as in cloud.yml. Azure retired low_priority on 2026-03-31.",
)
@click.option("--within", type=DURATION, help="Time within which 95 % of the jobs must end.")
@click.option("--every", type=DURATION, help="Interval between jobs. Default: one job.")
@click.option(
    "--seconds",
    type=STEP_NUMBER,
    multiple=True,
    help="Work of a step, in seconds on one rank. Default: as rehearsed.",
)
@click.option("--scale", type=STEP_NUMBER, multiple=True, help="Factor on the work of a step.")
@click.option("--seed", type=int, default=42, show_default=True, help="Seed of the simulations.")
@click.option("--out", type=click.Path(path_type=Path), help="PNG file for a figure of the plan.")
@click.pass_obj
def plan(metadata: Any, /, pipeline: str, env: str, out: Path | None, **options: Any) -> None:
    """Estimate time and cost of a pipeline per cluster size.

    The work of each step comes from the last `kedro cloud rehearse`, prices from prices.yml,
    overheads from planning.yml. Nothing is sent to Azure. The command warns of VM sizes and tiers
    that Azure retires, as listed in platform.yml.

    \b
    kedro cloud plan -p PIPELINE --nodes 0:16 --scale STEP=500 --within 2h
    kedro cloud plan -p PIPELINE --nodes 0:2 --nodes 1:1 --every 1h --out plan.png
    """
    from kedro_cloud.estimate import figure
    from kedro_cloud.estimate.plans import NodeRange, PlanOptions, make_plan
    from kedro_cloud.estimate.report import format_plan

    if out:
        figure.check_path(out)
    plan_options = PlanOptions(
        nodes=tuple(NodeRange(*each) for each in options["nodes"]),
        size=options["size"],
        tier=options["tier"],
        within_s=options["within"],
        interval_s=options["every"],
        seconds=dict(options["seconds"]),
        scale=dict(options["scale"]),
        seed=options["seed"],
    )
    result = make_plan(
        metadata,
        env,
        pipeline,
        plan_options,
        lambda message: click.echo(f"Warning: {message}", err=True),
    )
    echo_lines(format_plan(result))
    if out:
        figure.save(figure.draw_plan(result), out)
        click.echo(f"figure: {out}")
