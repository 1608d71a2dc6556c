"""Folder and container list the same files, and one of two concurrent claims succeeds."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from fsspec.asyn import sync

from kedro_cloud.trigger import protocol
from kedro_cloud.trigger.locations import LocalFolder
from watched import NOW, Watched, message_of


@pytest.fixture(params=["folder", pytest.param("container", marks=pytest.mark.integration)])
def arrivals(request):
    return request.getfixturevalue(request.param)


def marker(by):
    return protocol.start_marker("a.mp4", "1", NOW, f"{by}:1:a")


def test_hidden_files_outputs_and_other_suffixes_are_ignored(arrivals):
    for name in (
        "a.MP4",
        "sub/b, [1]? é.mov",
        "notes.txt",
        ".d.mp4",
        ".e/f.mp4",
        "out/a.mp4",
        "c.mp4.part",
    ):
        arrivals.put(name)
    arrivals.put("outside.mp4", b"")
    found = {file.name: file for file in arrivals.location(f"{arrivals.address}/out").list_files()}
    assert set(found) == {"a.MP4", "sub/b, [1]? é.mov", "outside.mp4"}
    nested = found["sub/b, [1]? é.mov"]
    assert nested.address == f"{arrivals.address}/sub/b, [1]? é.mov"
    assert nested.size == 7
    arrivals.put("a.MP4", b"another")
    (changed,) = (file for file in arrivals.location().list_files() if file.name == "a.MP4")
    assert changed.version != found["a.MP4"].version
    assert changed.modified >= found["a.MP4"].modified


def test_one_of_two_concurrent_claims_succeeds(arrivals):
    first, second = arrivals.location(), arrivals.location()
    one, other = marker("one"), marker("other")
    tag = first.write_marker("sub/a.mp4", one, "")
    assert tag
    assert second.write_marker("sub/a.mp4", other, "") is None
    later = second.write_marker("sub/a.mp4", other, tag)
    assert later not in (None, tag)
    assert first.write_marker("sub/a.mp4", one, tag) is None
    read = first.read_markers(["sub/a.mp4", "b.mp4"])
    assert {name: found.by for name, found in read.items()} == {"sub/a.mp4": other.by}
    assert first.list_tags() == {"sub/a.mp4": later}
    assert [file.name for file in first.list_files()] == []
    for _ in range(2):
        second.remove_marker("sub/a.mp4")
    assert first.write_marker("sub/a.mp4", one, later) is None


def test_one_of_many_concurrent_claims_succeeds(arrivals):
    def claim(number):
        return arrivals.location().write_marker("a.mp4", marker(str(number)), "")

    with ThreadPoolExecutor(8) as pool:
        tags = list(filter(None, pool.map(claim, range(8))))
    assert tags == list(arrivals.location().list_tags().values())


def test_an_incomplete_marker_of_a_killed_watcher_is_ignored(folder):
    (folder.folder / ".started").mkdir()
    (folder.folder / ".started/.new").write_bytes(b'{"file": "a.mp4", "sta')
    folder.put("a.mp4")
    assert Watched(location=folder.location()).finish() == {"a.mp4": "done"}


def test_a_file_of_each_location_is_processed_once(arrivals):
    watched = Watched(location=arrivals.location())
    for name in ("a.mp4", "sub/bad.mp4"):
        arrivals.put(name)
    expected = {"a.mp4": "done", "sub/bad.mp4": "poison"}
    assert watched.finish() == watched.finish() == expected
    assert watched.work.started == {"a.mp4": 1, "sub/bad.mp4": 3}
    assert arrivals.marker("sub/bad.mp4")["reason"] == "sub/bad.mp4: no video"


@pytest.mark.parametrize("name", ["sub/a.mp4", "film #2, a*[1]?.mp4"])
def test_a_marker_has_the_path_that_the_logic_app_reads(container, name):
    container.put(name)
    watched = Watched(location=container.location())
    assert watched.finish() == {name: "done"}
    client = container.blobs.service_client.get_blob_client
    stored = client("triggers", f".started/videos/{name}.json")
    assert sync(container.blobs.loop, stored.exists)
    assert watched.location.locate_marker(name) == f"abfs://triggers/.started/videos/{name}.json"


def test_a_folder_of_a_container_is_watched_but_not_a_blob(container):
    for name in ("in/a.mp4", "out/b.mp4"):
        container.put(name)
    location, found = container.location(), []
    for folder in ("in", "in/a.mp4", "else"):
        location.address = f"abfs://videos/{folder}"
        found.append([file.name for file in location.list_files()])
    assert found == [["in/a.mp4"], [], []]


def test_a_claim_whose_response_was_lost_is_recognised(container):
    """The retry of the request finds the marker that the first one wrote."""
    location, claim = container.location(), marker("one")
    tag = location.write_marker("a.mp4", claim, "")
    assert location.write_marker("a.mp4", claim, "") == tag


def test_a_blob_is_listed_when_all_its_blocks_are_committed(container):
    client = container.blobs.service_client.get_blob_client("videos", "a.mp4")
    sync(container.blobs.loop, client.stage_block, "0001", b"half a ")
    assert container.location().list_files() == []
    sync(container.blobs.loop, client.commit_block_list, ["0001"])
    assert [file.name for file in container.location().list_files()] == ["a.mp4"]


def test_a_growing_file_waits(folder):
    watched = Watched(location=folder.location())
    watcher = watched.watcher()
    for number in range(3):
        folder.put("a.mp4", b"half" * (number + 1))
        watcher.scan()
        assert message_of(watcher, "a.mp4") == "may be incomplete"
        watched.clock.sleep(watcher.every / 2)
        watcher.scan()
        assert message_of(watcher, "a.mp4") == "may be incomplete"
        watched.clock.sleep(watcher.every / 2)
    assert not watched.work.runs
    assert watcher.is_idle  # a growing file does not delay the end of --once
    assert watched.finish(watcher) == {"a.mp4": "done"}


def test_a_removed_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        LocalFolder(str(tmp_path / "nowhere"), (".mp4",), ()).list_files()


def test_a_removed_container_is_an_error(container):
    container.clear()
    with pytest.raises(Exception, match=r"has no container 'videos'"):
        container.location().list_files()
    with pytest.raises(Exception, match=r"has no container 'triggers'"):
        container.location().list_tags()
    for name in ("videos", "triggers"):
        container.blobs.mkdir(name)
