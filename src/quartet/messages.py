"""Errors as one line: where, what was expected, what to do."""

from __future__ import annotations

import errno
import functools
import os
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from kedro.io.core import DatasetError
from kedro.utils import find_kedro_project

from quartet import configuration_faults

TRACEBACK_VARIABLE = "QUARTET_TRACEBACK"
_OF_FILES_AND_SERVICES = ("kedro.config", "omegaconf.", "yaml.", "sqlalchemy.exc", "mlflow.")
"""Modules whose errors tell of a configuration file, a database or a tracking server."""
_OF_NAMES = ("kedro.config", "kedro.io.catalog_config_resolver", "kedro.utils")
"""Modules that raise KeyError and AttributeError for what a configuration or option says."""


def wants_traceback() -> bool:
    """Whether the user asks for all that Python knows of an error."""
    return os.environ.get(TRACEBACK_VARIABLE, "") not in ("", "0")


def one_line_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command so that a fault in data or parameters ends in one line and exit code 1.

    Faults of the program itself keep their traceback; QUARTET_TRACEBACK=1 keeps it always.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Exception as error:
            if wants_traceback() or not is_users_to_mend(error):
                raise
            raise click.ClickException(describe(error)) from error

    return wrapper


def is_users_to_mend(error: Exception) -> bool:
    """Whether the data, a parameter or the surroundings are at fault, not the program.

    A ValueError counts when this project or Kedro raised it itself: all of their checks do.
    """
    if isinstance(error, DatasetError | OSError):
        return True
    if type(error).__name__ == "ParameterValidationError":
        return True
    if type(error).__module__.startswith(_OF_FILES_AND_SERVICES):
        return True
    if isinstance(error, ValueError):
        return _raised_in(error).startswith(("quartet.", "kedro."))
    return isinstance(error, KeyError | AttributeError) and _raised_in(error).startswith(_OF_NAMES)


