"""Simulate jobs on clusters: a step waits for the steps it needs, then for its nodes.

Steps are served in the order in which they become ready, and none overtakes one that waits for its
nodes. So the start of a step depends only on steps before it, and one pass in that order is the
whole simulation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

Range = tuple[float, float, float]
"""Low, most likely and high value of a triangular distribution."""
Draw = Callable[[Range], float]
_ZERO: Range = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class StepWork:
    """A step and its work.

    Attributes:
        name: Name of the step.
        cluster: Cluster that runs it.
        needs: Steps that must end before.
        seconds: Seconds of work on one rank.
        startup_s: Seconds from the start of its process to the start of the work.
        is_shared: Whether the ranks of all nodes share the work; else it runs on one node.
        ranks: Ranks per node.
        source: Source of the seconds.
    """

    name: str
    cluster: str
    needs: tuple[str, ...] = ()
    seconds: float = 0.0
    startup_s: float = 0.0
    is_shared: bool = False
    ranks: int = 1
    source: str = ""


@dataclass(frozen=True)
class PricedCluster:
    """A cluster whose nodes leave after `idle_s` seconds, and cost `hourly`."""

    name: str
    min_nodes: int = 0
    max_nodes: int = 1
    idle_s: float = 300.0
    hourly: float = 0.0


@dataclass(frozen=True)
class Overheads:
    """Seconds on top of the work, and the spread of the work.

    Attributes:
        scale_up_s: From the request for a node to its start; not paid.
        image_pull_s: Image pull before the first step on a node; paid.
        step_overhead_s: Overhead of each step: queue, container, mounts, logs; paid.
        spread: Factor on the work of a step, with mean 1.
    """

    scale_up_s: Range = _ZERO
    image_pull_s: Range = _ZERO
    step_overhead_s: Range = _ZERO
    spread: Range = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class StepRun:
    """One simulated step; times in seconds since the start of the simulation."""

    step: StepWork
    nodes: int
    ready_s: float
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Simulation:
    """Result of one simulation, in seconds.

    Attributes:
        makespans_s: Time of each job from its arrival to the end of its last step.
        runs: Runs of all steps.
        paid_s: Paid time of each node, by cluster.
    """

    makespans_s: tuple[float, ...]
    runs: tuple[StepRun, ...]
    paid_s: Mapping[str, Sequence[float]]

    def busy_s(self, cluster: str) -> float:
        """Return the node-seconds with a step, overheads included."""
        runs = (run for run in self.runs if run.step.cluster == cluster)
        return math.fsum(run.nodes * (run.end_s - run.start_s) for run in runs)


def mean(bounds: Range) -> float:
    """Return the mean of a range: the draw of a simulation without chance."""
    return sum(bounds) / 3


def simulate(
    steps: Sequence[StepWork],
    clusters: Sequence[PricedCluster],
    overheads: Overheads,
    draw: Draw = mean,
    arrivals: Sequence[float] = (0.0,),
    horizon_s: float | None = None,
) -> Simulation:
    """Simulate all steps of all jobs once.

    Args:
        steps: Steps of each job.
        clusters: Clusters of the steps.
        overheads: Overheads on top of the work.
        draw: Draws a value from a range.
        arrivals: Arrival times of the jobs in seconds, ascending.
        horizon_s: End of the time for which permanent nodes are paid; if None, the end of the last
            step.
    """
    pools = {cluster.name: _Pool(cluster, overheads, draw) for cluster in clusters}
    order = range(len(steps))
    followers = {s.name: [i for i in order if s.name in steps[i].needs] for s in steps}
    roots = [index for index in order if not steps[index].needs]
    queue = [(time, job, index) for job, time in enumerate(arrivals) for index in roots]
    heapify(queue)
    ends: list[dict[str, float]] = [{} for _ in arrivals]
    runs = []
    while queue:
        ready, job, index = heappop(queue)
        run = pools[steps[index].cluster].run(steps[index], ready)
        runs.append(run)
        ends[job][run.step.name] = run.end_s
        for follower in followers[run.step.name]:
            needs = steps[follower].needs
            if all(name in ends[job] for name in needs):
                heappush(queue, (max(ends[job][name] for name in needs), job, follower))
    end = max(run.end_s for run in runs) if horizon_s is None else horizon_s
    makespans = (max(each.values()) - time for each, time in zip(ends, arrivals, strict=True))
    paid = {name: pool.close(end) for name, pool in pools.items()}
    return Simulation(tuple(makespans), tuple(runs), paid)


def find_critical_path(runs: Sequence[StepRun]) -> tuple[StepRun, ...]:
    """Return the runs whose times, from ready to end, add up to the makespan of their job.

    A step is ready when the last step that it needs ends.
    """
    by_name = {run.step.name: run for run in runs}
    path = [max(runs, key=lambda run: run.end_s)]
    while needed := [by_name[name] for name in path[0].step.needs]:
        path.insert(0, max(needed, key=lambda run: run.end_s))
    return tuple(path)


@dataclass(eq=False)
class _Node:
    """A node since `since_s`; `available_s` is when it arrives, or ends its last step."""

    since_s: float
    available_s: float
    has_image: bool = False


class _Pool:
    """Nodes of one cluster during a simulation."""

    def __init__(self, cluster: PricedCluster, overheads: Overheads, draw: Draw) -> None:
        self._cluster, self._overheads, self._draw = cluster, overheads, draw
        self._nodes = [_Node(0.0, 0.0, has_image=True) for _ in range(cluster.min_nodes)]
        self._running: list[StepRun] = []
        self._paid_s: list[float] = []

    def run(self, step: StepWork, now: float) -> StepRun:
        """Run a step that is ready now, as soon as there are enough nodes."""
        count = self._cluster.max_nodes if step.is_shared else 1
        self._release_idle(now)
        self._request(now, count)
        start = sorted(max(now, node.available_s) for node in self._nodes)[count - 1]
        free = [node for node in self._nodes if node.available_s <= start]
        # The last ones to become free, so that the others are idle long enough to be removed.
        nodes = sorted(free, key=lambda node: node.available_s)[-count:]
        pulls = [self._draw(self._overheads.image_pull_s) for node in nodes if not node.has_image]
        overhead = max(pulls, default=0.0) + self._draw(self._overheads.step_overhead_s)
        work = step.seconds / (count * step.ranks) * self._draw(self._overheads.spread)
        end = start + overhead + step.startup_s + work
        for node in nodes:
            node.available_s, node.has_image = end, True
        self._running.append(StepRun(step, count, now, start, end))
        return self._running[-1]

    def close(self, end_s: float) -> list[float]:
        """Return the paid seconds of every node."""
        self._nodes.sort(key=lambda node: node.available_s, reverse=True)
        stay = self._cluster.min_nodes
        self._paid_s += [end_s - node.since_s for node in self._nodes[:stay]]
        self._leave(self._nodes[stay:])
        return self._paid_s

    def _release_idle(self, now: float) -> None:
        idle = [node for node in self._nodes if node.available_s + self._cluster.idle_s <= now]
        idle.sort(key=lambda node: node.available_s)
        leaving = idle[: len(self._nodes) - self._cluster.min_nodes]
        self._leave(leaving)
        self._nodes = [node for node in self._nodes if node not in leaving]

    def _leave(self, nodes: Sequence[_Node]) -> None:
        idle_s = self._cluster.idle_s
        self._paid_s += [node.available_s + idle_s - node.since_s for node in nodes]

    def _request(self, now: float, count: int) -> None:
        """Request the nodes that all running and waiting steps need together."""
        self._running = [run for run in self._running if run.end_s > now]
        wanted = count + sum(run.nodes for run in self._running)
        for _ in range(min(self._cluster.max_nodes, wanted) - len(self._nodes)):
            arrival = now + self._draw(self._overheads.scale_up_s)
            self._nodes.append(_Node(arrival, arrival))
