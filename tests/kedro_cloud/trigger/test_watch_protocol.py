"""A file has one owner at a time, and its marker records how its run ended."""

from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kedro_cloud.trigger import protocol
from kedro_cloud.trigger.protocol import HOLD_SECONDS, Marker, evaluate_claim
from kedro_cloud.trigger.watch import Watcher
from watched import (
    ATTEMPTS,
    NOBODY,
    NOW,
    FakeClock,
    FakeStarter,
    MemoryLocation,
    Watched,
    states,
    watcher_id,
)

ME = "here:1:me"
LATER, EARLIER = NOW + timedelta(seconds=60), NOW - timedelta(seconds=60)


def marker(**fields):
    fields = {"by": "elsewhere:1:a", "version": "1", "attempts": 1, "series": "first", **fields}
    return Marker(file="a.mp4", since=EARLIER, **fields)


def evaluate(given, version="1"):
    return evaluate_claim(given, protocol.start_marker("a.mp4", version, NOW, ME), ATTEMPTS)


STARTED, FAILED, POISON, STOPPED, DONE = (
    {"state": state} for state in ("started", "failed", "poison", "stopped", "done")
)
TRANSITIONS = [
    # marker, version of the file now, claim state, attempts of the next marker
    (STARTED | {"until": LATER}, "1", "elsewhere", 1),
    (STARTED | {"until": None, "by": "logic-app:08585"}, "1", "elsewhere", 1),
    (STARTED | {"until": LATER}, "2", "elsewhere", 1),
    (STARTED | {"until": EARLIER}, "1", "waiting", 1),
    (STARTED | {"until": LATER, "by": f"here:{NOBODY}:a"}, "1", "waiting", 1),
    (STARTED | {"until": LATER, "by": f"there:{NOBODY}:a"}, "1", "elsewhere", 1),
    (STARTED | {"until": LATER, "by": "here:1:another"}, "1", "waiting", 1),  # PID of ME
    (STARTED | {"until": LATER, "by": ME}, "1", "elsewhere", 1),
    (STARTED | {"until": EARLIER, "interruptions": 3}, "1", "waiting", 1),
    (STARTED | {"until": EARLIER, "interruptions": 4}, "1", "poison", 1),
    (STARTED | {"until": EARLIER, "interruptions": 4, "job": "j"}, "1", "waiting", 1),
    (FAILED | {"until": LATER}, "1", "failed", 1),
    (FAILED | {"until": LATER}, "2", "waiting", 0),
    (FAILED | {"until": EARLIER}, "1", "waiting", 1),
    (FAILED | {"until": None, "version": None}, "1", "waiting", 1),
    (FAILED | {"until": EARLIER, "attempts": 3}, "1", "poison", 3),
    (POISON, "1", "poison", 1),
    (POISON, "2", "waiting", 0),
    (POISON | {"version": None}, "2", "poison", 1),
    (STOPPED, "1", "waiting", 1),
    (STOPPED | {"job": "video-1"}, "1", "stopped", 1),
    (DONE, "1", "done", 1),
    (DONE, "2", "done", 1),
]


@pytest.mark.parametrize(("fields", "version", "state", "attempts"), TRANSITIONS)
def test_a_marker_determines_the_state_of_a_claim(fields, version, state, attempts):
    found, claim = evaluate(marker(**fields), version)
    assert (found, claim.attempts) == (state, attempts)


def test_series_distinguishes_a_first_claim_from_a_retry_and_the_job_continues():
    state, first = evaluate(None)
    assert (state, first.attempts, first.interruptions, first.job) == (
        "waiting", 0, 0, None
    )  # fmt: skip
    assert (first.by, first.until) == (ME, NOW + timedelta(seconds=HOLD_SECONDS))
    _, retry = evaluate(marker(**FAILED))
    assert (retry.series, retry.job) == ("first", None)
    _, resumed = evaluate(marker(**STARTED, until=EARLIER, job="j"))
    assert (resumed.series, resumed.job, resumed.interruptions) == ("first", "j", 0)
    _, interrupted = evaluate(marker(**STARTED, until=EARLIER))
    assert interrupted.interruptions == 1


def test_the_backoff_triples_and_the_last_failure_is_poison():
    ended, rests = marker(**STARTED, attempts=0, job="j"), []
    failed = protocol.Outcome("failed", "no video")
    for _ in range(ATTEMPTS):
        ended = protocol.end_marker(ended, failed, NOW, ATTEMPTS, 10)
        rests.append(ended.until and (ended.until - NOW).total_seconds())
        assert (ended.reason, ended.job) == ("no video", None)
    assert rests == [10, 30, None]
    assert (ended.state, ended.attempts) == ("poison", ATTEMPTS)