def _raised_in(error: BaseException) -> str:
    """The module whose code raised it."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")) if frames else ""


def _text(error: BaseException) -> str:
    # A KeyError shows its text in quotes.
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def _of_configuration(error: BaseException) -> str | None:
    """For an error on reading the configuration: which of its files cannot be read."""
    modules = (
        str(frame.f_globals.get("__name__", ""))
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )
    if not any(module.startswith("kedro.config") for module in modules):
        return None
    project = find_kedro_project(Path.cwd())
    return project and configuration_faults.find_fault(Path(project) / "conf")


def describe(error: BaseException) -> str:
    """One line: where the error arose, what was expected, what to do."""
    where = getattr(error, "__notes__", [])[:1]
    message = _of_configuration(error) or _text(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        message = f"[Errno {error.errno}] {error.strerror}: {error.filename!r}"
    message = _OF_SYSTEM.sub(_of_system, message)
    for pattern, replacement in _SHORTER:
        message = re.sub(pattern, replacement, message, flags=re.MULTILINE)
    return ": ".join([*where, " ".join(message.split())])


_OF_SYSTEM = re.compile(r"\[Errno (\d+)\] ([A-Z][^:\n()'<>]*)(?:: '([^'\n]*)')?")
_TO_DO = {
    errno.EACCES: "give yourself the right to it, or name another",
    errno.EISDIR: "a file was expected here; name one, or move the folder away",
    errno.ELOOP: "symbolic links lead in a circle; put the file itself here",
    errno.ENOENT: "see whether its name is right",
    errno.ENOSPC: "make room, and run again",
    errno.ENOTDIR: "a folder was expected above it; move away the file of that name",
    errno.EROFS: "choose another place in globals.yml",
}


def _of_system(found: re.Match[str]) -> str:
    """What the operating system says of a file, and what to do about it."""
    number, said, path = found.groups()
    advice = _TO_DO.get(int(number))
    told = f"{said[0].lower()}{said[1:]}" + (f"; {advice}" if advice else "")
    return f"{path}: {told}" if path else told


# Kedro's and pydantic's reports, less what only a programmer wants to know.
_SHORTER = (
    (
        r"'\S+' codec can't encode characters? in position \S+ surrogates not allowed",
        "a path has letters that this locale does not: unset PYTHONUTF8, or set LC_ALL=C.UTF-8",
    ),
    (r"^Parameter validation failed:\n", ""),
    (r"^- Parameter '[^']+': Failed to instantiate \w+ for ", ""),
    (r"Failed while (load|sav)ing data (from|to) dataset [^\n]*\n", ""),
    (
        r"(?s)\A\s*(.*?)\.?\nFailed to instantiate dataset ('[^']+')[^\n]*\Z",
        r"dataset \2: \1",
    ),
    (
        r"(?s)\A\s*\S+\(\) got an unexpected keyword argument ('\w+')\.\nDataset ('[^']+').*\Z",
        r"dataset \2: it has no key \1; see its spelling in catalog.yml",
    ),
    (
        r"(?s)\A\s*\S+\(\) missing \d+ [\w -]+: ([^\n]*)\.\nDataset ('[^']+').*\Z",
        r"dataset \2: it lacks the key \1 in catalog.yml",
    ),
    (r"An exception occurred when parsing config for (dataset '[^']+'):\n", r"\1: "),
    (r"(?s)(Please install the missing dependencies for \S+: \S+)?\s*Hint: If you are .*\Z", ""),
    (r"(?s)\A(.*?)\n +full_key: (\S+).*\Z", r"\2: \1"),
    (r"Globals key ('[^']+') not found[^\n]*", r"globals.yml has no entry \1; see its spelling"),
    (r"Interpolation key ('[^']+') not found", r"there is no entry \1; see its spelling"),
    (
        r"check your data catalog and credentials configuration\. See \S+ for an example\.",
        "name it in credentials.yml, or see its spelling in catalog.yml",
    ),
    (
        r"Pipeline input\(s\) \{(.*)\} not found in the \w+",
        r"the pipeline reads \1: no catalog.yml or parameters.yml has an entry of that name",
    ),
    (
        r"Given configuration path either does not exist or is not a valid directory: "
        r"(.*?([^/\n]+))$",
        r"there is no environment '\2': expected the folder \1; see the spelling of -e, KEDRO_ENV",
    ),
    (
        r"Failed to find the pipeline named ('[^']*')\. It needs to be [^.]*\.",
        r"there is no pipeline \1; see `kedro registry list`.",
    ),
    (
        r"Pipeline does not contain (\w+) named \[(.*)\]\.?",
        r"the pipeline has no \1 named \2; see `kedro registry describe PIPELINE`",
    ),
    (
        r"Pipeline contains no nodes after applying all provided filters\.[^\n]*",
        "no node is left of the pipeline: see the spelling of --tags, --nodes and the like",
    ),
    (
        r"module 'kedro\.runner' has no attribute ('\w+')",
        r"--runner: there is no \1; known: SequentialRunner, ThreadRunner, ParallelRunner",
    ),
    (
        r"Run with id=(\S+) not found",
        r"MLFLOW_RUN_ID says '\1', and the tracking database has no such run: unset it",
    ),
    (r"\d+ validation errors? for \w+$", ""),
    (r"\n    For further information visit \S+", ";"),
    (r" \[type=extra_forbidden, [^\]]*\]", ""),
    (r"^(\S+)\n +Field required \[[^\n]*", r"\1 is missing"),
    (r" \[type=value_error, input_value=[^\n]*, input_type=dict\]", ""),
    (r" \[type=\w+, input_value=(.*), input_type=\w+\]", r" (given: \1)"),
    # Of a field that takes several kinds, each is told of by itself.
    (
        r"^([\w.]+?)\.(?:[\w-]+\[.*\]|constrained-\w+|[A-Z]\w+|int|float|bool|str)(?=\n +Input)",
        r"\1",
    ),
    (r"a valid dictionary or instance of (\w+)", r"a mapping (\1)"),
    (r"a valid tuple", "a list"),
    # Of a list whose items are wrong, that none is left of them.
    (r"^(\w+)(\.\d+\n[^\n]*;\n)\1\n +Tuple should have at least[^\n]*", r"\1\2"),
    (r"Tuple should have (at \w+ \d+ items?) after validation, not \d+", r"Input should have \1"),
    (r"Extra inputs are not permitted", "is not a parameter"),
    (r"Value error, ", ""),
    (r"^(\S+)\n +(?:Input|String) should", r"\1 should"),
    # Of a field that takes three kinds, the first two become one, and then that and the third.
    (r"^(\S+) should (be .*) \(given: .*\);\n\1 should be ", r"\1 should \2, or "),
    (r"^(\S+) should (be .*) \(given: .*\);\n\1 should be ", r"\1 should \2, or "),
    (r";\s*\Z", ""),
)
