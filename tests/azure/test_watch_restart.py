"""Whoever watches may be killed, stopped, or not be alone: no video is lost or restyled twice."""

import os
import signal
from pathlib import Path

import pytest

from azure.watched import start, wait_until
from quartet.azure.blob_errors import StorageError
from quartet.azure.watching import Request, Watcher, WatchSettings, watch


@pytest.fixture
def watchers():
    """Processes that do not outlive the test."""
    started = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def stand_ins(work):
    """Processes that work on videos."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                command = (path / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(work.folder) in command and "watched.py" not in command:
                found.append(int(path.name))
    return found


def test_after_a_power_cut_the_next_watcher_goes_on(container, work, watchers):
    for name in ("a.mp4", "b slow.mp4", "c slow.mp4", "d.mp4"):
        container.put(name)
    watchers.append(start(container, work))
    wait_until(lambda: len(work.began) == 3)
    watchers[0].kill()
    wait_until(lambda: not stand_ins(work))  # nobody works on for a watcher that is gone
    work.let_go()
    watchers.append(start(container, work))
    assert watchers[1].wait() == 0
    assert work.ended == dict.fromkeys(("a.mp4", "b slow.mp4", "c slow.mp4", "d.mp4"), 1)
    marker = container.marker("b slow.mp4")
    assert (marker["state"], marker["attempts"], marker["interruptions"]) == ("done", 0, 1)


def test_work_that_is_killed_is_one_failed_attempt(folder, work, watchers):
    folder.put("slow.mp4")
    watchers.append(start(folder, work))
    wait_until(lambda: work.began)
    for process in stand_ins(work):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: work.began["slow.mp4"] == 2)
    assert folder.marker("slow.mp4")["attempts"] == 1
    work.let_go()
    said, _ = watchers[0].communicate()
    assert work.ended == {"slow.mp4": 1}
    assert "ended by SIGKILL" in said


def test_who_is_asked_to_stop_leaves_the_rest_to_the_next(folder, work, watchers):
    for name in ("a slow.mp4", "b slow.mp4", "c slow.mp4"):
        folder.put(name)
    watchers.append(start(folder, work))
    wait_until(lambda: len(work.began) == 2)
    watchers[0].send_signal(signal.SIGINT)
    said, _ = watchers[0].communicate()
    assert watchers[0].returncode == 130
    assert said.count("goes on with the next watcher") == 2
    wait_until(lambda: not stand_ins(work))
    marker = folder.marker("a slow.mp4")
    assert (marker["state"], marker["attempts"]) == ("stopped", 0)
    work.let_go()
    watchers.append(start(folder, work))
    watchers[1].communicate()
    assert work.ended == dict.fromkeys(("a slow.mp4", "b slow.mp4", "c slow.mp4"), 1)
    assert folder.marker("a slow.mp4")["interruptions"] == 0


@pytest.mark.parametrize("place", ["folder", "container"])
def test_two_who_watch_at_once_share_the_work(request, place, work, watchers):
    arrivals = request.getfixturevalue(place)
    names = [f"{number:02d} slow.mp4" for number in range(12)]
    for name in names:
        arrivals.put(name)
    watchers += [start(arrivals, work, "3"), start(arrivals, work, "3")]
    wait_until(lambda: len(work.began) == 6)  # three each: none has got one that the other has
    work.let_go()
    for watcher in watchers:
        watcher.communicate()
    assert work.began == work.ended == dict.fromkeys(names, 1)


def test_storage_that_is_gone_for_a_while_does_not_end_the_watch(folder, work, monkeypatch):
    folder.put("a.mp4")
    request, told = Request(), []

    def show(rows):
        request.made = any(row.state == "done" for row in rows)

    watcher = Watcher(folder.place(), work.commands(), WatchSettings(every=0.1), show)
    look, asked = watcher.look, []

    def sometimes():
        asked.append(len(asked))
        if len(asked) in (1, 2, 4):
            raise StorageError("abfs://videos: no answer")
        look()

    monkeypatch.setattr(watcher, "look", sometimes)
    watch(watcher, 0.1, False, request, told.append)
    assert told == ["abfs://videos: no answer"]  # once, however often it was asked
    assert work.ended == {"a.mp4": 1}


def test_storage_that_is_gone_ends_a_watch_that_is_to_end_and_frees_the_videos(
    folder, work, monkeypatch
):
    folder.put("slow.mp4")
    watcher = Watcher(folder.place(), work.commands(), WatchSettings(every=0.1), lambda rows: None)
    look = watcher.look

    def until_begun():
        if work.began:
            raise StorageError("abfs://videos: no answer")
        look()

    monkeypatch.setattr(watcher, "look", until_begun)
    with pytest.raises(StorageError):
        watch(watcher, 0.1, True, Request(), print)
    assert folder.marker("slow.mp4")["state"] == "stopped"
    wait_until(lambda: not stand_ins(work))
