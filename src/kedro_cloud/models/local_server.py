"""Serve a model on this machine, with the server of a deployment."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from kedro_cloud.core.ports import check_port
from kedro_cloud.core.processes import sigterm_as_interrupt
from kedro_cloud.models import bundle
from kedro_cloud.models.scoring import EXAMPLE

HOST = "127.0.0.1"
_START_TIMEOUT_S = 300
"""Maximum time for the server to start."""


@contextmanager
def start_server(model: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start the server of the model in a folder, yield it once it responds, stop it at the end.

    As on an endpoint, it has the code of a deployment, and only those modules of the project that
    the model's folder contains.

    Raises:
        ValueError: The server ended, with the reason on its standard error, or does not respond.
    """
    with bundle.copy_code() as code:
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
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        if process.poll() is not None:
            raise ValueError(_format_end(process.returncode))
        with suppress(URLError, OSError), urlopen(address, timeout=5):
            return
        if time.monotonic() > deadline:
            raise ValueError(f"the server did not respond at {address} within {_START_TIMEOUT_S} s")
        time.sleep(0.2)


def format_curl(model: Path, port: int) -> str:
    """Return a command that sends the model's input example to the server."""
    example = os.path.relpath(min(model.rglob(EXAMPLE)))
    return (
        f"curl -s -H 'Content-Type: application/json' -d {shlex.quote(f'@{example}')} "
        f"http://{HOST}:{port}/invocations"
    )


def serve(model: Path, port: int, echo: Callable[[str], None]) -> None:
    """Serve the model in a folder until Ctrl-C; print address and example once it responds.

    Raises:
        ValueError: The port is in use, or the server ended.
    """
    check_port(port)
    with suppress(KeyboardInterrupt), sigterm_as_interrupt(), start_server(model, port) as process:
        echo(f"Serving at http://{HOST}:{port}/invocations; stop it with Ctrl-C. Try:")
        echo(format_curl(model, port))
        raise ValueError(_format_end(process.wait()))


def _format_end(exit_code: int) -> str:
    return f"the server ended with exit code {exit_code}; its output is above"
