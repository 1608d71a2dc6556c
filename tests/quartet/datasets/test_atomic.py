"""A run that fails while writing leaves the previous output unchanged."""

import os
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

import quartet.settings  # noqa: F401  registers the file system, as Kedro does on start-up
from quartet.datasets.atomic import AtomicLocalFileSystem

FILES = AtomicLocalFileSystem(auto_mkdir=True)


def test_project_registers_the_file_system():
    assert isinstance(fsspec.filesystem("file"), AtomicLocalFileSystem)


@pytest.mark.parametrize(("mode", "content"), [("wb", b"\x00\xff"), ("w", "grüße\n")])
def test_file_appears_when_it_is_closed(tmp_path, mode, content):
    path = tmp_path / "new folder" / "file"
    with FILES.open(str(path), mode) as file:
        file.write(content)
        assert not path.exists()
    expected = content if isinstance(content, bytes) else content.encode()
    assert path.read_bytes() == expected
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("mode", "content"), [("wb", b"half"), ("w", "half")])
def test_exception_while_writing_keeps_the_old_file(tmp_path, mode, content):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), FILES.open(str(path), mode) as file:
        file.write(content)
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_written_in_an_exception_handler_is_saved(tmp_path):
    path = tmp_path / "report"
    try:
        raise KeyError
    except KeyError:
        with FILES.open(str(path), "w") as file:
            file.write("what went wrong")
    assert path.read_text() == "what went wrong"


def test_two_writers_of_a_file_do_not_interfere(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(RuntimeError), FILES.open(str(path), "wb") as failing:
        failing.write(b"half")
        with FILES.open(str(path), "wb") as other:
            other.write(b"complete")
        assert path.read_bytes() == b"complete"
        raise RuntimeError
    assert path.read_bytes() == b"complete"
    assert list(tmp_path.iterdir()) == [path]


def test_killed_process_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    code = (
        "import os; from quartet.datasets.atomic import AtomicLocalFileSystem as F\n"
        f"file = F().open({str(path)!r}, 'wb'); file.write(b'half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert path.read_text() == "old"


@pytest.mark.parametrize(("mode", "content"), [("w", "'too long' * 99"), ("wb", "bytes(999)")])
def test_full_disk_keeps_the_old_file(tmp_path, mode, content):
    path = tmp_path / "file"
    path.write_text("old")
    code = (
        "import resource; from quartet.datasets.atomic import AtomicLocalFileSystem as F\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        f"with F().open({str(path)!r}, {mode!r}) as file: file.write({content})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "File too large" in result.stderr
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_large_writes_are_complete(tmp_path):
    data = os.urandom(1 << 22)
    with FILES.open(str(tmp_path / "large"), "wb") as file:
        file.write(memoryview(data))
    assert (tmp_path / "large").read_bytes() == data


def test_reading_and_appending(tmp_path):
    path = tmp_path / "log"
    path.write_text("a")
    with FILES.open(str(path), "ab") as file:
        file.write(b"b")
    with FILES.open(str(path), "rb") as file:
        assert file.read() == b"ab"


def test_exclusive_creation_of_an_existing_file_raises(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(FileExistsError):
        FILES.open(str(path), "xb")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk_is_reported_with_the_file(tmp_path):
    target = tmp_path / "report.csv"
    with (
        pytest.raises(OSError, match="No space left") as raised,
        AtomicLocalFileSystem().open(str(target), "wb") as file,
        Path("/dev/full").open("wb") as full,
    ):
        os.dup2(full.fileno(), file.fileno())
        file.write(b"x" * 100_000)
    assert raised.value.filename == str(target)
    assert not list(tmp_path.iterdir())
