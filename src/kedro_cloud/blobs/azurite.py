"""Run Azurite, Microsoft's emulator of blob storage, on this machine."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

PROGRAM_VARIABLE = "KEDRO_CLOUD_AZURITE"
_PROGRAM = "azurite-blob"
_INSTALLED = tuple(
    environment / "azurite/node_modules/.bin"
    for environment in (Path(sys.prefix), Path(__file__).parents[3] / ".venv")
)
"""Where `make azurite` installs it; the first also serves copies of the project."""
_SUPERVISED = 'exec 3<&0; "$0" "$@" & program=$!; { read _ <&3; kill $program; } & wait $program'
"""Shell script that ends the program when its standard input closes: the emulator never outlives
the process that started it, even if that is killed, and does not keep its folder locked."""
_START_SECONDS = 120  # Node.js reads 180 MB of modules, which is slow on a busy machine
_STOP_SECONDS = 10
_OPTIONS = ("--disableTelemetry", "--skipApiVersionCheck", "--silent")
"""The SDK may use a newer API version than the emulator knows, so it must not check the version."""


@contextmanager
def running(folder: Path | None = None) -> Generator[str]:
    """Start an emulator, yield its connection string, and stop it when the block ends.

    Args:
        folder: Folder that stores the blobs and the name and key of the account, created if it does
            not exist. If None, they are kept in memory and lost at the end.

    Raises:
        OSError: Azurite is not installed, did not start, or another one uses the folder.
    """
    program = _find_program()
    with ExitStack() as stack:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_locked(folder))
        account, key = _load_account(folder)
        log = stack.enter_context(tempfile.TemporaryFile("w+"))
        port, process = _start(program, folder, f"{account}:{key}", log)
        stack.callback(_stop, process)
        yield (
            f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{account};"
        )


def _find_program() -> str:
    """Return the path of the emulator.

    Raises:
        OSError: Azurite is not installed.
    """
    configured = os.environ.get(PROGRAM_VARIABLE)
    for candidate in (configured, *(str(folder / _PROGRAM) for folder in _INSTALLED), _PROGRAM):
        if candidate and (path := shutil.which(candidate)):
            return path
    raise OSError(
        "Azurite, the emulator of blob storage, is not installed: run `make azurite` (it "
        f"needs Node.js), or set {PROGRAM_VARIABLE} to the path of {_PROGRAM}"
    )


def _load_account(folder: Path | None) -> tuple[str, str]:
    """Return name and key of the folder's account, or random ones that no other client uses."""
    file = None if folder is None else folder / "account.json"
    if file is not None and file.exists():
        account = json.loads(file.read_text(encoding="utf-8"))
        return account["name"], account["key"]
    name = f"azurite{secrets.token_hex(6)}"
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    if file is not None:
        file.write_text(json.dumps({"name": name, "key": key}), encoding="utf-8")
    return name, key


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Lock a folder; the kernel releases the lock when this process ends, even if it is killed."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(
                f"{folder}: another Azurite uses this folder; wait until it has ended, or choose "
                "another folder"
            ) from error
        yield


def _start(
    program: str, folder: Path | None, account: str, log: IO[str]
) -> tuple[int, subprocess.Popen[str]]:
    """Return port and process once it answers; try again if another program took the port."""
    supervised = ["sh", "-c", _SUPERVISED, program]
    storage = ["--inMemoryPersistence"] if folder is None else ["--location", str(folder)]
    for _ in range(3):
        port = _find_free_port()
        process = subprocess.Popen(
            [*supervised, "--blobHost", "127.0.0.1", "--blobPort", str(port), *storage, *_OPTIONS],
            env={**os.environ, "AZURITE_ACCOUNTS": account},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            if _wait_until_ready(process, port):
                return port, process
        except BaseException:
            _stop(process)
            raise
        _stop(process)
    log.seek(0)
    output = " ".join(log.read().split())[-300:] or "it printed nothing"
    raise OSError(f"{program} did not start: {output}")


def _wait_until_ready(process: subprocess.Popen[str], port: int) -> bool:
    """Wait until Azurite answers; return False if it ends first or the time limit is reached."""
    opener = build_opener(ProxyHandler({}))
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            opener.open(f"http://127.0.0.1:{port}/", timeout=5).close()
        except HTTPError as error:
            return "azurite" in error.headers.get("Server", "").lower()
        except OSError:
            time.sleep(0.05)
    return False


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[str]) -> None:
    """Let the process write its data and exit; kill it if it does not do so in time."""
    assert process.stdin is not None
    process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
