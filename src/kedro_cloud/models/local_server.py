"""A deployed model's server on this machine, for a try."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from kedro_cloud.core.processes import sigterm_as_interrupt
from kedro_cloud.models import bundle

HOST = "127.0.0.1"
_PATIENCE_S = 300
"""Until a server that says nothing is given up."""
_LONGEST_SHOWN = 300
"""Characters of a request that are shown rather than read from a file."""


def check_port(port: int) -> None:
    """Raise if something listens there.

    Raises:
        ValueError: Names another port to try.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ValueError(
                f"port {port} of this machine cannot be had ({error.strerror}); "
                f"say another: --port {port + 1}"
            ) from error


@contextmanager
def served(model: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The server of the model in a folder, once it answers; stopped after.

    It runs as the image runs it: the code that a deployment sends along, and of the project what
    lies in the model's folder.

    Raises:
        ValueError: It ended, and said why on its standard error; or it does not answer.
    """
    with bundle.bundled() as code:
        process = subprocess.Popen(
            [sys.executable, "-m", bundle.MODULE],
            cwd=code,
            env={
                **os.environ,
                "KEDRO_CLOUD_MODEL_DIR": str(model.resolve()),
                "KEDRO_CLOUD_HOST": HOST,
                "KEDRO_CLOUD_PORT": str(port),
            },
        )
        try:
            _wait(process, f"http://{HOST}:{port}/ping")
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        if process.poll() is not None:
            raise ValueError(f"the server ended with exit code {process.returncode}: see above")
        with suppress(URLError, OSError), urlopen(address, timeout=5):
            return
        if time.monotonic() > deadline:
            raise ValueError(f"the server does not answer at {address} after {_PATIENCE_S} s")
        time.sleep(0.2)


def curl(model: Path, port: int) -> str:
    """A command that asks the server what the model was registered with."""
    example = next(iter(sorted(model.rglob(bundle.EXAMPLE))))
    text = example.read_text(encoding="utf-8").strip()
    body = text if len(text) <= _LONGEST_SHOWN else f"@{_from_here(example)}"
    return (
        f"curl -s -H 'Content-Type: application/json' -d {shlex.quote(body)} "
        f"http://{HOST}:{port}/invocations"
    )


def _from_here(path: Path) -> str:
    """A path as short as it can be told."""
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def serve(model: Path, port: int, tell: Callable[[str], None]) -> None:
    """Serve until Ctrl-C; tells the address and an example once the model answers.

    Raises:
        ValueError: The port is taken, or the server ends.
    """
    check_port(port)
    with suppress(KeyboardInterrupt), sigterm_as_interrupt(), served(model, port) as process:
        tell(f"answers at http://{HOST}:{port}/invocations; stop it with Ctrl-C. Try:")
        tell(curl(model, port))
        raise ValueError(f"the server ended with exit code {process.wait()}: see above")
