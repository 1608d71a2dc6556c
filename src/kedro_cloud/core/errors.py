"""Errors as one line: where, what was expected, what to do."""

from __future__ import annotations

import functools
import os
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from kedro.framework import project
from kedro.io.core import DatasetError
from kedro.utils import find_kedro_project

from kedro_cloud.core import config_files
from kedro_cloud.core.os_errors import format_os_error

TRACEBACK_VARIABLE = "KEDRO_CLOUD_TRACEBACK"
_OF_FILES_AND_SERVICES = ("kedro.config", "omegaconf.", "yaml.", "sqlalchemy.exc", "mlflow.")
"""Modules whose errors tell of a configuration file, a database or a tracking server."""
_OF_NAMES = ("kedro.config", "kedro.io.catalog_config_resolver", "kedro.utils")
"""Modules that raise KeyError and AttributeError for what a configuration or option says."""


def is_traceback_requested() -> bool:
    """Whether the user asks for all that Python knows of an error."""
    return os.environ.get(TRACEBACK_VARIABLE, "") not in ("", "0")


def one_line_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command so that a fault in data or parameters ends in one line and exit code 1.

    Faults of the program itself keep their traceback; KEDRO_CLOUD_TRACEBACK=1 keeps it always.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Exception as error:
            if is_traceback_requested() or not is_user_error(error):
                raise
            raise click.ClickException(describe(error)) from error

    return wrapper


def is_user_error(error: Exception) -> bool:
    """Whether the data, a parameter or the surroundings are at fault, not the program.

    A ValueError counts when this project or Kedro raised it itself: all of their checks do.
    """
    if isinstance(error, DatasetError | OSError):
        return True
    if type(error).__module__.startswith(_OF_FILES_AND_SERVICES):
        return True
    if isinstance(error, ValueError):
        own = ("kedro.", "kedro_cloud.", f"{project.PACKAGE_NAME}.")
        return _raised_in(error).startswith(own)
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
    return project and config_files.find_fault(Path(project) / "conf")


def describe(error: BaseException) -> str:
    """Return one line: where the error arose, what was expected, what to do."""
    where = getattr(error, "__notes__", [])[:1]
    message = _of_configuration(error) or _text(error)
    for cause in error_chain(error):
        text, better = _text(cause), _of_class(cause)
        if text and better:
            message = message.replace(text, better)
    for pattern, replacement in _SHORTER:
        message = re.sub(pattern, replacement, message, flags=re.MULTILINE)
    return ": ".join([*where, " ".join(message.split())])


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that led to it, whose texts it often repeats."""
    seen: set[int] = set()  # an SDK that raises an error again makes it its own context's cause
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _of_class(error: BaseException) -> str | None:
    """Return a better text for an error that its class and attributes describe."""
    match error:
        case OSError():
            return format_os_error(error)
        case UnicodeEncodeError(reason="surrogates not allowed"):
            return (
                "a path has letters that this locale does not: unset PYTHONUTF8, or set "
                "LC_ALL=C.UTF-8"
            )
        case AttributeError(name=name, obj=ModuleType(__name__="kedro.runner")):
            known = "SequentialRunner, ThreadRunner, ParallelRunner"
            return f"--runner: there is no '{name}'; known: {known}"
    full_key = getattr(error, "full_key", None)  # of OmegaConf
    if full_key:
        return f"{full_key}: {str(error).partition(_OF_KEY)[0]}"
    return None


_OF_KEY = "\n    full_key: "
_SHORTER = (
    (r"Failed while (load|sav)ing data (from|to) dataset [^\n]*\n", ""),
    (
        r"(?s)\A\s*(.*?)\.?\n(Failed to instantiate d|D)ataset ('[^']+') "
        r"(of type|must only contain) .*\Z",
        r"dataset \3: \1",
    ),
    (
        r"\S+\(\) got an unexpected keyword argument ('\w+')$",
        r"it has no key \1; see its spelling in catalog.yml",
    ),
    (r"\S+\(\) missing \d+ [\w -]+: ([^\n]*)$", r"it lacks the key \1 in catalog.yml"),
    (r"An exception occurred when parsing config for (dataset '[^']+'):\n", r"\1: "),
    (r"(?s)( Please install the missing dependencies for \S+:\s+\S+)?\s*Hint: If .*\Z", ""),
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
        r"Run with id=(\S+) not found",  # MLflow has unset the variable by then
        r"MLFLOW_RUN_ID says '\1', and the tracking database has no such run: unset it",
    ),
)
"""Texts of Kedro and MLflow, whose errors have no attributes for these.

Each is provoked in tests/kedro_cloud/core/test_errors.py, an unknown pipeline in
tests/wrong_values.
"""
