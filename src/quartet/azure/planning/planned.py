"""From a pipeline's name and a few wishes to a plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from quartet import configuration
from quartet.azure.cloud_settings import Cloud, Cluster, cloud_settings
from quartet.azure.planning import tables
from quartet.azure.planning.assumptions import Planning, Price, assumptions, price_of
from quartet.azure.planning.comparing import (
    Nodes,
    Row,
    cheapest,
    compare,
    crossing_interval,
    replications_for,
)
from quartet.azure.planning.limits import Demand, Load, demands
from quartet.azure.planning.measured import Measured, Said, measured_work
from quartet.azure.planning.work import Arrivals, Machines, Scenario, StepWork
from quartet.azure.rehearsal import Place
from quartet.azure.translation import refuse_unknown, translate

_DAY = 86_400.0


@dataclass(frozen=True)
class Wishes:
    """What somebody wants to know.

    Attributes:
        nodes: Ranges of the cluster's sizes; empty for what cloud.yml says.
        size: Of its machines, in place of what cloud.yml says.
        tier: The same.
        idle_s: The same.
        within_s: In which 95 of 100 jobs are to be done.
        arrivals: Of jobs.
        said: In place of what was rehearsed.
        evictions: An hour and low-priority machine, in place of what planning.yml says.
        sensors: That send readings.
        quota: Cores, in place of what a subscription begins with.
        limits: Whether all limits are told.
        assumptions: Whether it is told what is taken for granted.
        replications: Of each size; enough for percentiles, if None.
        seed: Of all chance.
    """

    nodes: tuple[Nodes, ...] = ()
    size: str | None = None
    tier: str | None = None
    idle_s: float | None = None
    within_s: float | None = None
    arrivals: Arrivals = field(default_factory=Arrivals)
    said: Said = field(default_factory=Said)
    evictions: float | None = None
    sensors: int = 0
    quota: int | None = None
    limits: bool = False
    assumptions: bool = False
    replications: int | None = None
    seed: int = 42

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Wishes:
        """From the options of the command line."""
        horizon = options["days"] * _DAY
        if options["every"]:
            arrivals = Arrivals("every", options["every"], options["burst"], horizon)
        elif options["per_day"]:
            interval = _DAY / options["per_day"] * options["burst"]
            arrivals = Arrivals("poisson", interval, options["burst"], horizon)
        else:
            arrivals = Arrivals(burst=options["burst"])
        same = ("size", "tier", "evictions", "sensors", "quota", "limits", "assumptions")
        return cls(
            nodes=tuple(Nodes(*each) for each in options["nodes"]),
            idle_s=options["idle"],
            within_s=options["within"],
            arrivals=arrivals,
            said=Said(*(dict(options[name]) for name in ("seconds", "pieces", "gang"))),
            replications=options["replications"],
            seed=options["seed"],
            **{name: options[name] for name in same},
        )


@dataclass(frozen=True)
class Plan:
    """A plan, with all that its lines and picture tell.

    Attributes:
        pipeline: Which.
        environment: Folder of `conf`.
        wishes: What was asked.
        planning: What is taken for granted.
        measured: The work.
        prices: By cluster, in the order of the scenario.
        rows: A size each.
        best: The cheapest that is quick enough.
        asked: What the best, or the last, asks of limits; the first to break first.
        load: Of which `asked` tells.
        crossings: Pairs of nodes that stay and nodes that come, with the interval of equal cost.
    """

    pipeline: str
    environment: str
    wishes: Wishes
    planning: Planning
    measured: Measured
    prices: tuple[tuple[str, Price], ...]
    rows: tuple[Row, ...]
    best: Row | None
    asked: tuple[Demand, ...]
    load: Load
    crossings: tuple[tuple[Row, Row, float | None], ...]

    @property
    def currency(self) -> str:
        """Of all costs."""
        return self.prices[0][1].currency

    @property
    def coming(self) -> str:
        """When jobs come, in words."""
        return tables.coming(self.wishes.arrivals)

    def lines(self) -> Iterator[str]:
        """The plan as plain text."""
        yield f"{self.pipeline}: {len(self.measured.steps)} steps; {self.coming}"
        yield from self.measured.remarks
        yield from tables.work_lines(self.measured.steps, self.measured.what)
        yield from tables.price_lines(self.prices, self.environment)
        if self.wishes.assumptions:
            yield "taken for granted (planning.yml):"
            yield from tables.assumption_lines(self.planning, self._evictions())
        count = len(self.rows[0].outcome.replications)
        yield f"{count} {'play' if count == 1 else 'plays'} of each size, seed {self.wishes.seed}"
        yield from tables.comparison(self.rows, self.currency)
        yield tables.choice(self.rows, self.best, self.wishes.within_s, self.currency)
        told = {tables.standing_line(row, self.currency): row for row in self.rows}
        yield from (line for line in told if line)
        for standing, scaling, interval in self.crossings:
            yield tables.crossing_line(standing, scaling, interval)
        yield tables.breaks_first(self.asked, self.load)
        if self.wishes.limits:
            yield from tables.limit_lines(self.asked)

    def _evictions(self) -> float | None:
        scenario = self.rows[0].scenario
        low = any(machines.low_priority for machines in scenario.machines)
        return scenario.delays.evictions_per_hour if low else None


def planned(metadata: Any, environment: str, pipeline: str, wishes: Wishes) -> Plan:
    """A plan for a pipeline.

    Args:
        metadata: Kedro's, of the project.
        environment: Folder of `conf`.
        pipeline: Its registered name.
        wishes: What is asked.

    Raises:
        ValueError: There is no such pipeline, it was not rehearsed, a price is missing, a gang is
            larger than its cluster, or a setting is amiss; says what to do.
    """
    from kedro.framework.project import pipelines

    refuse_unknown(pipeline, list(pipelines))
    project = Path(metadata.project_path)
    planning, prices = assumptions(project, environment)
    cloud = cloud_settings(project, environment)
    job = translate(metadata, environment, pipeline, {})
    place = Place(project / "rehearsals")
    parameters = _parameters(project, environment)
    measured = measured_work(job, place, planning, parameters, wishes.said)
    main = _main_cluster(measured.steps)
    chosen = _machines(measured.steps, main, cloud, prices, environment, wishes)
    scenario = Scenario(
        tuple(chosen), measured.steps, wishes.arrivals, planning.delays(wishes.evictions)
    )
    rows = _rows(scenario, main, wishes)
    best = cheapest(rows, wishes.within_s)
    memory = next(price.memory_gib for each, price in chosen.items() if each.name == main)
    load = Load(pipeline, _per_day(wishes.arrivals), wishes.sensors, memory, wishes.quota)
    return Plan(
        pipeline,
        environment,
        wishes,
        planning,
        measured,
        tuple((machines.name, price) for machines, price in chosen.items()),
        tuple(rows),
        best,
        tuple(demands(planning, best or rows[-1], load)),
        load,
        tuple(_crossings(rows, wishes)),
    )


def _rows(scenario: Scenario, main: str, wishes: Wishes) -> list[Row]:
    said = next(each for each in scenario.machines if each.name == main)
    ranges = wishes.nodes or (Nodes(said.min_nodes, said.max_nodes),)
    count = wishes.replications or replications_for(wishes.arrivals)
    return compare(scenario, main, ranges, count, wishes.seed)


def _parameters(project: Path, environment: str) -> Mapping[str, Any]:
    return dict(configuration.loader(project, environment)["parameters"])


def _main_cluster(steps: Sequence[StepWork]) -> str:
    """The cluster whose size matters: of the step with most work that machines share."""
    return max(
        steps, key=lambda step: (step.pieces > 1 or step.nodes is None, step.seconds)
    ).cluster


def _machines(
    steps: Sequence[StepWork],
    main: str,
    cloud: Cloud,
    prices: Sequence[Price],
    environment: str,
    wishes: Wishes,
) -> dict[Machines, Price]:
    """The clusters that the steps name, with their prices."""
    found = {}
    for name in dict.fromkeys(step.cluster for step in steps):
        said = cloud.clusters.get(name)
        if said is None:
            raise ValueError(
                f"cluster '{name}', which azureml.yml names, is not among the clusters of "
                f"conf/{environment}/cloud.yml; write it there, with its size"
            )
        if name == main:
            wanted = {"size": wishes.size, "tier": wishes.tier, "idle_seconds": wishes.idle_s}
            update = {key: value for key, value in wanted.items() if value is not None}
            said = said.model_copy(update=update)
        price = price_of(prices, said.size, cloud.region, said.tier, environment)
        found[_priced(name, said, price)] = price
    _refuse_several_currencies(found.values())
    return found


def _priced(name: str, said: Cluster, price: Price) -> Machines:
    return Machines(
        name=name,
        min_nodes=said.min_nodes,
        max_nodes=said.max_nodes,
        idle_seconds=said.idle_seconds,
        low_priority=said.tier == "low_priority",
        hourly=price.hourly,
        cores=price.cores,
        gpus=price.gpus,
    )


def _refuse_several_currencies(prices: Iterable[Price]) -> None:
    currencies = sorted({price.currency for price in prices})
    if len(currencies) > 1:
        raise ValueError(
            f"prices.yml: the clusters' prices are in {' and '.join(currencies)}; say them in one"
        )


def _per_day(arrivals: Arrivals) -> float:
    """Jobs a day; of those that come once, as if once a day."""
    if arrivals.kind == "once":
        return float(arrivals.burst)
    return arrivals.burst * _DAY / arrivals.interval_s


def _crossings(rows: Sequence[Row], wishes: Wishes) -> Iterator[tuple[Row, Row, float | None]]:
    """Each size whose nodes stay, against the cheapest and the largest of those that come."""
    coming = [row for row in rows if not row.nodes.least and not row.full]
    if not coming or wishes.arrivals.kind == "once":
        return
    regular = replace(wishes.arrivals, kind="every")
    others = {id(row): row for row in (min(coming, key=lambda row: row.cost), coming[-1])}
    for row in rows:
        if not row.nodes.least or row.nodes.least < row.nodes.most:
            continue
        for other in others.values():
            come, stay = (replace(each.scenario, arrivals=regular) for each in (other, row))
            yield row, other, crossing_interval(come, stay, wishes.seed)
