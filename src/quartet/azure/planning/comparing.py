"""Clusters of several sizes side by side: which is quick enough, which the cheapest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from quartet.azure.planning.simulation import Outcome, simulate
from quartet.azure.planning.work import Arrivals, Machines, Scenario

_DAY = 86_400.0
_ALL_SIZES = 6
"""Up to so many sizes each is tried; of more, those that double."""
_JOBS = 20_000
"""Played for a size, if nobody says how many replications."""
_MOST_REPLICATIONS = 1000
_FEWEST_REPLICATIONS = 3
_FULL = 0.98
"""A cluster whose nodes are busy for longer than this share of the time cannot keep up."""
_RUNS_TO_COMPARE = 30
_SAME = 0.01


@dataclass(frozen=True)
class Nodes:
    """How many nodes a cluster may have.

    Attributes:
        least: That stand.
        most: At most.
    """

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least}:{self.most}"

    def sizes(self) -> Iterator[Nodes]:
        """The clusters to try: with the same least, and ever more at most."""
        first = max(1, self.least)
        if self.most - first < _ALL_SIZES:
            yield from (Nodes(self.least, most) for most in range(first, self.most + 1))
            return
        most = first
        while most < self.most:
            yield Nodes(self.least, most)
            most *= 2
        yield self


@dataclass(frozen=True)
class Row:
    """What a cluster of one size would take and cost.

    Attributes:
        nodes: Of the cluster that differs between rows.
        outcome: All replications.
        time_p50_s: Half of the jobs are done in this time, from arrival to end.
        time_p95_s: 95 of 100 are.
        cost: Mean, of the job, or of a day if jobs keep coming.
        cost_p95: The same that is exceeded in 5 of 100 replications.
        busy: Share of the paid time in which nodes had a step.
        full: Clusters that cannot keep up with the jobs that come.
    """

    nodes: Nodes
    outcome: Outcome
    time_p50_s: float
    time_p95_s: float
    cost: float
    cost_p95: float
    busy: float
    full: tuple[str, ...]

    @property
    def scenario(self) -> Scenario:
        """What was played."""
        return self.outcome.scenario


def replications_for(arrivals: Arrivals) -> int:
    """Enough of them for percentiles: the more jobs each has, the fewer."""
    enough = math.ceil(_JOBS / max(1.0, arrivals.expected))
    return min(_MOST_REPLICATIONS, max(_FEWEST_REPLICATIONS, enough))


def with_nodes(scenario: Scenario, cluster: str, nodes: Nodes) -> Scenario:
    """The scenario with another size of a cluster."""
    machines = tuple(
        replace(each, min_nodes=nodes.least, max_nodes=nodes.most) if each.name == cluster else each
        for each in scenario.machines
    )
    return replace(scenario, machines=machines)


def compare(
    scenario: Scenario, cluster: str, ranges: Sequence[Nodes], replications: int, seed: int
) -> list[Row]:
    """Play the scenario with clusters of all sizes, each with the same chances.

    Args:
        scenario: What to play.
        cluster: Whose size differs.
        ranges: Sizes to try; those of each are tried in turn.
        replications: Of each size.
        seed: Of all chance.

    Raises:
        ValueError: A step wants more nodes than every one of the sizes has.
    """
    rows = []
    refused: ValueError | None = None
    for nodes in (size for wanted in ranges for size in wanted.sizes()):
        sized = with_nodes(scenario, cluster, nodes)
        try:
            _refuse_impossible(sized)
        except ValueError as error:
            refused = error
            continue
        rows.append(_row(nodes, simulate(sized, replications, seed)))
    if not rows:
        assert refused is not None
        raise refused
    return rows


def _refuse_impossible(scenario: Scenario) -> None:
    most = {machines.name: machines.max_nodes for machines in scenario.machines}
    for step in scenario.steps:
        step.gang(most[step.cluster])


def _row(nodes: Nodes, outcome: Outcome) -> Row:
    times = outcome.times()
    days = outcome.scenario.arrivals.horizon_s / _DAY
    costs = outcome.costs() / (1 if outcome.scenario.arrivals.kind == "once" else days)
    paid = outcome.mean("paid_s")
    p50, p95 = np.percentile(times, [50, 95]) if len(times) else (0.0, 0.0)
    return Row(
        nodes,
        outcome,
        float(p50),
        float(p95),
        float(costs.mean()),
        float(np.percentile(costs, 95)),
        outcome.mean("busy_s") / paid if paid else 0.0,
        tuple(each.name for each in outcome.scenario.machines if _is_full(each, outcome)),
    )


def _is_full(machines: Machines, outcome: Outcome) -> bool:
    if outcome.scenario.arrivals.kind == "once":
        return False
    busy = [
        spent.busy_s
        for replication in outcome.replications
        for spent in replication.spent
        if spent.machines.name == machines.name
    ]
    room = outcome.scenario.arrivals.horizon_s * machines.max_nodes
    return float(np.mean(busy)) > _FULL * room


def cheapest(rows: Sequence[Row], within_s: float | None) -> Row | None:
    """The cheapest cluster whose 95th percentile lies within the time; of equals the quickest."""
    good = [
        row for row in rows if not row.full and (within_s is None or row.time_p95_s <= within_s)
    ]
    return min(good, key=lambda row: (round(row.cost, 6), row.time_p95_s), default=None)


def crossing_interval(scaling: Scenario, standing: Scenario, seed: int) -> float | None:
    """Seconds between runs at which nodes that stay cost as much as nodes that come.

    If runs come more often, the standing ones are cheaper. None if they never are.

    Args:
        scaling: With a cluster that goes when it is idle.
        standing: The same work with nodes that stay.
        seed: Of all chance.
    """
    alone = replace(standing, arrivals=Arrivals())
    low = max(60.0, float(np.percentile(simulate(alone, 20, seed).times(), 95)))
    high = _DAY
    if _dearer(scaling, standing, low, seed) <= _SAME:
        return None
    if _dearer(scaling, standing, high, seed) > 0:
        return high
    while high / low > 1 + _SAME:
        middle = math.sqrt(low * high)
        if _dearer(scaling, standing, middle, seed) > 0:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high)


def _dearer(scaling: Scenario, standing: Scenario, interval_s: float, seed: int) -> float:
    """By which share scaling costs more than standing, if a run starts at every interval."""
    arrivals = Arrivals("every", interval_s, horizon_s=interval_s * _RUNS_TO_COMPARE)
    costs = [
        simulate(replace(each, arrivals=arrivals), 4, seed).costs().mean()
        for each in (scaling, standing)
    ]
    return float(costs[0] / costs[1] - 1) if costs[1] else math.inf
