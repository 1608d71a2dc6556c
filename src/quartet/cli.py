"""`kedro run`, with faults that a user can mend reported in one line."""

from __future__ import annotations

import copy
import functools
import os
import re
from collections.abc import Callable
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.io.core import DatasetError

TRACEBACK_VARIABLE = "QUARTET_TRACEBACK"


@click.group(name="quartet")
def cli() -> None:
    """Commands of this project."""


def one_line_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command so that a fault in data or parameters ends in one line and exit code 1.

    Faults of the program itself keep their traceback; QUARTET_TRACEBACK=1 keeps it always.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Exception as error:
            if os.environ.get(TRACEBACK_VARIABLE) or not _is_users_to_mend(error):
                raise
            raise click.ClickException(describe(error)) from error

    return wrapper


def describe(error: BaseException) -> str:
    """One line: where the error arose, what was expected, what to do."""
    where = getattr(error, "__notes__", [])[:1]
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}"
    for pattern, replacement in _SHORTER:
        message = re.sub(pattern, replacement, message, flags=re.MULTILINE)
    return ": ".join([*where, " ".join(message.split())])


# Kedro's and pydantic's reports, less what only a programmer wants to know.
_SHORTER = (
    (r"^Parameter validation failed:\n- Parameter '[^']+': Failed to instantiate \w+ for ", ""),
    (r"^Failed while (load|sav)ing data (from|to) dataset [^\n]*\n", ""),
    (r"\d+ validation errors? for \w+$", ""),
    (r"\n    For further information visit \S+", ";"),
    (r" \[type=extra_forbidden, [^\]]*\]", ""),
    (r" \[type=\w+, input_value=(.*), input_type=\w+\]", r" (given: \1)"),
    (r"Extra inputs are not permitted", "is not a parameter"),
    (r";\s*\Z", ""),
)


def _is_users_to_mend(error: Exception) -> bool:
    """Whether the data, a parameter or the surroundings are at fault, not the program.

    A ValueError counts when this project raised it itself: all of its checks do.
    """
    if isinstance(error, DatasetError | OSError):
        return True
    if type(error).__name__ == "ParameterValidationError":
        return True
    if isinstance(error, ValueError):
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        module = traceback.tb_frame.f_globals.get("__name__", "") if traceback else ""
        return module.startswith(("quartet.", "kedro.framework"))
    return any(base.__module__.startswith("sqlalchemy.exc") for base in type(error).__mro__)


run = copy.copy(kedro_run)
run.callback = one_line_errors(kedro_run.callback)  # type: ignore[arg-type]
cli.add_command(run)


