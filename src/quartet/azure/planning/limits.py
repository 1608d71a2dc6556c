"""What Azure allows at most, and which of it a plan meets first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from quartet.azure.planning.assumptions import Limit, Planning
from quartet.azure.planning.comparing import Row
from quartet.azure.planning.work import Machines, Scenario

_DAY = 86_400.0
_YEAR_DAYS = 365
_MB = 1e6
_GIB = 2**30
_QUOTAS = ("cores_dedicated", "gpu_cores_dedicated", "cores_low_priority")


@dataclass(frozen=True)
class Demand:
    """What a plan asks of something that is limited.

    Attributes:
        name: Of the limit, in planning.yml.
        limit: The limit.
        wanted: In the unit of the limit.
        basis: How that is known.
        grows: Whether it grows in proportion to the load.
    """

    name: str
    limit: Limit
    wanted: float
    basis: str
    grows: bool = True

    @property
    def share(self) -> float:
        """Of the limit: above 1 it breaks."""
        if self.limit.most:
            return self.wanted / self.limit.most
        return math.inf if self.wanted else 0.0


@dataclass(frozen=True)
class Load:
    """What the plan is for, as far as limits are concerned.

    Attributes:
        pipeline: Which.
        jobs_per_day: That come.
        sensors: That send readings; 0 if it is not about sensors.
        memory_gib: Of the machine on which the windows of all sensors are.
        quota: Cores that the subscription has, in place of what one begins with.
    """

    pipeline: str
    jobs_per_day: float
    sensors: int = 0
    memory_gib: float = 0.0
    quota: int | None = None


def demands(planning: Planning, row: Row, load: Load) -> list[Demand]:
    """All limits that the plan has to do with, the one that breaks first before the others.

    Args:
        planning: The limits, and what a job and a sensor ask for.
        row: The cluster that the plan is about.
        load: What it is for.
    """
    asked = [
        *_of_machines(planning, row, load),
        *_of_jobs(planning, row.scenario, load),
        *(_of_sensors(planning, load) if load.sensors else ()),
    ]
    return sorted(asked, key=lambda each: -each.share)


def nodes_wanted(row: Row, machines: Machines) -> int:
    """Nodes at once: as many as there were, or as the work would keep busy if they were allowed."""
    spent = [
        one
        for replication in row.outcome.replications
        for one in replication.spent
        if one.machines.name == machines.name
    ]
    there = max(one.most_on for one in spent)
    if machines.name not in row.full:
        return there
    horizon = row.scenario.arrivals.horizon_s
    return max(there, math.ceil(sum(one.busy_s for one in spent) / len(spent) / horizon))


def _of_machines(planning: Planning, row: Row, load: Load) -> Iterator[Demand]:
    cores = dict.fromkeys(_QUOTAS, 0)
    for machines in row.scenario.machines:
        quota = "cores_dedicated"
        if machines.low_priority:
            quota = "cores_low_priority"
        elif machines.gpus:
            quota = "gpu_cores_dedicated"
        nodes = nodes_wanted(row, machines)
        cores[quota] += nodes * machines.cores
        yield _demand(planning, "cluster_nodes", nodes, f"nodes of {machines.name}", grows=False)
    for name, wanted in cores.items():
        if wanted:
            limit = planning.limits[name]
            if load.quota is not None:
                limit = limit.model_copy(update={"most": load.quota, "source": "--quota"})
            basis = f"at most, with a cluster of {row.nodes}"
            yield Demand(name, limit, wanted, basis, grows=False)
    most = {machines.name: machines.max_nodes for machines in row.scenario.machines}
    gang = max(step.gang(most[step.cluster]) for step in row.scenario.steps)
    if gang > 1:
        yield _demand(planning, "gang_nodes", gang, "the largest gang", grows=False)


def _of_jobs(planning: Planning, scenario: Scenario, load: Load) -> Iterator[Demand]:
    per_s = load.jobs_per_day / _DAY
    steps = len(scenario.steps)
    yield _demand(
        planning,
        "workspace_runs",
        load.jobs_per_day * _YEAR_DAYS * (steps + 1),
        f"{steps} steps and the job itself",
    )
    yield _demand(planning, "arm_writes", per_s * (steps + 1), "a write a step and one a job")
    traffic = planning.traffic.get(load.pipeline)
    pieces = sum(step.pieces for step in scenario.steps) - steps + 1
    requests = planning.requests_per_step.value * steps
    basis = planning.requests_per_step.basis
    if traffic:
        requests += traffic.requests_per_piece.value * pieces
        basis = traffic.requests_per_piece.basis
        for name, usage in (
            ("storage_egress", traffic.read_mb_per_piece),
            ("storage_ingress", traffic.written_mb_per_piece),
        ):
            gigabits = usage.value * pieces * per_s * 8 / 1000
            yield _demand(planning, name, gigabits, usage.basis)
    yield _demand(planning, "storage_requests", requests * per_s, basis)


def _of_sensors(planning: Planning, load: Load) -> Iterator[Demand]:
    sensor = planning.sensor
    events = load.sensors * sensor.events_per_s.value
    yield _demand(planning, "event_hubs_events", events, sensor.events_per_s.basis)
    sent = events * sensor.bytes_per_event.value / _MB
    yield _demand(planning, "event_hubs_bytes", sent, sensor.bytes_per_event.basis)
    windows = load.sensors * sensor.windows_per_hour.value
    log = windows / 3600 * sensor.log_bytes_per_window.value / _MB
    yield _demand(planning, "sql_log", log, sensor.log_bytes_per_window.basis)
    if not (load.memory_gib and load.jobs_per_day):
        return
    hours = 24 / load.jobs_per_day
    new = windows * hours * sensor.bytes_per_window_in_memory.value
    memory = (load.sensors * sensor.bank_bytes.value + new) / _GIB
    limit = Limit(
        most=load.memory_gib,
        unit="GiB",
        what="memory of a machine: the bank of models and the new windows",
        mend="a size with more memory, or runs more often",
        source="the size's memory, conf/…/prices.yml",
    )
    basis = f"{sensor.bank_bytes.basis}; {sensor.bytes_per_window_in_memory.basis}"
    yield Demand("node_memory", limit, memory, basis)


def _demand(planning: Planning, name: str, wanted: float, basis: str, grows: bool = True) -> Demand:
    limit = planning.limits.get(name)
    if limit is None:
        raise ValueError(f"planning.yml: limits.{name} is missing")
    return Demand(name, limit, wanted, basis, grows)
