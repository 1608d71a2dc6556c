"""Machines of a simulated cluster, and the steps that run on them."""

from __future__ import annotations

from collections.abc import Callable

from quartet.azure.planning.work import StepWork, list_schedule


class Node:
    """A machine that is there.

    Attributes:
        since: When it came, in seconds.
        has_image: Whether the steps' image is on it.
        task: What runs on it.
        idle_since: When its idle spell began.
        timed: Whether a timer looks after its idle time.
        gone: Whether it was released or taken away.
    """

    __slots__ = ("gone", "has_image", "idle_since", "since", "task", "timed")

    def __init__(self, since: float, has_image: bool) -> None:
        self.since = since
        self.has_image = has_image
        self.task: Task | None = None
        self.idle_since = since
        self.timed = False
        self.gone = False


class Task:
    """A step of one job, waiting for its nodes or running on them.

    Attributes:
        step: Which step.
        nodes: That it takes, all at once.
        durations: Of the pieces that are left to do, in seconds.
        submitted: When it began to wait, in seconds.
        done: Is called at its end.
    """

    __slots__ = (
        "_finishes",
        "_work_begins",
        "attempt",
        "done",
        "durations",
        "nodes",
        "on",
        "started",
        "step",
        "submitted",
    )

    def __init__(
        self,
        step: StepWork,
        nodes: int,
        durations: list[float],
        submitted: float,
        done: Callable[[], None],
    ) -> None:
        self.step = step
        self.nodes = nodes
        self.durations = durations
        self.submitted = submitted
        self.done = done
        self.on: list[Node] = []
        self.attempt = 0
        self.started = 0.0
        self._work_begins = 0.0
        self._finishes = durations

    def start(self, now: float, setup_s: float) -> float:
        """Seconds until its last piece is done; its nodes are in `on`."""
        self.started = now
        self._work_begins = now + setup_s
        self._finishes = list_schedule(self.durations, self.nodes * self.step.ranks)
        return setup_s + max(self._finishes)

    def stop(self, now: float) -> None:
        """Forget what is not finished, or all of it."""
        self.attempt += 1
        self.on = []
        if self.step.keeps:
            worked = now - self._work_begins
            each = zip(self.durations, self._finishes, strict=True)
            self.durations = [duration for duration, end in each if end > worked]
