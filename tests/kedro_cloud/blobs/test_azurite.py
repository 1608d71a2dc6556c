"""The emulator must keep its folder and leave no process behind."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from emulator import Azurite
from kedro_cloud.blobs import azurite as module
from kedro_cloud.blobs.azurite import running


def nothing_listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_folder_keeps_blobs_and_account_between_runs(azurite, tmp_path):
    folder = tmp_path / "cloud" / "blob"
    with running(folder) as connection_string:
        first = Azurite(connection_string)
        first.make_containers("raw")
        first.filesystem().pipe_file("raw/kept", b"1")
    assert nothing_listens(first.port)
    with running(folder) as connection_string:
        assert Azurite(connection_string).filesystem().cat_file("raw/kept") == b"1"


def test_two_emulators_do_not_see_each_others_blobs(azurite, blobs):
    blobs.pipe_file("raw/mine", b"1")
    with pytest.raises(KeyError), running() as connection_string:
        other = Azurite(connection_string)
        assert other.port != azurite.port
        assert other.filesystem().ls("") == []
        raise KeyError
    assert nothing_listens(other.port)
    assert blobs.cat_file("raw/mine") == b"1"


def test_the_emulator_ends_with_a_process_that_is_killed(azurite, tmp_path):
    code = (
        "import time; from pathlib import Path; from kedro_cloud.blobs.azurite import running\n"
        f"with running(Path({str(tmp_path)!r})) as it: print(it, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    port = Azurite(owner.stdout.readline()).port
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    with running(tmp_path) as connection_string:  # the folder is free again
        assert Azurite(connection_string).port != port
    assert nothing_listens(port)


def test_a_missing_or_broken_emulator_is_reported_in_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(module, "_INSTALLED", (Path("/nowhere"),))
    with pytest.raises(OSError, match="run `make azurite`"):
        running().__enter__()
    monkeypatch.setenv("KEDRO_CLOUD_AZURITE", "/bin/false")
    with pytest.raises(OSError, match="Azurite did not start: it printed nothing"):
        running().__enter__()
