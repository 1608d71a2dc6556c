"""Each new video must be restyled once: none left out, none twice, whatever else happens."""

import json

import pytest
from fsspec.asyn import sync

from azure.trigger_world import World
from azure.watched import Clock, Watched
from quartet.azure.watching import Folder, Identity
from quartet.azure.watching.names import refusal

OTHER = "elsewhere:1:abc"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["folder", "container"])
def arrivals(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def watched(arrivals, work, clock):
    found = Watched.of(arrivals, work, clock)
    yield found
    found.watcher.kill()


def test_a_burst_is_capped_and_each_is_done_once(arrivals, work, clock):
    names = [f"{number:02d} slow.mp4" for number in range(7)]
    for name in names:
        arrivals.put(name)
    watched = Watched.of(arrivals, work, clock, most_at_once=3)
    states = watched.look()
    assert sorted(states.values()) == ["running"] * 3 + ["waiting"] * 4
    work.let_go()
    assert set(watched.finish().values()) == {"done"}
    assert work.began == work.ended == dict.fromkeys(names, 1)
    assert {arrivals.marker(name)["state"] for name in names} == {"done"}


def test_other_files_outputs_and_hidden_ones_are_not_videos(arrivals, work, clock):
    output = f"{arrivals.address}/restyled"
    for name in ("a.MP4", "sub/b.mov", "notes.txt", "c.mp4.part", ".d.mp4", ".e/f.mp4"):
        arrivals.put(name)
    arrivals.put("restyled/a_wave.mp4")
    assert set(Watched.of(arrivals, work, clock, (output,)).finish()) == {"a.MP4", "sub/b.mov"}
    assert set(work.began) == {"a.MP4", "sub/b.mov"}


def test_what_is_written_again_under_its_name_is_not_restyled_again(watched, arrivals, work, clock):
    arrivals.put("a.mp4")
    watched.finish()
    arrivals.put("a.mp4", b"another video")
    assert watched.finish() == {"a.mp4": "done"}
    assert Watched.of(arrivals, work, clock).finish() == {"a.mp4": "done"}
    assert work.began == {"a.mp4": 1}


def test_a_bad_video_is_left_alone_after_three_attempts_while_others_go_on(
    watched, arrivals, work, clock
):
    for name in ("a.mp4", "bad.mp4", "c.mp4"):
        arrivals.put(name)
    expected = {"a.mp4": "done", "bad.mp4": "poison", "c.mp4": "done"}
    assert watched.finish() == expected
    assert work.began == {"a.mp4": 1, "bad.mp4": 3, "c.mp4": 1}
    assert "bad.mp4: no video (log: " in watched.said("bad.mp4")
    marker = arrivals.marker("bad.mp4")
    assert (marker["state"], marker["attempts"]) == ("poison", 3)
    assert marker["reason"].startswith("bad.mp4: no video")
    assert Watched.of(arrivals, work, clock).finish() == expected
    assert work.began["bad.mp4"] == 3


def test_a_bad_video_rests_longer_after_each_failure(watched, arrivals, clock):
    arrivals.put("bad.mp4")
    watched.look()
    for rest in (10, 30):
        while not watched.watcher.tend():
            pass
        failed = clock.moment
        watched.watcher.look()
        assert watched.states() == {"bad.mp4": "failed"}
        clock.moment = failed
        clock.pass_seconds(rest - 1)
        watched.watcher.look()
        assert watched.states() == {"bad.mp4": "failed"}
        clock.pass_seconds(1)
        watched.watcher.look()
        assert watched.states() == {"bad.mp4": "running"}


def test_a_bad_video_that_is_replaced_is_tried_anew(watched, arrivals, work):
    arrivals.put("bad.mp4")
    watched.finish()
    arrivals.put("bad.mp4", b"another that is not better")
    assert watched.finish() == {"bad.mp4": "poison"}
    assert work.began == {"bad.mp4": 6}


def test_a_blob_counts_when_all_its_blocks_are_there(container, work, clock):
    watched = Watched.of(container, work, clock)
    client = container.blobs.service_client.get_blob_client("videos", "a.mp4")
    sync(container.blobs.loop, client.stage_block, "0001", b"half a ")
    assert watched.look() == {}
    sync(container.blobs.loop, client.commit_block_list, ["0001"])
    assert watched.finish() == {"a.mp4": "done"}


def test_a_blob_that_is_still_empty_waits(container, work, clock):
    watched = Watched.of(container, work, clock)
    container.put("a.mp4", b"")
    assert watched.finish() == {"a.mp4": "waiting"}
    container.put("a.mp4")
    assert watched.finish() == {"a.mp4": "done"}


def test_a_file_that_grows_waits(folder, work, clock):
    watched = Watched.of(folder, work, clock)
    folder.put("a.mp4", b"h")
    watched.watcher.look()
    for number in range(3):
        clock.pass_seconds(watched.settings.every)
        folder.put("a.mp4", b"half" * (number + 1))
        watched.watcher.look()
        assert watched.states() == {"a.mp4": "waiting"}
    assert work.began == {}
    assert watched.finish() == {"a.mp4": "done"}


def test_a_look_that_comes_soon_after_another_does_not_take_a_file_for_whole(folder, work, clock):
    watched = Watched.of(folder, work, clock)
    folder.put("a.mp4")
    watched.watcher.look()
    clock.pass_seconds(watched.settings.every / 2)
    watched.watcher.look()
    assert watched.states() == {"a.mp4": "waiting"}


def test_an_upload_that_has_stalled_waits(folder, work, clock):
    watched = Watched.of(folder, work, clock)
    with (folder.folder / "a.mp4").open("wb") as file:
        file.write(b"half")
        file.flush()
        assert watched.look() == {"a.mp4": "waiting"}
        assert watched.said("a.mp4") == "is open for writing"
    assert watched.finish() == {"a.mp4": "done"}


HOSTILE = (
    "it's.mp4",
    'a" && rm.mp4',
    "a\\b.mp4",
    "a\nb.mp4",
    "\x1b[2Ja.mp4",
    "${env:AZURE_STORAGE_CONNECTION_STRING}.mp4",
    "a\u2028b.mp4",
)
ODD = (
    "a, restyled_folder=b.mp4",
    "$(rm).mp4",
    "a;b.mp4",
    "-a.mp4",
    "Šumava – léto.mp4",
    "a*[1]?.mp4",
)


def test_hostile_names_are_never_handed_to_anything_and_odd_ones_are(watched, arrivals, work):
    kept = [name for name in HOSTILE if arrivals.blobs is None or name.isprintable()]
    for name in (*kept, *ODD):
        arrivals.put(name)
    states = watched.finish()
    refused = {name for name, state in states.items() if state == "refused"}
    if arrivals.blobs is not None:  # blob storage takes a backslash for the end of a folder
        assert "a/b.mp4" in states
        refused.add("a\\b.mp4")
    assert refused == set(kept)
    assert set(ODD) <= set(work.began)
    assert not refused & set(work.began)


@pytest.mark.parametrize("name", ["a/../b.mp4", "./a.mp4", "a//b.mp4", "/a.mp4", "a" * 899 + "é"])
def test_names_that_lead_elsewhere_or_are_too_long_are_refused(name):
    assert refusal(name)


def test_of_two_videos_with_one_result_the_first_is_restyled(watched, arrivals, work):
    arrivals.put("film.mov")
    watched.finish()
    arrivals.put("film.mp4")
    arrivals.put("sub/film.mp4")
    states = watched.finish()
    assert states == {"film.mov": "done", "film.mp4": "refused", "sub/film.mp4": "done"}
    assert watched.said("film.mp4").startswith("its result would replace that of film.mov")


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"state": "started", "by": "logic-app:08585", "until": None}, "elsewhere"),
        ({"state": "started", "by": "logic-app:08585"}, "elsewhere"),
        ({"state": "started", "by": OTHER, "until": "2026-11-21T22:30:00Z"}, "elsewhere"),
        ({"state": "started", "by": OTHER, "until": "2026-11-21T22:10:00Z"}, "done"),
        ({"state": "failed", "by": OTHER, "attempts": 1}, "done"),
        ({"state": "failed", "by": OTHER, "attempts": 3}, "poison"),
        ({"state": "poison", "by": "logic-app:08585", "attempts": 3, "reason": "no"}, "poison"),
        ({"state": "stopped", "by": OTHER}, "done"),
        ({"state": "stopped", "by": "logic-app:08585", "job": "video-1"}, "stopped"),
        ({"state": "unheard-of", "by": OTHER}, "refused"),
    ],
)
def test_what_others_have_marked_is_respected(watched, arrivals, work, fields, state):
    arrivals.put("a.mp4")
    arrivals.mark("a.mp4", **fields)
    assert watched.finish() == {"a.mp4": state}
    assert work.began == ({"a.mp4": 1} if state == "done" else {})


