"""A scenario, played through again and again with other chances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from simpy import Environment, Event

from quartet.azure.planning.cluster import Cluster
from quartet.azure.planning.work import Machines, Scenario, StepWork

_HOUR = 3600.0


@dataclass(frozen=True)
class Spent:
    """What a cluster cost in one replication.

    Attributes:
        machines: The cluster.
        paid_s: Seconds of nodes that are paid.
        busy_s: Seconds of nodes with a step on them.
        evictions: Nodes that were taken away.
        restarts: Steps that had to begin once more.
        most_on: Nodes that were there at once.
        waits_s: Of each step, until it first had its nodes.
        trace: Moments with the nodes there and busy from then on; empty if it was not asked for.
    """

    machines: Machines
    paid_s: float
    busy_s: float
    evictions: int
    restarts: int
    most_on: int
    waits_s: tuple[float, ...]
    trace: tuple[tuple[float, int, int], ...] = ()

    @property
    def cost(self) -> float:
        """In the currency of the machines' price."""
        return self.paid_s / _HOUR * self.machines.hourly


@dataclass(frozen=True)
class Replication:
    """One play.

    Attributes:
        times_s: Of each job, from its arrival to its end.
        spent: By cluster.
        end_s: When all was done and all nodes but the standing ones were gone.
    """

    times_s: tuple[float, ...]
    spent: tuple[Spent, ...]
    end_s: float

    @property
    def cost(self) -> float:
        """Of all clusters."""
        return sum(each.cost for each in self.spent)


@dataclass(frozen=True)
class Outcome:
    """All replications of a scenario.

    Attributes:
        scenario: What was played.
        replications: Each play.
    """

    scenario: Scenario
    replications: tuple[Replication, ...]

    def times(self) -> np.ndarray:
        """Seconds of all jobs of all replications."""
        return np.concatenate([each.times_s for each in self.replications])

    def costs(self) -> np.ndarray:
        """Of each replication."""
        return np.array([each.cost for each in self.replications])

    def mean(self, name: str) -> float:
        """Of a number of `Spent`, over all clusters, a replication."""
        totals = [sum(getattr(one, name) for one in each.spent) for each in self.replications]
        return float(np.mean(totals))


def simulate(scenario: Scenario, replications: int, seed: int) -> Outcome:
    """Play a scenario through.

    Scenarios that are compared get the same seed, and so the same jobs and much of the same luck.

    Args:
        scenario: What to play.
        replications: How often.
        seed: Of all chance.

    Raises:
        ValueError: A step wants more nodes than its cluster can have.
    """
    seeds = np.random.SeedSequence(seed).spawn(replications)
    return Outcome(scenario, tuple(play(scenario, seed) for seed in seeds))


def play(scenario: Scenario, seed: np.random.SeedSequence, trace: bool = False) -> Replication:
    """One replication.

    Raises:
        ValueError: A step wants more nodes than its cluster can have.
    """
    return _Play(scenario, seed, trace).run()


class _Play:
    """One replication while it runs."""

    def __init__(self, scenario: Scenario, seed: np.random.SeedSequence, trace: bool) -> None:
        arrivals, work, *clusters = (
            np.random.Generator(np.random.SFC64(one))
            for one in seed.spawn(2 + len(scenario.machines))
        )
        self._env = Environment()
        self._steps = scenario.steps
        self._followers = _followers(scenario.steps)
        self._draws = {step.name: step.draws(work) for step in scenario.steps}
        self._clusters = {
            machines.name: Cluster(
                self._env, machines, scenario.delays, random, self._look_for_end, trace
            )
            for machines, random in zip(scenario.machines, clusters, strict=True)
        }
        self._arrivals = scenario.arrivals.times(arrivals)
        self._left = len(self._arrivals)
        self._times = [0.0] * self._left
        self._end = Event(self._env)
        periodic = scenario.arrivals.kind != "once"
        self._least_s = scenario.arrivals.horizon_s if periodic else 0.0

    def run(self) -> Replication:
        self._next_arrival(0)
        if self._left:
            self._env.run(until=self._end)
        end = max(self._env.now, self._least_s)
        for cluster in self._clusters.values():
            cluster.settle(end)
        spent = tuple(_spent(cluster) for cluster in self._clusters.values())
        return Replication(tuple(self._times), spent, end)

    def _next_arrival(self, number: int, event: Any = None) -> None:
        """Let all jobs of this moment begin, and wait for the next ones."""
        while number < len(self._arrivals):
            later = self._arrivals[number] - self._env.now
            if later > 0:
                callbacks = self._env.timeout(later).callbacks
                assert callbacks is not None
                callbacks.append(partial(self._next_arrival, number))
                return
            _Job(self, number, self._steps, self._followers).begin()
            number += 1

    def submit(self, step: StepWork, done: Any) -> None:
        self._clusters[step.cluster].submit(step, self._draws[step.name](), done)

    def finish(self, number: int) -> None:
        """A job is done."""
        self._times[number] = self._env.now - self._arrivals[number]
        self._left -= 1
        self._look_for_end()

    def _look_for_end(self) -> None:
        resting = not self._left and all(each.is_resting() for each in self._clusters.values())
        if resting and not self._end.triggered:
            self._end.succeed()


class _Job:
    """One job: which of its steps wait for which."""

    __slots__ = ("_followers", "_left", "_number", "_play", "_steps", "_waits_for")

    def __init__(
        self,
        play: _Play,
        number: int,
        steps: tuple[StepWork, ...],
        followers: dict[str, list[StepWork]],
    ) -> None:
        self._play = play
        self._number = number
        self._steps = steps
        self._followers = followers
        self._waits_for = {step.name: len(step.needs) for step in steps}
        self._left = len(steps)

    def begin(self) -> None:
        for step in self._steps:
            if not step.needs:
                self._play.submit(step, partial(self._finish, step))

    def _finish(self, step: StepWork) -> None:
        self._left -= 1
        for follower in self._followers[step.name]:
            self._waits_for[follower.name] -= 1
            if not self._waits_for[follower.name]:
                self._play.submit(follower, partial(self._finish, follower))
        if not self._left:
            self._play.finish(self._number)


def _followers(steps: Sequence[StepWork]) -> dict[str, list[StepWork]]:
    """By step: those that wait for it."""
    return {step.name: [other for other in steps if step.name in other.needs] for step in steps}


def _spent(cluster: Cluster) -> Spent:
    return Spent(
        cluster.machines,
        cluster.paid_s,
        cluster.busy_s,
        cluster.evictions,
        cluster.restarts,
        cluster.most_on,
        tuple(cluster.waits),
        tuple(cluster.trace or ()),
    )
