"""Each new file is processed exactly once."""

from datetime import timedelta

import pytest

from kedro_cloud.blobs.errors import StorageError
from kedro_cloud.trigger.files import clear_markers
from trigger_world import World
from watched import NOBODY, NOW, MemoryLocation, Watched, message_of, states


@pytest.fixture
def watched():
    return Watched()


def watch_slow(watched, host="here"):
    """Return a watcher that runs slow.mp4."""
    watched.location.put("slow.mp4")
    watcher = watched.watcher(host)
    assert watched.settle(watcher) == {"slow.mp4": "running"}
    return watcher


def test_many_files_are_processed_oldest_first_with_a_maximum_of_parallel_runs(watched):
    names = [f"{number} slow.mp4" for number in range(7)]
    for name in names:
        watched.location.put(name)
    watcher = watched.watcher(max_concurrent_runs=3)
    found = watched.settle(watcher)
    assert [name for name, state in found.items() if state == "running"] == names[:3]
    assert {found[name] for name in names[3:]} == {"waiting"}
    while not watcher.is_idle:
        for run in watched.work.runs:
            run.end()
        watcher.poll()
        watcher.scan()
    assert watched.work.started == dict.fromkeys(names, 1)
    assert all(run.cleaned for run in watched.work.runs)
    assert {watched.location.marker(name).state for name in names} == {"done"}
    assert set(watched.finish().values()) == {"done"}
    assert watched.work.started == dict.fromkeys(names, 1)


def test_an_overwritten_file_stays_done(watched):
    watched.location.put("a.mp4")
    watcher = watched.watcher()
    watched.finish(watcher)
    watched.location.put("a.mp4")
    assert watched.finish(watcher) == watched.finish() == {"a.mp4": "done"}
    assert message_of(watcher, "a.mp4") == "a.mp4.out"
    assert watched.work.started == {"a.mp4": 1}


def test_a_failed_file_is_retried_after_its_backoff_or_when_it_is_replaced(watched):
    watched.location.put("bad.mp4")
    watcher = watched.watcher()
    watched.settle(watcher)
    watcher.poll()
    for _ in range(2):
        watcher.scan()
        assert states(watcher) == {"bad.mp4": "failed"}
        watched.clock.sleep(5)
    watcher.scan()
    assert states(watcher) == {"bad.mp4": "running"}
    watched.finish(watcher)
    watched.location.put("bad.mp4")
    assert watched.finish(watcher) == {"bad.mp4": "poison"}
    assert watched.work.started == {"bad.mp4": 6}


def test_an_error_on_starting_a_run_is_no_failed_attempt(watched):
    def fail(file, marker):
        raise OSError("full")

    watched.location.put("a.mp4")
    watcher = watched.watcher()
    object.__setattr__(watcher.starter, "start", fail)
    with pytest.raises(OSError, match="full"):
        watched.settle(watcher)
    assert watched.location.marker("a.mp4").state == "stopped"
    assert watched.finish() == {"a.mp4": "done"}
    assert watched.location.marker("a.mp4").attempts == 0


def test_an_empty_file_waits_but_once_ends(watched):
    watched.location.put("a.mp4", size=0)
    assert watched.finish() == {"a.mp4": "waiting"}
    watched.location.put("a.mp4")
    assert watched.finish() == {"a.mp4": "done"}


def test_a_file_whose_result_would_replace_another_is_refused(watched):
    watched.location.put("film.mov")
    watcher = watched.watcher()
    watched.finish(watcher)
    watched.location.put("film.mp4")
    watched.location.put("sub/film.mp4")
    expected = {"film.mov": "done", "film.mp4": "refused", "sub/film.mp4": "done"}
    assert watched.finish(watcher) == expected
    message = "its result would replace that of film.mov; rename it"
    assert message_of(watcher, "film.mp4") == message


def test_an_invalid_name_or_marker_is_refused(watched):
    watched.location.put("it's.mp4")
    watched.location.put("a.mp4")
    watched.location.mark("a.mp4", state="unheard-of")
    watcher = watched.watcher()
    assert watched.finish(watcher) == {"it's.mp4": "refused", "a.mp4": "refused"}
    assert message_of(watcher, "it's.mp4") == "its name has an apostrophe; rename it"
    message = "its marker cannot be read; remove memory/a.mp4.json"
    assert message_of(watcher, "a.mp4") == message
    assert not watched.work.runs


