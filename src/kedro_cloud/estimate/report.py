"""Format a plan as lines of text."""

from __future__ import annotations

import math
from collections.abc import Iterator

from kedro_cloud.estimate.plans import Plan, find_break_even_s
from kedro_cloud.estimate.simulation import find_critical_path, simulate


def format_plan(plan: Plan) -> Iterator[str]:
    """Yield the lines of a plan."""
    interval, within = plan.options.interval_s, plan.options.within_s
    arrivals = f"a job every {format_seconds(interval)}" if interval else "one job"
    yield f"{plan.pipeline}: {len(plan.workload.steps)} steps; {arrivals}"
    for step in plan.workload.steps:
        nodes = f"all nodes of {step.cluster}, ranks per node: {step.ranks}"
        nodes = nodes if step.is_shared else f"one node of {step.cluster}"
        yield f"{step.name}: {format_seconds(step.seconds)} on one rank ({step.source}); {nodes}"
    yield from (f"{name}: {price}" for name, price in plan.prices.items())
    unit = next(iter(plan.prices.values())).currency + ("/day" if interval else "")
    yield f"{'nodes':>7}  {'time p50':>9}  {'time p95':>9}  {unit:>8}  utilisation"
    for row in plan.estimates:
        times = f"{format_seconds(row.p50_s):>9}  {format_seconds(row.p95_s):>9}"
        note = "  jobs arrive faster than they complete" if row.is_saturated else ""
        cost = f"{format_money(row.cost):>8}  {row.utilisation:>11.0%}{note}"
        yield f"{row.nodes!s:>7}  {times}  {cost}"
    limit = f" within {format_seconds(within)}" if within else ""
    if plan.best:
        cost, time = format_money(plan.best.cost), format_seconds(plan.best.p95_s)
        yield f"cheapest{limit}: {plan.best.nodes}, {cost} {unit}, 95 % of jobs in {time}"
    else:
        yield f"cheapest{limit}: none; raise {'--within or ' if within else ''}--nodes"
    shown = plan.best or min(plan.estimates, key=lambda each: each.p95_s)
    workload = shown.workload
    path = find_critical_path(simulate(workload.steps, workload.clusters, workload.overheads).runs)
    steps = " → ".join(f"{run.step.name} {format_seconds(run.end_s - run.ready_s)}" for run in path)
    yield f"critical path on {shown.nodes}, waits included: {steps}"
    yield from _format_break_even(plan) if interval else ()


def _format_break_even(plan: Plan) -> Iterator[str]:
    """Compare each size of permanent nodes with the largest one that scales from zero."""
    scaling = [row for row in plan.estimates if not row.nodes.minimum and not row.is_saturated]
    permanent = [row for row in plan.estimates if row.nodes.minimum == row.nodes.maximum]
    for row in permanent if scaling else ():
        interval = find_break_even_s(row, scaling[-1], plan.options.seed)
        if interval:
            result = f"cheaper if a job arrives every {format_seconds(interval)} or more often"
        else:
            result = "never cheaper, but jobs do not wait for nodes"
        yield f"permanent nodes, {row.nodes} against {scaling[-1].nodes}: {result}"


def format_seconds(seconds: float) -> str:
    """Format a duration with at most three digits: `45 s`, `12.3 min`, `2.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def format_money(amount: float) -> str:
    """Format an amount with two decimals; below 1, with two significant digits."""
    digits = 2 if amount >= 1 or not amount else 1 - math.floor(math.log10(amount))
    return f"{amount:,.{digits}f}"