def test_a_marker_keeps_unknown_fields_and_times_to_the_second():
    text = b'{"file": "a", "state": "done", "by": "me", "since": "2026-11-21T22:14:03.5Z", "x": 1}'
    found = Marker.from_bytes(text)
    assert found is not None
    assert b'"since": "2026-11-21T22:14:03Z"' in found.to_bytes()
    assert b'"file": "a"' in found.to_bytes()
    assert b'"x": 1' in found.to_bytes()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"file": "a", "state": "unheard-of"}'])
def test_invalid_content_is_not_a_marker(content):
    assert Marker.from_bytes(content) is None


NAMES = st.sampled_from(["a.mp4", "b.mp4", "c.mp4", "d.mp4"])
MACHINES = st.integers(0, 2)


class Watchers(RuleBasedStateMachine):
    """Three machines watch one location; any watcher may crash, stop or be slow."""

    def __init__(self):
        super().__init__()
        self.clock, self.location = FakeClock(), MemoryLocation()
        self.works = [FakeStarter() for _ in range(3)]
        self.pids = iter(range(NOBODY, NOBODY + 10_000))
        self.watchers = [self.new_watcher(machine) for machine in range(3)]
        self.outcomes = []

    def new_watcher(self, machine):
        self.works[machine] = FakeStarter()
        identity = watcher_id(f"machine{machine}", next(self.pids))
        starter = self.works[machine].starter
        return Watcher(self.location, starter, ATTEMPTS, 2, identity=identity, clock=self.clock)

    @rule(name=NAMES)
    def upload(self, name):
        self.location.put(f"slow {name}")

    @rule(machine=MACHINES)
    def scan(self, machine):
        self.watchers[machine].scan()

    @rule(machine=MACHINES, seconds=st.floats(0, 30))
    def pass_time(self, machine, seconds):
        self.clock.sleep(seconds)
        for watcher in self.watchers:  # each polls five times a second
            watcher.poll()

    @precondition(lambda self: self.active())
    @rule(data=st.data(), failed=st.booleans())
    def end_run(self, data, failed):
        machine, run = data.draw(st.sampled_from(self.active()))
        state = "failed" if failed else "done"
        run.end(state)
        self.watchers[machine].poll()
        self.outcomes.append((run.name, self.location.files[run.name].version, state))

    @rule(machine=MACHINES)
    def crash(self, machine):
        for run in self.works[machine].runs:
            run.kill()
        self.watchers[machine] = self.new_watcher(machine)

    @rule(machine=MACHINES)
    def stop(self, machine):
        self.watchers[machine].stop()
        self.watchers[machine] = self.new_watcher(machine)

    def active(self):
        return [
            (machine, run)
            for machine, work in enumerate(self.works)
            for run in work.runs
            if run.result is None and not run.killed
        ]

    @invariant()
    def no_file_has_two_runs(self):
        names = [run.name for _, run in self.active()]
        assert len(names) == len(set(names))

    @invariant()
    def no_machine_exceeds_its_maximum(self):
        for machine in range(3):
            assert sum(each == machine for each, _ in self.active()) <= 2

    @invariant()
    def no_file_is_done_twice(self):
        done = [name for name, _, state in self.outcomes if state == "done"]
        assert len(done) == len(set(done))

    @invariant()
    def no_version_fails_more_often_than_allowed(self):
        for outcome in self.outcomes:
            if outcome[2] == "failed":
                assert self.outcomes.count(outcome) <= ATTEMPTS

    def teardown(self):
        """Check that one remaining machine processes each file or marks it as poison."""
        for machine in (0, 1, 2):
            self.crash(machine)
        survivor = self.watchers[0]
        for _ in range(100):
            survivor.scan()
            for _, run in self.active():
                run.end()
            survivor.poll()
            self.clock.sleep(30)
        assert survivor.is_idle
        assert {str(file.state) for file in survivor.files} <= {"done", "poison"}
        exhausted = [file for file in survivor.files if file.state == "poison"]
        for file in exhausted:
            marker = self.location.marker(file.file.name)
            assert marker.attempts == ATTEMPTS or marker.interruptions == 5


TestWatchers = Watchers.TestCase
TestWatchers.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)


def test_a_watcher_that_claims_too_late_starts_nothing(monkeypatch):
    """Another watcher claims the file between the scan and the claim of this one."""
    watched = Watched()
    watched.location.put("slow.mp4")
    rival, slower = watched.watcher("rival"), watched.watcher("slower")
    write = MemoryLocation._write

    def write_late(location, name, content, tag):
        monkeypatch.setattr(MemoryLocation, "_write", write)
        rival.scan()
        return write(location, name, content, tag)

    monkeypatch.setattr(MemoryLocation, "_write", write_late)
    slower.scan()
    assert watched.work.started == {"slow.mp4": 1}
    assert watched.location.marker("slow.mp4").by.startswith("rival:")
    assert states(slower) == {"slow.mp4": "elsewhere"}
