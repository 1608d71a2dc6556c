"""Estimate makespan and cost per cluster size, and choose one."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from kedro_cloud.core.cloud_settings import Cloud, cloud_settings
from kedro_cloud.core.retirements import Machines, format_warnings, load_retirements
from kedro_cloud.estimate.prices import Price, find_price, load_assumptions
from kedro_cloud.estimate.simulation import (
    Overheads,
    PricedCluster,
    Simulation,
    StepWork,
    simulate,
)
from kedro_cloud.estimate.work import read_steps
from kedro_cloud.jobs.translation import check_pipeline_name, translate
from kedro_cloud.rehearsal import RehearsalDir

DAY_S = 86_400.0
_JOBS = 400
"""Number of simulated jobs per size, and maximum number per simulation."""
_MIN_SIMULATIONS = 4
"""Number of simulations per size, however many jobs each has."""
_SATURATED = 0.98
"""Utilisation above which the queue of jobs grows."""


class NodeRange(NamedTuple):
    """Minimum and maximum number of nodes."""

    minimum: int
    maximum: int

    def __str__(self) -> str:
        return f"{self.minimum}:{self.maximum}"

    def sizes(self) -> Iterator[NodeRange]:
        """Yield the sizes to estimate: maxima that double."""
        size = max(1, self.minimum)
        while size < self.maximum:
            yield NodeRange(self.minimum, size)
            size *= 2
        yield self


@dataclass(frozen=True)
class PlanOptions:
    """Options of the command line.

    Attributes:
        nodes: Sizes of the main cluster; as in cloud.yml if empty.
        size: VM size of its nodes; overrides cloud.yml.
        tier: Tier of its nodes; overrides cloud.yml.
        within_s: Limit for the 95th percentile of the makespan, in seconds.
        interval_s: Seconds between two jobs; None for one job.
        seconds: Seconds of work by step; overrides the rehearsal.
        scale: Factor on the work by step.
        seed: Seed of all simulations.
    """

    nodes: tuple[NodeRange, ...] = ()
    size: str | None = None
    tier: str | None = None
    within_s: float | None = None
    interval_s: float | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    seed: int = 42


@dataclass(frozen=True)
class Workload:
    """Steps on clusters; a job every `interval_s` seconds, or one job if that is None."""

    steps: tuple[StepWork, ...]
    clusters: tuple[PricedCluster, ...]
    overheads: Overheads
    interval_s: float | None = None

    @property
    def main(self) -> str:
        """Return the cluster to resize: that of the step with the most work, shared work first."""
        return max(self.steps, key=lambda step: (step.is_shared, step.seconds)).cluster

    def resize(self, nodes: NodeRange) -> Workload:
        """Return the workload with another size of the main cluster."""
        resized = (
            replace(each, min_nodes=nodes.minimum, max_nodes=nodes.maximum)
            if each.name == self.main
            else each
            for each in self.clusters
        )
        return replace(self, clusters=tuple(resized))

    def simulate(self, seed: int) -> list[Simulation]:
        """Simulate one job, or a day of jobs, several times; all sizes use the same seeds."""
        jobs = min(_JOBS, math.ceil(DAY_S / self.interval_s)) if self.interval_s else 1
        interval = self.interval_s or 0.0
        arrivals = [job * interval for job in range(jobs)]
        horizon = jobs * interval or None
        content = (self.steps, self.clusters, self.overheads)
        count = max(_MIN_SIMULATIONS, _JOBS // jobs)
        generators = (random.Random(f"{seed} {n}") for n in range(count))
        return [simulate(*content, _triangular(each), arrivals, horizon) for each in generators]


@dataclass(frozen=True)
class Estimate:
    """Estimate of a cluster size.

    Attributes:
        nodes: Size of the main cluster.
        workload: Simulated workload.
        p50_s: Median makespan, in seconds.
        p95_s: 95th percentile of the makespan, in seconds.
        cost: Mean cost of the job, or of a day of jobs.
        utilisation: Share of the paid time in which nodes run a step.
        is_saturated: Whether jobs arrive faster than a cluster completes them.
    """

    nodes: NodeRange
    workload: Workload
    p50_s: float
    p95_s: float
    cost: float
    utilisation: float
    is_saturated: bool


def estimate(workload: Workload, nodes: NodeRange, seed: int) -> Estimate:
    """Estimate a size of the main cluster."""
    workload = workload.resize(nodes)
    simulations = workload.simulate(seed)
    makespans = sorted(time for each in simulations for time in each.makespans_s)
    p50, p95 = (makespans[math.ceil(share * len(makespans)) - 1] for share in (0.5, 0.95))
    # Costs are per day; one job without an interval counts as a day's.
    days = len(simulations[0].makespans_s) * (workload.interval_s or DAY_S) / DAY_S
    cost = all_paid = all_busy = 0.0
    is_saturated = False
    for cluster in workload.clusters:
        paid = statistics.fmean(sum(each.paid_s[cluster.name]) for each in simulations)
        busy = statistics.fmean(each.busy_s(cluster.name) for each in simulations)
        cost += paid / 3600 * cluster.hourly / days
        all_paid, all_busy = all_paid + paid, all_busy + busy
        if workload.interval_s:
            is_saturated |= busy > _SATURATED * days * DAY_S * cluster.max_nodes
    return Estimate(nodes, workload, p50, p95, cost, all_busy / all_paid, is_saturated)


def choose_cheapest(estimates: Sequence[Estimate], within_s: float | None) -> Estimate | None:
    """Return the cheapest size that is fast enough; None if none is."""
    feasible = [e for e in estimates if not e.is_saturated and e.p95_s <= (within_s or math.inf)]
    return min(feasible, key=lambda each: (each.cost, each.p95_s), default=None)


def solve_break_even_s(paid_s: Sequence[float], permanent: int) -> float | None:
    """Return the interval T between jobs at which permanent nodes cost as much as scaling ones.

    A permanent node is paid for all of T; one that scales from zero for its paid seconds of a job,
    but at most for T: sum(min(paid, T)) = permanent · T.

    Args:
        paid_s: Paid seconds of one job, by node that scales from zero.
        permanent: Number of permanent nodes.

    Returns:
        Seconds; None if permanent nodes are never cheaper.
    """
    rest = sorted(paid_s)
    if len(rest) <= permanent:
        return None
    # A node that is paid for longer than T costs as much as one permanent node.
    while rest[-1] > sum(rest) / permanent:
        rest.pop()
        permanent -= 1
    return sum(rest) / permanent


def find_break_even_s(permanent: Estimate, scaling: Estimate, seed: int) -> float | None:
    """Return the interval between jobs below which permanent nodes cost less than scaling ones.

    Returns:
        Seconds; None if permanent nodes are never cheaper, or only when jobs arrive before the
        last one ends.
    """
    one_job = replace(scaling.workload, interval_s=None)
    paid = (each.paid_s[one_job.main] for each in one_job.simulate(seed))
    found = [solve_break_even_s(each, permanent.nodes.minimum) for each in paid]
    interval = statistics.median(each or 0.0 for each in found)
    return interval if interval > permanent.p95_s else None


@dataclass(frozen=True)
class Plan:
    """Estimates of a pipeline; `prices` by cluster, `best` the cheapest that is fast enough."""

    pipeline: str
    options: PlanOptions
    workload: Workload
    prices: Mapping[str, Price]
    estimates: tuple[Estimate, ...]
    best: Estimate | None


def make_plan(
    metadata: Any,
    environment: str,
    pipeline: str,
    options: PlanOptions,
    warn: Callable[[str], None],
) -> Plan:
    """Estimate a pipeline on all requested sizes; `warn` receives retirements of its machines.

    Raises:
        ValueError: The pipeline is unknown or was not rehearsed, a price is missing, or a setting
            is invalid.
    """
    from kedro.framework.project import pipelines

    check_pipeline_name(pipeline, list(pipelines))
    project = Path(metadata.project_path)
    overheads, prices = load_assumptions(project, environment)
    cloud = cloud_settings(project, environment)
    job = translate(metadata, environment, pipeline, {})
    steps = read_steps(job, RehearsalDir(project / "rehearsals"), options.seconds, options.scale)
    workload = Workload(steps, (), overheads, options.interval_s)
    machines = dict(_choose_machines(workload, cloud, options))
    retirements = load_retirements(project, environment)
    for message in format_warnings(retirements, machines.values(), date.today()):
        warn(message)
    priced = dict(_price_clusters(machines, cloud, prices))
    workload = replace(workload, clusters=tuple(priced))
    main = next(each for each in priced if each.name == workload.main)
    ranges = options.nodes or (NodeRange(main.min_nodes, main.max_nodes),)
    sizes = dict.fromkeys(size for each in ranges for size in each.sizes())
    estimates = tuple(estimate(workload, size, options.seed) for size in sizes)
    by_cluster = {cluster.name: price for cluster, price in priced.items()}
    best = choose_cheapest(estimates, options.within_s)
    return Plan(pipeline, options, workload, by_cluster, estimates, best)


def _choose_machines(
    workload: Workload, cloud: Cloud, options: PlanOptions
) -> Iterator[tuple[str, Machines]]:
    """Yield the clusters of the steps, each with the size and tier of its nodes."""
    for name in dict.fromkeys(step.cluster for step in workload.steps):
        if name not in cloud.clusters:
            raise ValueError(
                f"cluster '{name}', which azureml.yml names, is missing from `clusters` in "
                "cloud.yml; add it there, with its size"
            )
        settings = cloud.clusters[name]
        overrides = options if name == workload.main else PlanOptions()
        size, tier = overrides.size or settings.size, overrides.tier or settings.tier
        yield name, Machines(f"cluster '{name}'", size, tier)


def _price_clusters(
    machines: Mapping[str, Machines], cloud: Cloud, prices: Sequence[Price]
) -> Iterator[tuple[PricedCluster, Price]]:
    currencies = set()
    for name, used in machines.items():
        settings = cloud.clusters[name]
        price = find_price(prices, used.size, cloud.region, used.tier)
        currencies.add(price.currency)
        if len(currencies) > 1:
            raise ValueError(
                f"prices.yml: {' and '.join(sorted(currencies))} are mixed; use one currency"
            )
        nodes = settings.min_nodes, settings.max_nodes
        yield PricedCluster(name, *nodes, settings.idle_seconds, price.hourly), price


def _triangular(generator: random.Random) -> Any:
    """Return a function that draws from a triangular distribution: low, most likely, high."""
    return lambda bounds: generator.triangular(bounds[0], bounds[2], bounds[1])
