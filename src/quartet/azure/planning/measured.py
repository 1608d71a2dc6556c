"""The work of a pipeline's steps, as its last rehearsal measured it or as somebody says."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from quartet.azure.job import Job, Step
from quartet.azure.planning.assumptions import Pieces, Planning
from quartet.azure.planning.work import StepWork
from quartet.azure.rehearsal import Place
from quartet.azure.rehearsal.records import Journal, StepRecord, fingerprint


@dataclass(frozen=True)
class Said:
    """What the command line says in place of what was measured, each by step.

    Attributes:
        seconds: Of work, if one rank did it all.
        pieces: Into which it is divided; its time grows with them.
        gangs: Nodes of the gang.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    pieces: Mapping[str, int] = field(default_factory=dict)
    gangs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """The work, and what is to be told about where it comes from.

    Attributes:
        steps: In the job's order.
        remarks: Lines for the reader.
        what: The pieces of a step, in words, if their number is known.
    """

    steps: tuple[StepWork, ...]
    remarks: tuple[str, ...]
    what: Mapping[str, str] = field(default_factory=dict)


def measured_work(
    job: Job, place: Place, planning: Planning, parameters: Mapping[str, Any], said: Said
) -> Measured:
    """The work of each step of a job.

    A step's seconds are those of its rehearsal, less its start. If ranks shared it, they did it on
    this machine, so what one rank alone would take is the time that passed, times the ranks, but
    not times more than there are cores. A piece is taken to last as long on the cluster as here.

    Args:
        job: As kedro-azureml translates the pipeline.
        place: Where it was rehearsed.
        planning: Which steps have pieces.
        parameters: Of the pipeline.
        said: In place of what was measured.

    Raises:
        ValueError: A step was not rehearsed, or there is no such step; says what to do.
    """
    _refuse_unknown_steps(job, planning, said)
    records = Journal.read(place.run(job.name) / "job.json").steps
    _refuse_missing(job, records, said)
    metrics = _metrics(place, job.name)
    needs = job.needs()
    steps = []
    changed = []
    what = {}
    for step in job.steps:
        record = records.get(step.name)
        if record and step.name not in said.seconds and record.fingerprint != fingerprint(step):
            changed.append(step.name)
        pieces = planning.pieces.get(step.name) if step.mpi else None
        known = _rehearsed_pieces(pieces, parameters, metrics) if pieces else None
        rehearsed = known or (step.ranks if step.mpi else 1)
        if pieces and (known or step.name in said.pieces):
            what[step.name] = pieces.what
        steps.append(_work(step, sorted(needs[step.name]), record, rehearsed, pieces, said))
    spread = planning.spread.seconds
    spreading = tuple(replace(step, spread=spread) for step in steps)
    return Measured(spreading, tuple(_remarks(job, records, said, changed)), what)


def _work(
    step: Step,
    needs: list[str],
    record: StepRecord | None,
    rehearsed: int,
    pieces: Pieces | None,
    said: Said,
) -> StepWork:
    startup = (record.startup_s or 0.0) if record else 0.0
    wanted = said.pieces.get(step.name, rehearsed)
    if step.name in said.seconds:
        seconds = said.seconds[step.name]
    else:
        assert record is not None
        at_once = min(step.ranks, os.cpu_count() or 1)
        seconds = max(0.0, record.seconds - startup) * at_once * wanted / rehearsed
    return StepWork(
        name=step.name,
        cluster=step.compute,
        needs=tuple(needs),
        seconds=seconds,
        startup_s=startup,
        pieces=wanted,
        nodes=said.gangs.get(step.name) if step.mpi else 1,
        ranks=step.processes_per_instance if step.mpi else 1,
        keeps=bool(pieces and pieces.keeps),
    )


def _rehearsed_pieces(
    pieces: Pieces, parameters: Mapping[str, Any], metrics: Mapping[str, Any]
) -> int | None:
    """How many pieces the rehearsal had; None if nobody knows."""
    number: Any = None
    if pieces.parameter:
        number = parameters
        for part in pieces.parameter.split("."):
            number = number.get(part) if isinstance(number, Mapping) else None
    elif pieces.metric:
        number = metrics.get(pieces.metric)
    if not isinstance(number, int | float) or number <= 0:
        return None
    return math.ceil(number / pieces.each)


def _refuse_unknown_steps(job: Job, planning: Planning, said: Said) -> None:
    known = [step.name for step in job.steps]
    gangs = [step.name for step in job.steps if step.mpi]
    for option, names, allowed in (
        ("--seconds", said.seconds, known),
        ("--pieces", said.pieces, gangs),
        ("--gang", said.gangs, gangs),
    ):
        for name in names:
            if name not in allowed:
                among = f"there are {', '.join(allowed)}" if allowed else "there are none"
                kind = "step" if option == "--seconds" else "step that machines share"
                raise ValueError(f"{option} {name}=…: '{job.name}' has no such {kind}; {among}")


def _refuse_missing(job: Job, records: Mapping[str, StepRecord], said: Said) -> None:
    missing = [
        step.name
        for step in job.steps
        if step.name not in said.seconds
        and not ((record := records.get(step.name)) and record.state.is_done)
    ]
    if not missing:
        return
    which = "is no rehearsal" if len(missing) == len(job.steps) else "is no finished rehearsal"
    options = " ".join(f"--seconds {name}=…" for name in missing)
    raise ValueError(
        f"there {which} of '{job.name}' to take seconds from; run `kedro cloud rehearse -p "
        f"{job.name}`, or say them: {options}"
    )


def _metrics(place: Place, pipeline: str) -> dict[str, Any]:
    """What the rehearsal reported; empty if it did not."""
    try:
        text = (place.reports(pipeline) / "metrics.json").read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remarks(
    job: Job, records: Mapping[str, StepRecord], said: Said, changed: list[str]
) -> list[str]:
    taken = {
        step.name: records[step.name].seconds for step in job.steps if step.name not in said.seconds
    }
    told = []
    if taken:
        each = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in taken.items())
        told.append(f"rehearsed: {each}")
    if said.seconds:
        each = ", ".join(f"{name} {seconds:g} s" for name, seconds in said.seconds.items())
        told.append(f"said: {each}")
    if changed:
        told.append(
            f"told otherwise since the rehearsal: {', '.join(changed)}; rehearse again if that "
            "changes their time"
        )
    return told