def test_the_logic_app_and_a_watcher_leave_one_another_what_they_have(container, work, clock):
    world = World()
    world.upload("app.mp4")
    world.run()
    container.put("app.mp4")
    container.mark("app.mp4", **world.marker("app.mp4"))
    container.put("watcher.mp4")
    assert Watched.of(container, work, clock).finish() == {"app.mp4": "done", "watcher.mp4": "done"}
    assert work.began == {"watcher.mp4": 1}
    world.blobs["/triggers/.started/videos/watcher.mp4.json"] = container.marker("watcher.mp4")
    world.upload("watcher.mp4", 2)
    world.run()
    assert len(world.started) == 1


@pytest.mark.parametrize("name", [*HOSTILE, *ODD])
def test_the_logic_app_refuses_the_same_names(name):
    world = World()
    world.upload(name)
    world.run()
    assert bool(world.started) is (refusal(name) is None)


def test_a_video_that_was_taken_over_is_worked_on_no_longer(watched, arrivals, work):
    arrivals.put("slow.mp4")
    watched.look()
    arrivals.mark("slow.mp4", state="started", by=OTHER, until="2026-11-21T23:00:00Z")
    work.let_go()
    while not watched.watcher.tend():
        pass
    assert watched.states() == {"slow.mp4": "elsewhere"}
    assert arrivals.marker("slow.mp4")["by"] == OTHER


