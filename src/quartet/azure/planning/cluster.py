"""One Azure ML cluster, as a discrete-event simulation.

Nodes come when tasks want them and go when they were idle. Tasks are served in the order in which
they came: a gang at the head of the queue gets the next nodes that are free, all at once, and
nobody passes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from simpy import Environment

from quartet.azure.planning.distributions import Distribution, sampler
from quartet.azure.planning.tasks import Node, Task
from quartet.azure.planning.work import Delays, Machines, StepWork

_HOUR = 3600.0
_TICK = 1e-6
"""Seconds that sums of floats may be off."""


class Cluster:
    """Nodes, and tasks that want them.

    Attributes:
        machines: What it is.
        idle: Nodes without a task; those that were busy last are taken first.
        paid_s: Seconds of nodes that are gone again.
        busy_s: Seconds of nodes with a task, setup and lost work included.
        evictions: Nodes that were taken away.
        restarts: Tasks that had to begin once more for it.
        most_on: Nodes that were there at once.
        waits: Of each task, seconds from its submission until it first had its nodes.
        trace: Moments with the nodes that were there, and those busy, from then on.
    """

    def __init__(
        self,
        env: Environment,
        machines: Machines,
        delays: Delays,
        random: np.random.Generator,
        rested: Callable[[], None],
        trace: bool = False,
    ) -> None:
        """Put the standing nodes there.

        Args:
            env: The simulation's clock.
            machines: What it is.
            delays: On top of the work.
            random: Where chance comes from.
            rested: Is called when nothing runs, waits or is too much.
            trace: Whether to write down how many nodes there are.
        """
        self.machines = machines
        self._env = env
        self._rested = rested
        self._scale_up = sampler(delays.scale_up, random)
        self._pull = sampler(delays.image_pull, random)
        self._overhead = sampler(delays.step_overhead, random)
        rate = delays.evictions_per_hour if machines.low_priority else 0.0
        life = Distribution("exponential", (_HOUR / rate,)) if rate else None
        self._life = sampler(life, random) if life else None
        self.queue: deque[Task] = deque()
        self.idle: list[Node] = []
        self._on: set[Node] = set()
        self._starting = 0
        self._busy = 0
        self._wanted = 0
        self.paid_s = self.busy_s = 0.0
        self.evictions = self.restarts = self.most_on = 0
        self.waits: list[float] = []
        self.trace: list[tuple[float, int, int]] | None = [] if trace else None
        for _ in range(machines.min_nodes):
            self._arrive(Node(0.0, has_image=True))

    def submit(self, step: StepWork, durations: list[float], done: Callable[[], None]) -> None:
        """Let a step wait for its nodes; `done` is called at its end."""
        task = Task(step, step.gang(self.machines.max_nodes), durations, self._env.now, done)
        self._wanted += task.nodes
        self.queue.append(task)
        self._dispatch()
        self._scale()

    def is_resting(self) -> bool:
        """Whether nothing runs or waits, and no node is more than stands."""
        return not self._wanted and not self._starting and len(self._on) <= self.machines.min_nodes

    def settle(self, end: float) -> None:
        """Add the time of nodes that are there at the end."""
        for node in self._on:
            self.paid_s += max(0.0, end - node.since)

    def _sought(self) -> int:
        """Nodes that there should be, as things are."""
        return min(self.machines.max_nodes, max(self._wanted, self.machines.min_nodes))

    def _after(self, seconds: float, action: Callable[[Any], None]) -> None:
        callbacks = self._env.timeout(seconds).callbacks
        assert callbacks is not None
        callbacks.append(action)

    def _scale(self) -> None:
        """Ask for nodes if tasks, or the standing number, want more."""
        for _ in range(self._sought() - len(self._on) - self._starting):
            self._starting += 1
            self._after(self._scale_up(), self._come)

    def _come(self, event: Any) -> None:
        self._starting -= 1
        self._arrive(Node(self._env.now, has_image=False))
        self._dispatch()
        self._look_for_rest()  # the last work may have ended while this node was starting

    def _arrive(self, node: Node) -> None:
        self._on.add(node)
        self.most_on = max(self.most_on, len(self._on))
        if self._life is not None:
            self._after(self._life(), partial(self._evict, node))
        self._rest(node)

    def _rest(self, node: Node) -> None:
        """Make a node idle, and see to it that it goes when its time is over."""
        node.task = None
        node.idle_since = self._env.now
        self.idle.append(node)
        if not node.timed and self.machines.max_nodes > self.machines.min_nodes:
            node.timed = True
            self._after(self.machines.idle_seconds, partial(self._look_at, node))
        self._note()

    def _look_at(self, node: Node, event: Any) -> None:
        """Let a node go that was idle for long; one timer a node serves all its idle spells."""
        node.timed = False
        if node.gone or node.task is not None:
            return
        if len(self._on) <= self._sought():  # a gang waits for more of them, or it stands
            node.idle_since = self._env.now
        left = node.idle_since + self.machines.idle_seconds - self._env.now
        if left > _TICK:
            node.timed = True
            self._after(left, partial(self._look_at, node))
        else:
            self.idle.remove(node)
            self._leave(node)
            self._look_for_rest()

    def _look_for_rest(self) -> None:
        if self.is_resting():
            self._rested()

    def _leave(self, node: Node) -> None:
        node.gone = True
        self._on.remove(node)
        self.paid_s += self._env.now - node.since
        self._note()

    def _evict(self, node: Node, event: Any) -> None:
        """Take a low-priority node away, and stop the task that it has."""
        if node.gone:
            return
        self.evictions += 1
        task = node.task
        if task is None:
            self.idle.remove(node)
            self._leave(node)
        else:
            others = [other for other in task.on if other is not node]
            self.busy_s += task.nodes * (self._env.now - task.started)
            self._busy -= task.nodes
            self.restarts += 1
            task.stop(self._env.now)
            self._leave(node)
            for other in others:
                self._rest(other)
            self.queue.appendleft(task)
            self._dispatch()
        self._scale()
        self._look_for_rest()

    def _dispatch(self) -> None:
        """Give the head of the queue its nodes, as long as there are enough."""
        while self.queue and len(self.idle) >= self.queue[0].nodes:
            self._start(self.queue.popleft())

    def _start(self, task: Task) -> None:
        task.on = self.idle[-task.nodes :]
        del self.idle[-task.nodes :]
        pull = 0.0
        for node in task.on:
            node.task = task
            if not node.has_image:
                node.has_image = True
                pull = max(pull, self._pull())
        if not task.attempt:
            self.waits.append(self._env.now - task.submitted)
        self._busy += task.nodes
        lasts = task.start(self._env.now, pull + self._overhead() + task.step.startup_s)
        self._after(lasts, partial(self._finish, task, task.attempt))
        self._note()

    def _finish(self, task: Task, attempt: int, event: Any) -> None:
        if task.attempt != attempt:
            return
        self.busy_s += task.nodes * (self._env.now - task.started)
        self._busy -= task.nodes
        self._wanted -= task.nodes
        for node in task.on:
            self._rest(node)
        self._dispatch()
        task.done()
        self._look_for_rest()

    def _note(self) -> None:
        if self.trace is not None:
            self.trace.append((self._env.now, len(self._on), self._busy))
