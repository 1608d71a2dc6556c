"""Which run has a job to itself: claims, one a job, kept beside the job's cursor.

A claim is a row's text `place:process:token`. It ends when the run releases it, when
its time is over without renewal, or when its process is seen to be dead. The last says
nothing of a run on Azure ML, or of a rehearsal: its steps are processes, one after the
other, and between two of them it lives without any. There the place is the job. Whoever
writes in a job's name shows the token in the same transaction, so a run that has
lost its claim can write nothing more, whatever it believes.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from kedro.io.core import DatasetError
from sqlalchemy import Row, select, update
from sqlalchemy.engine import Connection

from kedro_cloud.core.processes import is_alive
from kedro_cloud.core.variables import JOB
from quartet.datasets.sensor_store.schema import INGESTION, SCORING, jobs, utc_now

_PARAMETERS = {INGESTION: "sensor_ingestion", SCORING: "window_scoring"}

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class ClaimError(ValueError):
    """Another run has the job, or has taken it over."""


class Claims:
    """Claims on the jobs whose positions one database keeps."""

    @property
    def name(self) -> str:
        """What the database is called in messages."""
        raise NotImplementedError

    def _transact(self, work: Callable[[Connection], Result]) -> Result:
        raise NotImplementedError

    def claim(self, job: str, minutes: float, take_over: bool = False) -> str:
        """Return the token of a claim on `ingestion` or `scoring`: no other run gets one meanwhile.

        A claim that has run out, or is of a dead process of this machine, of this very process
        or of the same job on Azure ML, is no obstacle.

        Args:
            job: What is claimed.
            minutes: How long the claim holds unless it is renewed.
            take_over: Take the place of whichever run has the claim.

        Raises:
            ClaimError: Another run has it; a ValueError that says which, and what to do.
        """
        token = uuid.uuid4().hex
        seconds = max(1, round(60 * minutes))
        self._transact(
            lambda connection: _take(connection, job, token, seconds, take_over, self.name)
        )
        return token

    def confirm(self, job: str, token: str) -> None:
        """Renew a claim for as long again, from any process.

        Raises:
            ClaimError: Another run has taken over.
        """
        self._transact(lambda connection: renew(connection, job, token, self.name))

    def release(self, job: str, token: str) -> None:
        """End a claim; if it is another run's by now, nothing happens."""
        self._transact(lambda connection: _let_go(connection, job, token))

    @contextmanager
    def claimed(self, job: str, minutes: float, take_over: bool = False) -> Iterator[str]:
        """Hold a claim for the length of a `with` block; arguments and errors as for `claim`."""
        token = self.claim(job, minutes, take_over)
        try:
            yield token
        finally:
            try:
                self.release(job, token)
            except DatasetError as error:  # it runs out by itself; the work's outcome matters more
                logger.warning("the claim on %s was not released: %s", job, error)


def locked_job(connection: Connection, job: str) -> tuple[Row[Any], datetime]:
    """Return a job's row and the present, with the row locked for the rest of the transaction.

    Raises:
        ValueError: There is no such job.
    """
    # An update that changes nothing locks the row on every database; FOR UPDATE does not.
    connection.execute(update(jobs).where(jobs.c.name == job).values(name=job))
    row = connection.execute(
        select(jobs, utc_now().label("now")).where(jobs.c.name == job)
    ).one_or_none()
    if row is None:
        raise ValueError(f"there is no job {job!r}")
    return row, row.now


def _take(
    connection: Connection, job: str, token: str, seconds: int, take_over: bool, database: str
) -> None:
    """Claim a job.

    Raises:
        ClaimError: Another run has it; says which, since when, until when, and what to do.
    """
    row, now = locked_job(connection, job)
    if row.claimed_by is not None and not take_over and not _abandoned(row, now):
        raise ClaimError(
            f"{database}: {job} is claimed by another run, {_holder(row)}, since "
            f"{row.claimed_at} and until {row.claim_expires} UTC if it does not renew the claim. "
            f"Let it finish. If it is dead, wait until then, or take its place by --params "
            f"{_PARAMETERS[job]}.take_over=true"
        )
    _write(connection, job, token, now, seconds, since=now)


def renew(connection: Connection, job: str, token: str, database: str) -> None:
    """Make sure that a job is still this run's, and let the claim's time begin again.

    It passes to the process that asks: the steps of a run may be processes of several machines.

    Raises:
        ClaimError: Another run has taken over, or the claim was released.
    """
    row, now = locked_job(connection, job)
    if _token(row) != token:
        holder = "nobody" if row.claimed_by is None else _holder(row)
        raise ClaimError(
            f"{database}: this run has lost its claim on {job}, which is now held by {holder}; it "
            "stops here, and what it has not yet written is left to the next run"
        )
    _write(connection, job, token, now, row.claim_seconds, since=row.claimed_at)


def _let_go(connection: Connection, job: str, token: str) -> None:
    """End a claim; nothing happens if it is another run's by now."""
    row, _ = locked_job(connection, job)
    if _token(row) == token:
        free = dict.fromkeys(("claimed_by", "claimed_at", "claim_expires", "claim_seconds"))
        connection.execute(update(jobs).where(jobs.c.name == job).values(free))


def _write(
    connection: Connection, job: str, token: str, now: datetime, seconds: int, since: datetime
) -> None:
    connection.execute(
        update(jobs)
        .where(jobs.c.name == job)
        .values(
            claimed_by=f"{_place()}:{os.getpid()}:{token}",
            claimed_at=since,
            claim_expires=now + timedelta(seconds=seconds),
            claim_seconds=seconds,
        )
    )


def _token(row: Row[Any]) -> str | None:
    return row.claimed_by.rsplit(":", 1)[1] if row.claimed_by else None


def _holder(row: Row[Any]) -> str:
    """Return what messages call the run that has a job."""
    place, process, _ = row.claimed_by.rsplit(":", 2)
    return f"process {process} on {place}"


def _place() -> str:
    """Return where this run is: on a machine, or in a job whose steps may be on several."""
    job = os.environ.get(JOB)
    return f"{socket.gethostname()} in job {job}" if job else socket.gethostname()


def _abandoned(row: Row[Any], now: datetime) -> bool:
    """Return whether the run that claims a job has died, or should have renewed its claim."""
    if row.claim_expires <= now:
        return True
    place, process, _ = row.claimed_by.rsplit(":", 2)
    if job := os.environ.get(JOB):
        # A job claims each of both once: the claim is of a step that failed and is tried again.
        return bool(place.endswith(f" in job {job}"))
    # This process cannot run the job twice: the claim is of a run that failed here, or of a
    # container that had the same name and numbers.
    is_mine = int(process) == os.getpid()
    return place == _place() and (is_mine or not is_alive(int(process)))