@pytest.mark.parametrize(
    ("fields", "state", "message"),
    [
        ({"state": "started", "by": "logic-app:08585"}, "elsewhere", "claimed by logic-app"),
        ({"state": "started", "by": "gpu1/402:7:abc", "until": "2026-11-21T22:30:00Z"},
         "elsewhere", "claimed by gpu1"),
        ({"state": "failed", "attempts": 1, "until": "2026-11-21T22:15:00Z", "reason": "no"},
         "failed", "again in 60 s: no"),
        ({"state": "poison", "attempts": 3, "reason": "no"}, "poison", "no"),
        ({"state": "stopped", "job": "video-1"}, "stopped", ""),
    ],
)  # fmt: skip
def test_markers_of_others_are_reported(watched, fields, state, message):
    watched.location.put("a.mp4")
    watched.location.mark("a.mp4", **fields)
    watcher = watched.watcher()
    watcher.scan()
    assert states(watcher) == {"a.mp4": state}
    assert message_of(watcher, "a.mp4") == message


def test_the_logic_app_and_a_watcher_respect_each_others_markers(watched):
    world = World()
    world.upload("app.mp4")
    world.run()
    watched.location.put("app.mp4")
    watched.location.mark("app.mp4", **world.marker("app.mp4"))
    watched.location.put("watcher.mp4")
    assert watched.finish() == {"app.mp4": "done", "watcher.mp4": "done"}
    assert watched.work.started == {"watcher.mp4": 1}
    path = "/triggers/.started/videos/watcher.mp4.json"
    marker = watched.location.marker("watcher.mp4").model_dump(mode="json", by_alias=True)
    world.blobs[path] = marker
    world.upload("watcher.mp4", 2)
    world.run()
    assert len(world.started) == 1


def test_a_claim_is_renewed_during_its_run(watched):
    watcher = watch_slow(watched)
    for _ in range(100):
        watched.clock.sleep(30)
        watcher.poll()
    assert watched.location.marker("slow.mp4").until > watched.clock.moment
    assert watched.settle(watched.watcher("other")) == {"slow.mp4": "elsewhere"}


@pytest.mark.parametrize("ends", [True, False], ids=["at its end", "at the renewal of its claim"])
def test_a_run_whose_file_was_taken_over_records_nothing(watched, ends):
    watcher = watch_slow(watched)
    watched.location.mark("slow.mp4", state="started", until="2026-11-21T23:00:00Z")
    if ends:
        watched.work.runs[0].end()
    watched.clock.sleep(60)
    watcher.poll()
    assert states(watcher) == {"slow.mp4": "elsewhere"}
    assert watched.work.runs[0].killed is not ends
    assert watched.location.marker("slow.mp4").by == "elsewhere:1:a"


def test_a_file_that_crashes_all_its_watchers_is_poison(watched):
    watched.location.put("a.mp4")
    watched.location.mark("a.mp4", state="started", by=f"here:{NOBODY}:a",
                          until="2026-11-21T23:00:00Z", interruptions=4)  # fmt: skip
    assert watched.finish(watched.watcher(max_concurrent_runs=0)) == {"a.mp4": "poison"}
    assert watched.location.marker("a.mp4").state == "started"  # a dry run records nothing
    assert watched.finish() == {"a.mp4": "poison"}
    assert not watched.work.runs
    reason = watched.location.marker("a.mp4").reason
    assert reason == "its watcher vanished without a result 5 times"


def test_the_job_of_a_vanished_watcher_is_followed(watched):
    watched.work.jobs = True
    watch_slow(watched, "first")
    assert watched.location.marker("slow.mp4").job == "job-0"
    second = watched.watcher("second")
    assert watched.settle(second) == {"slow.mp4": "elsewhere"}
    watched.clock.sleep(120)
    assert watched.settle(second) == {"slow.mp4": "running"}
    watched.work.runs[0].end()
    assert watched.finish(second) == {"slow.mp4": "done"}
    assert (len(watched.work.runs), watched.location.marker("slow.mp4").interruptions) == (1, 0)


@pytest.mark.parametrize("jobs", [False, True])
def test_a_stopped_watcher_releases_its_files(watched, jobs):
    watched.work.jobs = jobs
    first = watch_slow(watched, "first")
    first.stop()
    assert states(first) == {"slow.mp4": "stopped"}
    assert message_of(first, "slow.mp4") == "the next watcher continues"
    marker = watched.location.marker("slow.mp4")
    assert marker.state == ("started" if jobs else "stopped")
    assert (marker.attempts, marker.interruptions) == (0, 0)
    second = watched.watcher("second")
    second.scan()
    assert states(second) == {"slow.mp4": "running"}
    assert len(watched.work.runs) == 2 - jobs


