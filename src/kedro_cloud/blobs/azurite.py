"""Run Azurite, Microsoft's emulator of blob storage, on this machine."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PROGRAM_VARIABLE = "KEDRO_CLOUD_AZURITE"
_PROGRAM = "azurite-blob"
_INSTALLED = tuple(
    environment / "azurite/node_modules/.bin"
    for environment in (Path(sys.prefix), Path(__file__).parents[3] / ".venv")
)
"""Where `make azurite` installs it: the running interpreter's environment, which copies of the
project share, or that of this clone."""
_SUPERVISED = 'exec 3<&0; "$0" "$@" & program=$!; { read _ <&3; kill $program; } & wait $program'
"""Shell script that ends the program when its standard input closes: the emulator never outlives
the process that started it, even if that is killed."""
_START_SECONDS = 120  # Node.js reads 180 MB of modules, which is slow on a busy machine
_STOP_SECONDS = 10
_OPTIONS = (
    *("--blobHost", "127.0.0.1", "--blobPort", "0", "--disableTelemetry", "--silent"),
    "--skipApiVersionCheck",  # the SDK may use a newer version than the emulator knows
)


@contextmanager
def running(folder: Path | None = None) -> Generator[str]:
    """Start an emulator, yield its connection string, and stop it when the block ends.

    Args:
        folder: Folder that stores the blobs and the name and key of the account, created if it does
            not exist; only one emulator may use it at a time. If None, they are kept in memory and
            lost at the end.

    Raises:
        OSError: Azurite is not installed, or did not start.
    """
    program = _find_program()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    account, key = _load_account(folder)
    storage = ["--inMemoryPersistence"] if folder is None else ["--location", str(folder)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            ["sh", "-c", _SUPERVISED, program, *storage, *_OPTIONS],
            env={**os.environ, "AZURITE_ACCOUNTS": f"{account}:{key}"},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            address = _wait_for_address(process, log)
            yield (
                f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};"
                f"BlobEndpoint={address}/{account};"
            )
        finally:
            _stop(process)


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


def _wait_for_address(process: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    """Wait until Azurite listens, and return its address.

    Raises:
        OSError: It has ended, or does not listen in time.
    """
    deadline = time.monotonic() + _START_SECONDS
    while True:
        # First, so that the output below is complete if the process has ended.
        is_over = process.poll() is not None or time.monotonic() > deadline
        # Unlike `read`, this does not move the offset at which the process writes.
        output = os.pread(log.fileno(), 1 << 16, 0).decode(errors="replace")
        if found := re.search(r"listens on (http://127\.0\.0\.1:\d+)", output):
            return found[1]
        if is_over:
            output = " ".join(output.split())[-300:] or "it printed nothing"
            raise OSError(f"Azurite did not start: {output}; check {PROGRAM_VARIABLE}")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let the process write its data and exit; kill it if it does not do so in time."""
    assert process.stdin is not None
    process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
