"""Fetched data must be the right data, whatever a mirror or the network does."""

import functools
import hashlib
import http.server
import threading

import pytest
import yaml

from quartet.downloads import Download, fetch
from support import ROOT

CONTENT = b"published data" * 1000
NAME = "train-images-idx3-ubyte.gz"


@pytest.fixture
def mirror(tmp_path):
    """A loopback server of a folder, and the folder."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def download(folder, *mirrors):
    return Download(
        folder=folder, mirrors=mirrors, sha256={NAME: hashlib.sha256(CONTENT).hexdigest()}
    )


def test_a_file_is_fetched_whole(tmp_path, mirror):
    folder, url = mirror
    (folder / NAME).write_bytes(CONTENT)
    (path,) = fetch(download(tmp_path / "here", url))
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_a_dead_or_wrong_mirror_is_passed_over(tmp_path, mirror):
    folder, url = mirror
    (folder / "right").mkdir()
    (folder / "wrong").mkdir()
    (folder / "right" / NAME).write_bytes(CONTENT)
    (folder / "wrong" / NAME).write_bytes(CONTENT[:-1] + b"!")
    mirrors = ("http://127.0.0.1:9", f"{url}/missing", f"{url}/wrong", f"{url}/right")
    (path,) = fetch(download(tmp_path / "here", *mirrors))
    assert path.read_bytes() == CONTENT


def test_a_wrong_file_never_appears_under_the_right_name(tmp_path, mirror):
    folder, url = mirror
    (folder / NAME).write_bytes(CONTENT[:100])
    with pytest.raises(OSError, match=rf"{NAME} could not be fetched .*checksum .*; put it into"):
        fetch(download(tmp_path / "here", url))
    assert list((tmp_path / "here").iterdir()) == []


def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(tmp_path, mirror):
    folder, url = mirror
    here = tmp_path / "here"
    here.mkdir()
    (here / NAME).write_bytes(CONTENT)
    assert fetch(download(here, url)) == [here / NAME]  # the mirror has nothing yet
    (here / NAME).write_bytes(CONTENT[:50])
    (folder / NAME).write_bytes(CONTENT)
    fetch(download(here, url))
    assert (here / NAME).read_bytes() == CONTENT


def test_the_published_checksums_are_those_of_the_real_mnist(real_mnist):
    entry = yaml.safe_load((ROOT / "conf/base/downloads.yml").read_text())["mnist"]
    for name, checksum in entry["sha256"].items():
        assert hashlib.sha256((real_mnist / name).read_bytes()).hexdigest() == checksum
    assert len(entry["sha256"]) == 4