def test_a_run_that_is_done_when_its_watcher_stops_is_recorded(watched):
    watched.location.put("a.mp4")
    watcher = watched.watcher()
    watched.settle(watcher)
    watcher.stop()
    assert watched.location.marker("a.mp4").state == "done"


def test_a_file_removed_during_its_run_is_still_reported(watched):
    watcher = watch_slow(watched)
    del watched.location.files["slow.mp4"]
    watcher.scan()
    assert states(watcher) == {"slow.mp4": "running"}


def test_only_markers_that_changed_are_read_again(watched, monkeypatch):
    for name in ("a.mp4", "b.mp4"):
        watched.location.put(name)
        watched.location.mark(name, state="done")
    watcher = watched.watcher()
    watcher.scan()
    read, _read = [], MemoryLocation._read
    monkeypatch.setattr(
        MemoryLocation, "_read", lambda self, path: read.append(path) or _read(self, path)
    )
    watched.location.mark("b.mp4", state="done")
    watcher.scan()
    assert read == [watched.location.locate_marker("b.mp4")]


def clear(watched, name):
    (line,) = clear_markers(watched.location, [name], "here:1:a", NOW)
    return line


@pytest.mark.parametrize("state", ["done", "failed", "poison", "stopped"])
def test_a_file_without_its_marker_is_processed_again_in_another_series(watched, state):
    watched.location.put("a.mp4")
    watched.location.mark("a.mp4", state=state, series="first", attempts=3)
    assert clear(watched, "a.mp4") == "a.mp4: marker removed; the file is processed again"
    assert watched.finish() == {"a.mp4": "done"}
    marker = watched.location.marker("a.mp4")
    assert (marker.series != "first", marker.attempts) == (True, 0)
    assert clear(watched, "b.mp4") == "b.mp4: no marker"


@pytest.mark.parametrize(
    ("until", "message"),
    [
        (NOW + timedelta(seconds=1), "a.mp4: claimed by elsewhere:1:a; stop it first"),
        (NOW, "a.mp4: job j may be running; watch until it has ended, then retry"),
    ],
)
def test_the_marker_of_a_file_that_may_be_running_is_kept(watched, until, message):
    """A second run would write the same result beside the first."""
    watched.location.mark("a.mp4", state="started", until=until.isoformat(), job="j")
    assert clear(watched, "a.mp4") == message
    assert watched.location.marker("a.mp4").job == "j"


def make_scans_fail(watcher, monkeypatch, calls):
    """Make the scans with these indices fail."""
    scan, numbers = watcher.scan, iter(range(1000))

    def sometimes():
        if next(numbers) in calls:
            raise StorageError("abfs://videos: no answer")
        scan()

    monkeypatch.setattr(watcher, "scan", sometimes)


def test_an_outage_of_storage_does_not_end_a_watcher(watched, monkeypatch):
    signals, reported = [], []
    watched.location.put("a.mp4")

    def observe(files):
        signals.extend(15 for file in files if file.state == "done")

    watcher = watched.watcher(observer=observe)
    make_scans_fail(watcher, monkeypatch, {0, 1, 3})
    watcher.run(False, signals, reported.append)
    assert [str(error) for error in reported] == ["abfs://videos: no answer"] * 2
    assert watched.location.marker("a.mp4").state == "done"


def test_an_outage_of_storage_ends_a_watcher_that_runs_once_and_releases_files(
    watched, monkeypatch
):
    watched.location.put("slow.mp4")
    watcher = watched.watcher()
    make_scans_fail(watcher, monkeypatch, {1})
    with pytest.raises(StorageError):
        watcher.run(True, (), print)
    assert watched.location.marker("slow.mp4").state == "stopped"
    watched.location.put("slow.mp4")
    assert watched.settle(watched.watcher("next")) == {"slow.mp4": "running"}


def test_runs_are_killed_when_their_watcher_fails(watched):
    def interrupt(files):
        if watched.work.runs:
            raise KeyboardInterrupt

    watched.location.put("slow.mp4")
    with pytest.raises(KeyboardInterrupt):
        watched.watcher(observer=interrupt).run(True, (), print)
    assert watched.work.runs[0].killed
