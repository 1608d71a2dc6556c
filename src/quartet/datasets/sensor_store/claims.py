"""Claims, which give one run at a time exclusive access to a job, stored beside its cursor.

A claim is a text `location:process:token`. It ends when the run releases it, when it expires
without renewal, or when its process is dead. The last does not apply to a run on Azure ML or a
rehearsal, whose steps are consecutive processes: there the location includes the job. Every write
checks the token in the same transaction, so a run that has lost its claim cannot write.
"""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.engine import Connection

from kedro_cloud.core.processes import is_alive
from kedro_cloud.core.variables import JOB
from quartet.datasets.sensor_store.schema import INGESTION, SCORING, jobs, utc_now

_PARAMETERS = {INGESTION: "sensor_ingestion", SCORING: "window_scoring"}


class ClaimError(ValueError):
    """Another run has the claim on a job, or has taken it over."""


def lock_job(connection: Connection, job: str) -> tuple[Row[Any], datetime]:
    """Lock a job's row for the rest of the transaction; return it and the current time."""
    # An update that changes nothing locks the row on every database; FOR UPDATE does not.
    connection.execute(update(jobs).where(jobs.c.name == job).values(name=job))
    row = connection.execute(select(jobs, utc_now().label("now")).where(jobs.c.name == job)).one()
    return row, row.now


def take_claim(
    connection: Connection, job: str, token: str, seconds: int, take_over: bool, database: str
) -> None:
    """Claim a job; see `SensorTables.claim`.

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


def renew_claim(connection: Connection, job: str, token: str, database: str) -> None:
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


def release_claim(connection: Connection, job: str, token: str) -> None:
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
