"""Azurite, Microsoft's emulator of blob storage, on this machine for as long as it is needed."""

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

if TYPE_CHECKING:
    from kedro_cloud.blobs.file_system import BlobFileSystem

PROGRAM_VARIABLE = "KEDRO_CLOUD_AZURITE"
_PROGRAM = "azurite-blob"
_INSTALLED = tuple(
    environment / "azurite/node_modules/.bin"
    for environment in (Path(sys.prefix), Path(__file__).parents[3] / ".venv")
)
"""Where `make azurite` puts it; the first also serves copies of the project."""
_WATCHED = 'exec 3<&0; "$0" "$@" & program=$!; { read _ <&3; kill $program; } & wait $program'
"""Of the shell: ends the program when its input does, so that it never outlives whoever started it,
not even one that is killed, and holds no folder then."""
_START_SECONDS = 120  # Node.js reads 180 MB of modules; on a busy machine that takes its time
_STOP_SECONDS = 10
_OPTIONS = ("--disableTelemetry", "--skipApiVersionCheck", "--silent")
"""The SDK may speak a newer version of the protocol than the emulator knows of; it answers all."""


@dataclass(frozen=True)
class Azurite:
    """A storage account that lives on this machine.

    Attributes:
        port: Of 127.0.0.1.
        connection_string: For AZURE_STORAGE_CONNECTION_STRING.
    """

    port: int
    connection_string: str = field(repr=False)

    def filesystem(self) -> BlobFileSystem:
        """Its blobs, as the project's datasets see them."""
        from kedro_cloud.blobs.file_system import BlobFileSystem

        filesystem: BlobFileSystem = BlobFileSystem(connection_string=self.connection_string)
        return filesystem

    def make_containers(self, *names: str) -> None:
        """Make the containers that are not there yet; a name has three characters or more."""
        filesystem = self.filesystem()
        for name in names:
            filesystem.mkdir(name)


@contextmanager
def running(folder: Path | None = None) -> Generator[Azurite]:
    """An emulator of one's own, stopped when the block ends.

    Args:
        folder: Keeps the blobs, and the account's name and key, from one time to the next;
            made if need be. Without it they are in memory, and gone in the end.

    Raises:
        OSError: Azurite is not installed, did not start, or another one uses the folder.
    """
    program = _program()
    with ExitStack() as stack:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_sole_user_of(folder))
        account, key = _account(folder)
        log = stack.enter_context(tempfile.TemporaryFile("w+"))
        port, process = _started(program, folder, f"{account}:{key}", log)
        stack.callback(_stop, process)
        yield Azurite(port, _connection_string(account, key, port))


def _program() -> str:
    """The path of the emulator.

    Raises:
        OSError: It is nowhere.
    """
    named = os.environ.get(PROGRAM_VARIABLE)
    for candidate in (named, *(str(place / _PROGRAM) for place in _INSTALLED), _PROGRAM):
        if candidate and (found := shutil.which(candidate)):
            return found
    raise OSError(
        "Azurite, the emulator of blob storage, is not here: run `make azurite` (it needs "
        f"Node.js), or name the program {_PROGRAM} in {PROGRAM_VARIABLE}"
    )


def _account(folder: Path | None) -> tuple[str, str]:
    """Name and key; new ones in memory, so that no client finds the blobs of another by chance."""
    kept = None if folder is None else folder / "account.json"
    if kept is not None and kept.exists():
        account = json.loads(kept.read_text(encoding="utf-8"))
        return account["name"], account["key"]
    name = f"azurite{secrets.token_hex(6)}"
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    if kept is not None:
        kept.write_text(json.dumps({"name": name, "key": key}), encoding="utf-8")
    return name, key


def _connection_string(account: str, key: str, port: int) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{account};"
    )


@contextmanager
def _sole_user_of(folder: Path) -> Generator[None]:
    """Hold a folder's lock, which ends with this process however that ends."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(
                f"{folder}: another Azurite uses this folder; wait until it has ended, or choose "
                "another folder"
            ) from error
        yield


def _started(
    program: str, folder: Path | None, account: str, log: IO[str]
) -> tuple[int, subprocess.Popen[str]]:
    """Port and process, once it answers; started anew if another program took the port first."""
    watched = ["sh", "-c", _WATCHED, program]
    place = ["--inMemoryPersistence"] if folder is None else ["--location", str(folder)]
    for _ in range(3):
        port = _free_port()
        process = subprocess.Popen(
            [*watched, "--blobHost", "127.0.0.1", "--blobPort", str(port), *place, *_OPTIONS],
            env={**os.environ, "AZURITE_ACCOUNTS": account},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            if _answers(process, port):
                return port, process
        except BaseException:
            _stop(process)
            raise
        _stop(process)
    log.seek(0)
    said = " ".join(log.read().split())[-300:] or "it said nothing"
    raise OSError(f"{program} did not start: {said}")


def _answers(process: subprocess.Popen[str], port: int) -> bool:
    """Wait until it answers; False if it ends, or does not within its time."""
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[str]) -> None:
    """End the process in order, so that it writes what it keeps, and in the end by force."""
    assert process.stdin is not None
    process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
