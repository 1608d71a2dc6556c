"""A plan in lines of plain text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from quartet.azure.planning.assumptions import Planning, Price, whole
from quartet.azure.planning.comparing import Row
from quartet.azure.planning.limits import Demand, Load
from quartet.azure.planning.work import Arrivals, StepWork

_MINUTE = 60.0
_HOUR = 3600.0
_TWO_MINUTES = 120.0
_TWO_HOURS = 7200.0


def roughly(seconds: float) -> str:
    """As one says it: `45 s`, `12.3 min`, `2.5 h`."""
    if seconds < _TWO_MINUTES:
        return f"{seconds:.0f} s"
    if seconds < _TWO_HOURS:
        return f"{seconds / _MINUTE:.3g} min"
    return f"{seconds / _HOUR:.3g} h"


def coming(arrivals: Arrivals) -> str:
    """When jobs come, in words."""
    together = f"{arrivals.burst} jobs at once" if arrivals.burst > 1 else "a job"
    if arrivals.kind == "once":
        return together if arrivals.burst > 1 else "one job"
    often = "every" if arrivals.kind == "every" else "by chance, in the mean every"
    return f"{together} {often} {roughly(arrivals.interval_s)}"


def work_lines(steps: Sequence[StepWork], what: Mapping[str, str]) -> Iterator[str]:
    """A line for each step that machines share: its pieces, and how they survive.

    Args:
        steps: All steps.
        what: The pieces of a step, in words.
    """
    for step in steps:
        if step.pieces == 1:
            continue
        on = "all nodes" if step.nodes is None else _count(step.nodes, "node")
        kept = "finished ones are kept" if step.keeps else "all begin again"
        yield (
            f"{step.name}: {whole(step.pieces)} {what.get(step.name, 'shares')}, "
            f"{roughly(step.seconds)} for one rank; {on}, {_count(step.ranks, 'rank')} each; "
            f"if a machine is taken away {kept}"
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def price_lines(prices: Sequence[tuple[str, Price]], environment: str) -> Iterator[str]:
    """What the machines of each cluster cost, and whose word that is."""
    for cluster, price in prices:
        line = (
            f"{cluster}: {price.size}, {price.tier.replace('_', ' ')}, {price.hourly:g} "
            f"{price.currency} an hour in {price.region}"
        )
        if price.example:
            yield f"{line} (EXAMPLE PRICE: replace it in conf/{environment}/prices.yml)"
        else:
            yield f"{line} ({price.date}, {price.source})"


def comparison(rows: Sequence[Row], currency: str) -> Iterator[str]:
    """The table: a line a size."""
    once = rows[0].scenario.arrivals.kind == "once"
    evicted = any(machines.low_priority for machines in rows[0].scenario.machines)
    per = currency if once else f"{currency}/day"
    headings = ["nodes", "time p50", "time p95", f"{per} mean", f"{per} p95", "busy"]
    if evicted:
        headings.append("taken away")
    lines = [headings]
    for row in rows:
        cells = [
            str(row.nodes),
            roughly(row.time_p50_s),
            roughly(row.time_p95_s),
            money(row.cost),
            money(row.cost_p95),
            f"{row.busy:.0%}",
        ]
        if evicted:
            cells.append(f"{row.outcome.mean('evictions'):.2g}")
        if row.full:
            cells.append(f"{' and '.join(row.full)} cannot keep up")
        lines.append(cells)
    widths = [
        max(map(len, column))
        for column in zip(*(line[: len(headings)] for line in lines), strict=True)
    ]
    for line in lines:
        padded = [cell.rjust(width) for cell, width in zip(line, widths, strict=False)]
        yield "  ".join([*padded, *line[len(widths) :]]).rstrip()


def money(amount: float) -> str:
    """Two digits that tell something, at least."""
    if amount >= 1 or not amount:
        return f"{amount:,.2f}"
    return f"{amount:.{1 - math.floor(math.log10(amount))}f}"


def choice(rows: Sequence[Row], best: Row | None, within_s: float | None, currency: str) -> str:
    """The line that says which size to take."""
    asked = f" within {roughly(within_s)}" if within_s is not None else ""
    if best is None and all(row.full for row in rows):
        slow = sorted({name for row in rows for name in row.full})
        return (
            f"cheapest: none, as {' and '.join(slow)} cannot keep up with the jobs that come; "
            "allow more nodes (--nodes, or max_nodes in cloud.yml)"
        )
    if best is None:
        quickest = min(rows, key=lambda row: row.time_p95_s)
        return (
            f"cheapest{asked}: none; the quickest, {quickest.nodes}, takes "
            f"{roughly(quickest.time_p95_s)} in 95 of 100 cases"
        )
    per = "" if best.scenario.arrivals.kind == "once" else " a day"
    return (
        f"cheapest{asked}: {best.nodes}, {money(best.cost)} {currency}{per}; 95 of 100 are done in "
        f"{roughly(best.time_p95_s)}"
    )


def standing_line(row: Row, currency: str) -> str | None:
    """What nodes cost that stay when the job is done; None if none do, or their cost is counted."""
    if row.scenario.arrivals.kind != "once":
        return None
    hourly = sum(each.min_nodes * each.hourly for each in row.scenario.machines)
    if not hourly:
        return None
    return f"{row.nodes}: the nodes that stay cost {money(hourly * 24)} {currency} a day besides"


def crossing_line(standing: Row, scaling: Row, interval_s: float | None) -> str:
    """How often runs must come for nodes that stay to be cheaper."""
    pair = f"{standing.nodes} against {scaling.nodes}"
    if interval_s is None:
        return f"nodes that stay, {pair}: never cheaper, they only save the wait for machines"
    now = standing.scenario.arrivals.interval_s
    verdict = "cheaper" if now < interval_s else "dearer"
    return (
        f"nodes that stay, {pair}: cheaper if a job comes every {roughly(interval_s)} or more "
        f"often; yours come every {roughly(now)}, so {verdict}"
    )


def breaks_first(asked: Sequence[Demand], load: Load) -> str:
    """The line that tells of the limit that breaks first."""
    first = asked[0]
    limit = first.limit
    amount = f"{whole(first.wanted)} of {whole(limit.most)} {limit.unit}"
    nearest = "" if first.share > 1 else "nothing yet; nearest is "
    return (
        f"breaks first: {nearest}{limit.what}: {amount}{_until(first, load)}; {limit.mend} "
        f"[{limit.source}]"
    )


def _until(demand: Demand, load: Load) -> str:
    """At which load it is reached."""
    if not demand.grows or not demand.share or math.isinf(demand.share):
        return ""
    of_sensors = demand.name.startswith(("event_hubs", "sql", "node_memory"))
    now, what = (load.sensors, "sensors") if of_sensors else (load.jobs_per_day, "jobs a day")
    return f", reached at {whole(_rounded(now / demand.share))} {what}"


def _rounded(value: float) -> float:
    """To two digits, downwards: no more is known."""
    if value < 1:
        return value
    unit = 10.0 ** max(0, math.floor(math.log10(value)) - 1)
    return math.floor(value / unit) * unit


def limit_lines(asked: Sequence[Demand]) -> Iterator[str]:
    """The table of limits, the first that breaks on top."""
    for demand in asked:
        share = "none allowed" if math.isinf(demand.share) else f"{demand.share:.3g} times"
        limit = demand.limit
        yield (
            f"  {share:>12}  {limit.what}: {whole(demand.wanted)} of {whole(limit.most)} "
            f"{limit.unit} ({demand.basis}) [{limit.source}]"
        )


def assumption_lines(planning: Planning, evictions: float | None) -> Iterator[str]:
    """What the plan takes for granted, with its sources."""
    for name, delay in (
        ("a machine comes", planning.scale_up),
        ("image on a new machine", planning.image_pull),
        ("each step, besides its work", planning.step_overhead),
    ):
        yield f"  {name}: {delay.seconds} [{delay.source}]"
    if evictions is not None:
        yield f"  taken away: {evictions:g} an hour and machine [{planning.evictions.source}]"
