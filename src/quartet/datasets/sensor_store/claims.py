"""Claims, which give one run at a time exclusive access to a job, stored beside its cursor.

A claim is a text `location:process:token`. It ends when the run releases it, when it expires
without renewal, or when its process is dead. The last does not apply to a run on Azure ML or a
rehearsal, whose steps are consecutive processes: there the location includes the job. Every write
checks the token in the same transaction, so a run that has lost its claim cannot write.
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
    """Another run has the claim on a job, or has taken it over."""


class Claims:
    """Claims on the jobs of one database."""

    @property
    def name(self) -> str:
        """Name of the database in messages."""
        raise NotImplementedError

    def _transact(self, work: Callable[[Connection], Result]) -> Result:
        raise NotImplementedError

    def claim(self, job: str, minutes: float, take_over: bool = False) -> str:
        """Claim a job and return the token of the claim.

        Replaces a claim that has expired, or that belongs to a dead process of this machine, to
        this process, or to the same job on Azure ML.

        Args:
            job: `ingestion` or `scoring`.
            minutes: Time until the claim expires unless it is renewed.
            take_over: Whether to take over the claim of any other run.

        Raises:
            ClaimError: Another run has the claim.
        """
        token = uuid.uuid4().hex
        seconds = max(1, round(60 * minutes))
        self._transact(
            lambda connection: _take(connection, job, token, seconds, take_over, self.name)
        )
        return token

    def confirm(self, job: str, token: str) -> None:
        """Renew a claim for its full time, from any process.

        Raises:
            ClaimError: Another run has taken over.
        """
        self._transact(lambda connection: renew(connection, job, token, self.name))

    def release(self, job: str, token: str) -> None:
        """Release a claim; does nothing if another run has taken it over."""
        self._transact(lambda connection: _release(connection, job, token))

    @contextmanager
    def hold_claim(self, job: str, minutes: float, take_over: bool = False) -> Iterator[str]:
        """Hold a claim during a `with` block; arguments and errors as for `claim`."""
        token = self.claim(job, minutes, take_over)
        try:
            yield token
        finally:
            try:
                self.release(job, token)
            except DatasetError as error:  # the claim expires by itself; keep the block's outcome
                logger.warning("The claim on %s was not released: %s", job, error)


def lock_job(connection: Connection, job: str) -> tuple[Row[Any], datetime]:
    """Lock a job's row for the rest of the transaction; return it and the current time.

    Raises:
        ValueError: The job is unknown.
    """
    # An update that changes nothing locks the row on every database; FOR UPDATE does not.
    connection.execute(update(jobs).where(jobs.c.name == job).values(name=job))
    row = connection.execute(
        select(jobs, utc_now().label("now")).where(jobs.c.name == job)
    ).one_or_none()
    if row is None:
        raise ValueError(f"unknown job {job!r}; expected {INGESTION} or {SCORING}")
    return row, row.now


def _take(
    connection: Connection, job: str, token: str, seconds: int, take_over: bool, database: str
) -> None:
    """Claim a job.

    Raises:
        ClaimError: Another run has the claim.
    """
    row, now = lock_job(connection, job)
    if row.claimed_by is not None and not take_over and not _is_abandoned(row, now):
        raise ClaimError(
            f"{database}: {job} is claimed by another run, {_describe_holder(row)}, since "
            f"{row.claimed_at} UTC; the claim expires at {row.claim_expires} UTC unless it is "
            "renewed. Wait until the run ends; if it was killed, wait until then, or take over "
            f"with --params {_PARAMETERS[job]}.take_over=true"
        )
    _write(connection, job, token, now, seconds, since=now)


def renew(connection: Connection, job: str, token: str, database: str) -> None:
    """Check that this run has the claim on a job, and restart its time.

    The claim passes to the calling process: the steps of a run may be processes on several
    machines.

    Raises:
        ClaimError: Another run has taken over, or the claim was released.
    """
    row, now = lock_job(connection, job)
    if _token(row) != token:
        holder = "nobody" if row.claimed_by is None else _describe_holder(row)
        raise ClaimError(
            f"{database}: this run has lost its claim on {job}, which is now held by {holder}; the "
            "run stops, and the next run continues from what is written"
        )
    _write(connection, job, token, now, row.claim_seconds, since=row.claimed_at)


def _release(connection: Connection, job: str, token: str) -> None:
    """Release a claim, unless another run has taken it over."""
    row, _ = lock_job(connection, job)
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
            claimed_by=f"{_describe_location()}:{os.getpid()}:{token}",
            claimed_at=since,
            claim_expires=now + timedelta(seconds=seconds),
            claim_seconds=seconds,
        )
    )


def _token(row: Row[Any]) -> str | None:
    return row.claimed_by.rsplit(":", 1)[1] if row.claimed_by else None


def _describe_holder(row: Row[Any]) -> str:
    location, process, _ = row.claimed_by.rsplit(":", 2)
    return f"process {process} on {location}"


def _describe_location() -> str:
    """Return the machine of this run, and its job, whose steps may run on several machines."""
    job = os.environ.get(JOB)
    return f"{socket.gethostname()} in job {job}" if job else socket.gethostname()


def _is_abandoned(row: Row[Any], now: datetime) -> bool:
    """Return whether a claim has expired, or the run that holds it is dead."""
    if row.claim_expires <= now:
        return True
    location, process, _ = row.claimed_by.rsplit(":", 2)
    if job := os.environ.get(JOB):
        # A job claims each job of the database once, so this is the retry of a failed step.
        return bool(location.endswith(f" in job {job}"))
    # This process cannot run a job twice, so its own claim is left from a run that failed in it,
    # or from a container with the same host name and process id.
    is_own = int(process) == os.getpid()
    return location == _describe_location() and (is_own or not is_alive(int(process)))
