"""What is to be done: steps with pieces, on clusters, of jobs that arrive."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from itertools import accumulate

import numpy as np

from quartet.azure.planning.distributions import FIXED_ZERO, SURE, Distribution, sampler

MOST_PIECES = 2000
"""More pieces than these are taken together: so small, they fill all ranks alike."""


@dataclass(frozen=True)
class Machines:
    """A cluster.

    Attributes:
        name: The cluster.
        min_nodes: That stand while nothing runs.
        max_nodes: At most.
        idle_seconds: After which a machine goes.
        low_priority: Whether a machine may be taken away.
        hourly: Price of a machine.
        cores: Of a machine.
        gpus: Of a machine.

    Raises:
        ValueError: It has no node, or fewer at most than at least.
    """

    name: str
    min_nodes: int = 0
    max_nodes: int = 1
    idle_seconds: float = 300.0
    low_priority: bool = False
    hourly: float = 0.0
    cores: int = 1
    gpus: int = 0

    def __post_init__(self) -> None:
        if self.max_nodes < max(1, self.min_nodes) or self.min_nodes < 0:
            raise ValueError(
                f"cluster '{self.name}': {self.min_nodes} nodes at least and {self.max_nodes} at "
                "most cannot be; a cluster has one node or more"
            )


@dataclass(frozen=True)
class StepWork:
    """A step of a job, as far as its time is concerned.

    Attributes:
        name: The step.
        cluster: Where it runs.
        needs: Steps that must be done before.
        seconds: Its work, if one rank did all pieces one after the other.
        startup_s: From the process's start until its work begins.
        pieces: Into which the work is divided: trials, shards of sensors, pieces of a video.
        nodes: Of the gang; None for all that the cluster has, as far as there are pieces for them.
        ranks: On each node.
        keeps: Whether finished pieces survive when the gang is stopped.
        spread: By how much a piece's time differs, a factor with mean 1.
    """

    name: str
    cluster: str
    needs: tuple[str, ...] = ()
    seconds: float = 0.0
    startup_s: float = 0.0
    pieces: int = 1
    nodes: int | None = 1
    ranks: int = 1
    keeps: bool = False
    spread: Distribution = SURE

    def gang(self, most: int) -> int:
        """Nodes that it takes on a cluster of so many.

        Raises:
            ValueError: It wants more than the cluster has.
        """
        if self.nodes is None:
            return min(most, max(1, math.ceil(self.pieces / self.ranks)))
        if self.nodes > most:
            raise ValueError(
                f"step '{self.name}' wants {self.nodes} nodes at once, but cluster "
                f"'{self.cluster}' has {most} at most: it would wait for ever"
            )
        return self.nodes

    def draws(self, random: np.random.Generator) -> Callable[[], list[float]]:
        """A function that draws the seconds of each piece of a job, one job after the other."""
        count = min(self.pieces, MOST_PIECES)
        each = self.seconds / count
        if self.spread.shape == "fixed":
            return lambda: [each] * count
        if count == 1:
            factor = sampler(self.spread, random)
            return lambda: [each * factor()]
        return lambda: [each * factor for factor in self.spread.draw(random, count).tolist()]


@dataclass(frozen=True)
class Delays:
    """What comes on top of the work.

    Attributes:
        scale_up: From a job's wish until the machine is there. It is not paid.
        image_pull: Of the first job on a machine. It is paid.
        step_overhead: Of each step: the service queues it, starts a container, mounts, collects.
        evictions_per_hour: Rate at which a low-priority machine is taken away.
    """

    scale_up: Distribution = FIXED_ZERO
    image_pull: Distribution = FIXED_ZERO
    step_overhead: Distribution = FIXED_ZERO
    evictions_per_hour: float = 0.0


@dataclass(frozen=True)
class Arrivals:
    """When jobs come.

    Attributes:
        kind: `once`, `every` interval, or `poisson` with that interval in the mean.
        interval_s: Between two arrivals.
        burst: Jobs that come together.
        horizon_s: No job comes after this.
    """

    kind: str = "once"
    interval_s: float = 0.0
    burst: int = 1
    horizon_s: float = 86_400.0

    @property
    def expected(self) -> float:
        """Jobs within the horizon, in the mean."""
        return self.burst * (1.0 if self.kind == "once" else self.horizon_s / self.interval_s)

    def times(self, random: np.random.Generator) -> list[float]:
        """Of each job, ascending, in seconds."""
        match self.kind:
            case "once":
                moments = np.zeros(1)
            case "every":
                moments = np.arange(0.0, self.horizon_s, self.interval_s)
            case _:
                count = random.poisson(self.horizon_s / self.interval_s)
                moments = np.sort(random.uniform(0.0, self.horizon_s, count))
        return np.repeat(moments, self.burst).tolist()


@dataclass(frozen=True)
class Scenario:
    """All that a simulation needs.

    Attributes:
        machines: The clusters.
        steps: Of each job, each after those it needs.
        arrivals: Of jobs.
        delays: On top of the work.
    """

    machines: tuple[Machines, ...]
    steps: tuple[StepWork, ...]
    arrivals: Arrivals = Arrivals()
    delays: Delays = Delays()


def list_schedule(durations: Sequence[float], ranks: int) -> list[float]:
    """When each piece is done, if ranks take the next one as soon as they are free.

    Graham's list scheduling (1966).

    Args:
        durations: Of the pieces in their order, in seconds.
        ranks: That work on them.
    """
    if ranks == 1:
        return list(accumulate(durations))
    done = list(durations[:ranks])
    free = list(done)
    heapify(free)
    for duration in durations[ranks:]:
        end = free[0] + duration
        heapreplace(free, end)
        done.append(end)
    return done
