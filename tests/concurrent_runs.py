"""Run functions on the same database in concurrent processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import event, text

from quartet.datasets.sensor_store.tables import ClaimError, SensorTables
from quartet.sensors.batch import Batch
from support import GUARD_S
from window_batches import batch, end, faults, fleet, ledger, tables, windows


def alter(store: SensorTables, **values: Any) -> None:
    """Change the scoring job's row like another run or the time."""
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    with store._database.engine.begin() as connection:
        connection.execute(
            text(f"UPDATE sensor_jobs SET {assignments} WHERE name = 'scoring'"), values
        )


def claim_repeatedly(url: str, start: Any, outcomes: Any, turns: int) -> None:
    """Claim repeatedly in competition with another process; report which turns succeeded."""
    store = tables(url)
    store.make()
    for turn in range(turns):
        start.wait()
        try:
            store.claim("scoring", minutes=60)
            outcomes.put((turn, True))
        except ClaimError:
            outcomes.put((turn, False))
        start.wait()
        alter(store, claimed_by=None)
    store.close()


def publish_repeatedly(url: str, start: Any, number: int, batches: int) -> None:
    """Publish windows of both processes and some own ones, concurrently with another process."""
    store = tables(url)
    start.wait()
    for turn in range(batches):
        name = f"run{number}-{turn}"
        shared = [*fleet(3, 5, range(5, 30, 5)), (f"own{number}", "s", 5 + 5 * turn)]
        store.publish(
            batch(windows(shared, seed=1), ledger(name), faults(**{name: [1]}), end(turn))
        )
    store.close()


def run_in_two_processes(
    target: Callable[..., None],
    url: str,
    *arguments: Any,
    each: Sequence[tuple[Any, ...]] = ((), ()),
) -> None:
    """Call a function in two processes with the URL, a barrier, and own and common arguments."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2, timeout=GUARD_S)
    processes = [
        context.Process(target=target, args=(url, start, *own, *arguments), daemon=True)
        for own in each
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(GUARD_S)
    assert [process.exitcode for process in processes] == [0, 0]


def confirm_in_process(url: str, token: str) -> int | None:
    """Confirm a claim on scoring in another process and return its process id."""
    process = multiprocessing.get_context("spawn").Process(target=_confirm, args=(url, token))
    process.start()
    process.join(GUARD_S)
    assert process.exitcode == 0
    return process.pid


def _confirm(url: str, token: str) -> None:
    tables(url).confirm("scoring", token)


def publish_until_killed(url: str, publication: Batch, statement: str) -> None:
    """Publish in another process, which is killed at a statement."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_publish_and_kill, args=(url, publication, statement))
    process.start()
    process.join(GUARD_S)
    assert process.exitcode == -signal.SIGKILL


def _publish_and_kill(url: str, publication: Batch, statement: str) -> None:
    store = tables(url)

    @event.listens_for(store._database.engine, "after_cursor_execute")
    def die(connection: Any, cursor: Any, text: str, *_: Any) -> None:
        if text.startswith(statement):
            os.kill(os.getpid(), signal.SIGKILL)

    store.publish(publication)
