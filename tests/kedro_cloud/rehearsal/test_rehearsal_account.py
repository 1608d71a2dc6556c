"""Steps must find the data of a real account, and samples must not replace their outputs."""

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from kedro_cloud.rehearsal import account
from kedro_cloud.rehearsal.account import Storage, Upload, parse_folder


@pytest.fixture
def storage(azurite, blobs):
    storage = Storage(azurite.connection_string)
    storage.make_containers(["mine", "mine"])
    return storage


@pytest.fixture
def samples(tmp_path):
    folder = tmp_path / "samples"
    (folder / "deep/down").mkdir(parents=True)
    (folder / "deep/down/a.txt").write_text("7")
    (folder / "b.txt").write_text("8")
    (folder / ".hidden").write_text("")
    return Upload(folder, parse_folder("abfs://mine/here"), sample=True)


def test_uploaded_files_can_be_downloaded(storage, samples, tmp_path):
    assert storage.upload(samples) == (2, 2)
    assert storage.download(samples.target, tmp_path / "back") == 2
    assert (tmp_path / "back/deep/down/a.txt").read_text() == "7"
    assert (tmp_path / "back/b.txt").read_text() == "8"


def test_no_download_leaves_its_folder(storage, samples, tmp_path, monkeypatch):
    storage.upload(samples)
    names = dict.fromkeys(["here/b.txt", "here/../out.txt"])  # which Azurite's clients cannot write
    monkeypatch.setattr(account, "_list_blobs", lambda container, prefix: names)
    assert storage.download(samples.target, tmp_path / "back") == 1
    assert not (tmp_path / "out.txt").exists()


def test_only_new_and_changed_files_are_uploaded(storage, samples):
    storage.upload(samples)
    assert storage.upload(samples) == (0, 0)
    (samples.source / "b.txt").write_text("nine")
    assert storage.upload(samples) == (1, 4)


def test_an_upload_replaces_an_output_of_a_step_but_a_sample_does_not(storage, samples, blobs):
    storage.upload(samples)
    with blobs.open("mine/here/b.txt", "wb") as file:
        file.write(b"output of a step")
    assert storage.upload(samples) == (0, 0)
    assert blobs.cat("mine/here/b.txt") == b"output of a step"
    upload = replace(samples, sample=False)
    storage.upload(upload)
    assert blobs.cat("mine/here/b.txt") == b"8"
    assert storage.upload(upload) == (0, 0)


def test_a_single_file_keeps_its_name(storage, samples, blobs):
    storage.upload(Upload.parse(f"{samples.source}/b.txt=mine/films"))
    assert blobs.cat("mine/films/b.txt") == b"8"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("clips=mine", "mine"),
        ("clips=mine/a/b/", "mine/a/b"),
        ("clips=abfs://mine/a", "mine/a"),
    ],
)
def test_a_target_may_have_a_scheme(text, target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    assert Upload.parse(text) == Upload(tmp_path / "clips", PurePosixPath(target))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clips", "expected FOLDER=CONTAINER/PATH"),
        ("clips=", "expected FOLDER=CONTAINER/PATH"),
        ("nowhere=mine", "nowhere does not exist"),
        ("clips=a", "'a' is not an address in blob storage"),
        ("clips=My/films", "3 to 63 lower-case letters"),
    ],
)
def test_an_invalid_upload_is_rejected(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    with pytest.raises(ValueError, match=message):
        Upload.parse(text)
