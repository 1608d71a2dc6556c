"""Name the command that runs another pipeline as this one: here, rehearsed, or on Azure ML."""

from __future__ import annotations

import os

VARIABLE = "KEDRO_CLOUD_RUN_COMMAND"
"""Set in the steps of a rehearsal: its command, with `{}` in place of the pipeline."""
DEFAULT = "kedro run --pipelines {}"
_command = DEFAULT


def set_run_command(command: str) -> None:
    """Set the command of this process, with `{}` in place of the pipeline."""
    global _command  # noqa: PLW0603  # a process has one command line
    _command = command


def run_command(pipeline: str) -> str:
    """Return the command that runs a pipeline, for messages that advise to run it first."""
    return os.environ.get(VARIABLE, _command).replace("{}", pipeline)
