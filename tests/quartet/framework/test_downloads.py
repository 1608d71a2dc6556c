"""Only files with the expected checksum are saved, whatever mirrors and the network do."""

import functools
import hashlib
import http.server
import threading

import pytest
import yaml
from pydantic import ValidationError

from quartet.framework.downloads import Download, fetch
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
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def download(folder, *mirrors):
    return Download(
        folder=folder, mirrors=mirrors, sha256={NAME: hashlib.sha256(CONTENT).hexdigest()}
    )


def test_unreachable_or_wrong_mirror_is_skipped(tmp_path, mirror):
    folder, url = mirror
    (folder / "right").mkdir()
    (folder / "wrong").mkdir()
    (folder / "right" / NAME).write_bytes(CONTENT)
    (folder / "wrong" / NAME).write_bytes(CONTENT[:-1] + b"!")
    mirrors = ("http://127.0.0.1:9", f"{url}/missing", f"{url}/wrong", f"{url}/right")
    (path,) = fetch(download(tmp_path / "here", *mirrors))
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def download_with_short_checksum(folder, *mirrors, digits=8):
    """A download with only the first digits of its checksum, saved under another name."""
    checksum = hashlib.sha256(CONTENT).hexdigest()[:digits]
    return Download(
        folder=folder, mirrors=mirrors, sha256={NAME: checksum}, kept_as={NAME: "images.gz"}
    )


@pytest.mark.parametrize(
    ("make", "advice"),
    [(download, "put it into"), (download_with_short_checksum, "put it as .*images")],
)
def test_file_with_wrong_checksum_is_not_saved(tmp_path, mirror, make, advice):
    folder, url = mirror
    (folder / NAME).write_bytes(CONTENT[:100])
    message = rf"{NAME}: download failed .*checksum .*; download it by hand and {advice}"
    with pytest.raises(OSError, match=message):
        fetch(make(tmp_path / "here", url))
    assert list((tmp_path / "here").iterdir()) == []


def test_only_missing_or_damaged_files_are_fetched(tmp_path, mirror):
    folder, url = mirror
    here = tmp_path / "here"
    here.mkdir()
    (here / NAME).write_bytes(CONTENT)
    assert fetch(download(here, url)) == [here / NAME]  # the mirror has nothing yet
    (here / NAME).write_bytes(CONTENT[:50])
    (folder / NAME).write_bytes(CONTENT)
    fetch(download(here, url))
    assert (here / NAME).read_bytes() == CONTENT


def test_checksum_prefix_and_another_file_name_are_accepted(tmp_path, mirror):
    folder, url = mirror
    (folder / NAME).write_bytes(CONTENT)
    here = tmp_path / "here"
    assert fetch(download_with_short_checksum(here, url)) == [here / "images.gz"]
    assert (here / "images.gz").read_bytes() == CONTENT
    assert list(here.iterdir()) == [here / "images.gz"]
    assert fetch(download_with_short_checksum(here, "http://127.0.0.1:9")) == [here / "images.gz"]


@pytest.mark.parametrize("folder", ["abfs://raw/mnist_original", "s3://raw"])
def test_remote_folder_is_rejected(folder):
    with pytest.raises(ValidationError, match=r"a local folder.*docs/azure\.md"):
        Download(folder=folder, mirrors=("x",), sha256={NAME: "0" * 8})


@pytest.mark.parametrize("checksum", ["", "d01eb7c", "d01eb7cg", "D01EB7CB", "0" * 65])
def test_invalid_checksum_is_rejected(tmp_path, checksum):
    with pytest.raises(ValidationError, match="should match pattern"):
        Download(folder=tmp_path, mirrors=("http://127.0.0.1:9",), sha256={NAME: checksum})


def test_kept_as_without_checksum_is_rejected(tmp_path):
    with pytest.raises(ValidationError, match="files without a checksum: vgg"):
        Download(folder=tmp_path, mirrors=("x",), sha256={NAME: "0" * 8}, kept_as={"vgg": "b"})


def test_downloads_are_saved_where_the_catalog_expects_them():
    entries = yaml.safe_load((ROOT / "conf/base/downloads.yml").read_text())
    downloads = {name: Download(**entry) for name, entry in entries.items()}
    vgg = downloads["vgg"]
    ((name, checksum),) = vgg.sha256.items()
    assert name == f"vgg19-{checksum}.pth"  # as PyTorch's hub names files
    catalog = yaml.safe_load((ROOT / "conf/base/style_training/catalog.yml").read_text())
    assert catalog["vgg_weights"]["filepath"].endswith(f",{vgg.folder}/{vgg.kept_as[name]}}}")


def test_configured_checksums_match_the_real_mnist(real_mnist):
    entry = yaml.safe_load((ROOT / "conf/base/downloads.yml").read_text())["mnist"]
    for name, checksum in entry["sha256"].items():
        assert hashlib.sha256((real_mnist / name).read_bytes()).hexdigest() == checksum
    assert len(entry["sha256"]) == 4


def test_files_of_a_folder_on_the_mirror_are_saved_in_that_folder(tmp_path, mirror):
    folder, url = mirror
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_bytes(CONTENT)
    checksums = {"1_Pooling/config.json": hashlib.sha256(CONTENT).hexdigest()}
    (path,) = fetch(Download(folder=tmp_path / "here", mirrors=(url,), sha256=checksums))
    assert path == tmp_path / "here" / "1_Pooling" / "config.json"
    assert path.read_bytes() == CONTENT
