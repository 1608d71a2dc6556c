"""The site, built once, and the commands it documents."""

import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kedro_cloud.cli import commands as plugin_commands
from quartet.cli import cli
from support import ROOT, run_program


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the documentation, built once for all workers; a warning fails it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "site"
    failure = folder.with_suffix(".failed")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            output = build(folder)
            if output:
                failure.write_text(output, encoding="utf-8")
    assert not failure.exists(), failure.read_text(encoding="utf-8")
    return folder


def build(folder: Path) -> str:
    """Build the site into a folder; return its errors and warnings, empty if there are none."""
    folder.mkdir()
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder)
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    result = run_program(*command, folder=ROOT, environment=environment)
    output = result.stdout + result.stderr
    return output if result.returncode or "WARNING" in output else ""


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and its subcommands, each with the words that start it."""
    yield context.command_path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, click.Context(below, info_name=name, parent=context))


@pytest.fixture(scope="session")
def own_commands() -> dict[str, click.Command]:
    """Return the commands that the project adds or changes, by the words that start them."""
    kedro = click.CommandCollection(sources=[cli, plugin_commands])
    found = dict(commands(kedro, click.Context(kedro, info_name="kedro")))
    del found["kedro"]
    return found