def test_a_claim_is_renewed_while_the_work_goes_on(arrivals, work, clock):
    arrivals.put("slow.mp4")
    watched = Watched.of(arrivals, work, clock, hold=0.03)
    watched.look()
    first = arrivals.marker("slow.mp4")["until"]
    clock.pass_seconds(60)
    while arrivals.marker("slow.mp4")["until"] == first:
        watched.watcher.tend()
    assert arrivals.marker("slow.mp4")["state"] == "started"
    watched.watcher.kill()


def test_of_two_who_look_at_the_same_moment_one_gets_the_video(arrivals):
    """All that may happen between a look and a claim has happened here."""
    from quartet.azure.watching.markers import Marker

    first, second = arrivals.place().markers, arrivals.place().markers
    one, other = (
        Marker.read(json.dumps({"video": "a", "state": "started", "by": by,
                                "since": "2026-11-21T22:14:03Z"}).encode())
        for by in ("one", "other")
    )  # fmt: skip
    tag = first.create("sub/a.mp4", one)
    assert tag
    assert second.create("sub/a.mp4", other) is None
    later = second.replace("sub/a.mp4", other, tag)
    assert later
    assert first.replace("sub/a.mp4", one, tag) is None
    assert first.read(["sub/a.mp4", "b.mp4"]) == {"sub/a.mp4": (other, later)}
    assert first.tags() == {"sub/a.mp4": later}
    assert second.remove("sub/a.mp4")
    assert not first.remove("sub/a.mp4")
    assert first.replace("sub/a.mp4", one, later) is None


def test_a_claim_whose_answer_was_lost_is_ones_own(container):
    """The request is sent again, and then meets what the first one wrote."""
    from quartet.azure.watching.markers import Marker

    markers = container.place().markers
    text = '{"video": "a", "state": "started", "by": "me", "since": "2026-11-21T22:14:03Z"}'
    marker = Marker.read(text.encode())
    assert markers.create("a.mp4", marker) == markers.create("a.mp4", marker)


def test_what_kills_all_who_work_on_it_is_left_alone(arrivals, work, clock):
    arrivals.put("a.mp4")
    dead = Identity(process=2**22 + 1)
    arrivals.mark("a.mp4", state="started", by=str(dead), until="2026-11-21T23:00:00Z",
                  interruptions=4)  # fmt: skip
    watched = Watched.of(arrivals, work, clock)
    assert watched.finish() == {"a.mp4": "poison"}
    assert work.began == {}
    assert "5 times" in arrivals.marker("a.mp4")["reason"]


def test_a_video_whose_watcher_died_after_the_work_was_done_is_not_done_again(folder, work, clock):
    folder.put("a.mp4")
    first = Watched.of(folder, work, clock)
    first.look()
    while not list((work.folder / "work").glob("*/ended")):
        pass
    dead = Identity(process=2**22 + 1)
    marker = {**folder.marker("a.mp4"), "by": str(dead)}
    folder.mark("a.mp4", **marker)
    assert Watched.of(folder, work, clock).finish() == {"a.mp4": "done"}
    assert work.began == {"a.mp4": 1}
    first.watcher.kill()


def test_a_start_that_is_not_possible_is_no_fault_of_the_video(folder, work, clock, monkeypatch):
    folder.put("a.mp4")
    watched = Watched.of(folder, work, clock)
    with monkeypatch.context() as patch:
        patch.setattr("subprocess.Popen", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            watched.look()
    assert folder.marker("a.mp4")["state"] == "stopped"
    assert watched.finish() == {"a.mp4": "done"}
    assert folder.marker("a.mp4")["attempts"] == 0


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere: no such folder; make it"):
        Folder(tmp_path / "nowhere", (".mp4",)).require()
