"""Only one run at a time holds the claim on a job."""

import multiprocessing
import os
import re
import socket

import pytest
from sqlalchemy import text

from concurrent_runs import (
    alter,
    claim_repeatedly,
    confirm_in_process,
    publish_repeatedly,
    run_in_two_processes,
)
from kedro_cloud.core.variables import JOB
from quartet.datasets.sensor_store.tables import ClaimError, Cursor
from support import GUARD_S
from window_batches import (
    KEYS,
    batch,
    end,
    everything,
    fleet,
    rows,
    tables,
    windows,
)

pytest_plugins = ("mariadb",)

DEAD = 2**22 + 1  # above the largest process number of Linux


@pytest.fixture
def store(database_url):
    store = tables(database_url)
    store.make()
    yield store
    store.close()


def other_run(host="elsewhere", process=77):
    return f"{host}:{process}:{'f' * 32}"


def test_a_second_run_is_rejected_with_the_holder_of_the_claim(store):
    store.claim("scoring", minutes=60)
    alter(store, claimed_by=other_run(process=DEAD))  # here; nobody can know about elsewhere
    with pytest.raises(ValueError, match="scoring is claimed by another run") as error:
        store.claim("scoring", minutes=60)
    message = str(error.value)
    assert store.name in message
    assert f"process {DEAD} on elsewhere" in message
    assert len(re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", message)) == 2
    assert "--params window_scoring.take_over=true" in message
    assert store.claim("ingestion", minutes=60), "the other job is free"


def test_a_claim_ends_with_its_block_even_if_that_fails(store):
    with pytest.raises(RuntimeError), store.hold_claim("scoring", minutes=60):
        raise RuntimeError
    with store._database.engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM sensor_jobs WHERE name = 'scoring'")).one()
    assert set(row[1:]) == {None}


@pytest.mark.parametrize(
    "why",
    [
        {"claim_expires": "2020-01-01 00:00:00"},
        {"claimed_by": other_run(socket.gethostname(), DEAD)},
        {"claimed_by": other_run(socket.gethostname(), os.getpid())},
    ],
    ids=["expired", "dead process", "this process"],
)
def test_an_abandoned_claim_is_replaced(store, why):
    store.claim("scoring", minutes=60)
    alter(store, **{"claimed_by": other_run(), **why})
    with store.hold_claim("scoring", minutes=60) as token:
        store.confirm("scoring", token)


@pytest.mark.parametrize("asks", [None, "another-job"])
def test_a_job_keeps_its_claim_between_two_of_its_steps(store, asks, monkeypatch):
    """Each step is a process that has ended before the next one begins."""
    monkeypatch.setenv(JOB, "one-job")
    token = claim_elsewhere(store)
    monkeypatch.delenv(JOB) if asks is None else monkeypatch.setenv(JOB, asks)
    with pytest.raises(ClaimError, match=rf"process \d+ on {socket.gethostname()} in job one-job"):
        store.claim("scoring", minutes=60)
    monkeypatch.setenv(JOB, "one-job")
    store.confirm("scoring", token)
    monkeypatch.setenv(JOB, "another-job")
    with pytest.raises(ClaimError, match="in job one-job"):
        store.claim("scoring", minutes=60)
    alter(store, claim_expires="2020-01-01 00:00:00")
    assert store.claim("scoring", minutes=60)


def test_a_step_that_is_tried_again_gets_the_claim_of_its_job(store, monkeypatch):
    """Also on another machine, as low-priority nodes may be preempted."""
    monkeypatch.setenv(JOB, "one-job")
    claim_elsewhere(store)
    monkeypatch.setattr(socket, "gethostname", lambda: "another-node")
    assert store.claim("scoring", minutes=60)


def claim_elsewhere(store):
    """Return the token of a claim by an ended process of the same job."""
    token = store.claim("scoring", minutes=60)
    with store._database.engine.connect() as connection:
        query = text("SELECT claimed_by FROM sensor_jobs WHERE name = 'scoring'")
        holder = connection.execute(query).scalar()
    alter(store, claimed_by=holder.replace(f":{os.getpid()}:", f":{DEAD}:"))
    return token


def test_the_claim_of_a_live_process_of_this_machine_is_kept(store):
    store.claim("scoring", minutes=60)
    alter(store, claimed_by=other_run(socket.gethostname(), os.getppid()))
    with pytest.raises(ClaimError, match=f"process {os.getppid()} on"):
        store.claim("scoring", minutes=60)


def test_a_run_that_lost_its_claim_cannot_write(store):
    known = fleet(1, 2, [5])
    store.publish(batch(windows(known)))
    tokens = {job: store.claim(job, minutes=60) for job in ("ingestion", "scoring")}
    for job in tokens:
        store.claim(job, minutes=60, take_over=True)
    before = everything(store)
    scored = windows(known)[KEYS]
    found = scored.assign(score=-1.0, threshold=0.0, model_version="1", revision=1)
    for attempt in (
        lambda: store.publish(batch(windows(known, seed=1), claim=tokens["ingestion"])),
        lambda: store.write_anomalies(scored, found, claim=tokens["scoring"]),
        lambda: store.move_cursor(tokens["scoring"], None, Cursor(1, end(5))),
        lambda: store.confirm("scoring", tokens["scoring"]),
    ):
        with pytest.raises(ClaimError, match="has lost its claim") as error:
            attempt()
        assert f"process {os.getpid()} on {socket.gethostname()}" in str(error.value)
    store.release("scoring", tokens["scoring"])  # not its own any more
    with pytest.raises(ClaimError, match="lost"):
        store.confirm("scoring", tokens["scoring"])
    assert everything(store) == before


def test_a_claim_passes_to_the_process_with_its_token(tmp_path):
    store = tables(f"sqlite:///{tmp_path / 'sensors.db'}")
    token = store.claim("scoring", minutes=60)
    alter(store, claimed_by=other_run().replace("f" * 32, token), claim_expires="2020-01-01")
    process = confirm_in_process(f"sqlite:///{tmp_path / 'sensors.db'}", token)
    with store._database.engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM sensor_jobs WHERE name = 'scoring'")).one()
    assert row.claimed_by == f"{socket.gethostname()}:{process}:{token}"
    assert str(row.claim_expires) > "2026"
    assert row.claim_seconds == 3600


def test_the_cursor_moves_only_from_where_the_run_found_it(store):
    first, second = Cursor(3, end(10)), Cursor(4, end(15))
    with store.hold_claim("scoring", minutes=60) as token:
        store.move_cursor(token, None, first)
        assert store.cursor("scoring") == first
        for before in (None, Cursor(2, end(10)), Cursor(3, end(5)), Cursor(3, None)):
            with pytest.raises(ClaimError, match="another run has moved it"):
                store.move_cursor(token, before, second)
        assert store.cursor("scoring") == first
        store.move_cursor(token, first, second)
    assert store.cursor("scoring") == second


def test_one_of_two_concurrent_claims_succeeds(database_url):
    outcomes = multiprocessing.get_context("spawn").Queue()
    run_in_two_processes(claim_repeatedly, database_url, outcomes, 8)
    results = [outcomes.get(timeout=GUARD_S) for _ in range(16)]
    for turn in range(8):
        assert sorted(won for when, won in results if when == turn) == [False, True]


def test_concurrent_ingestion_neither_loses_nor_duplicates_windows(database_url):
    run_in_two_processes(publish_repeatedly, database_url, 10, each=((0,), (1,)))
    store = tables(database_url)
    files = store.files()
    assert sorted(files["revision"]) == list(range(1, 21))
    assert len(store.quarantine()) == 20
    assert store.cursor("ingestion") == Cursor(20, end(9))
    held = rows(store.read_windows().drop(columns="revision"))
    expected = {}
    for number in range(2):
        for turn in range(10):
            keys = [*fleet(3, 5, range(5, 30, 5)), (f"own{number}", "s", 5 + 5 * turn)]
            expected |= rows(windows(keys, seed=1))
    assert held == expected
    store.close()
