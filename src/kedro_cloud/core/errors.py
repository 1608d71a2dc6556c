"""Report user errors in one line: what is wrong, where, what was expected, what to do."""

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

from kedro_cloud.core import config_files, extras
from kedro_cloud.core.os_errors import format_os_error

TRACEBACK_VARIABLE = "KEDRO_CLOUD_TRACEBACK"
_ENVIRONMENT_MODULES = ("kedro.config", "omegaconf.", "yaml.", "sqlalchemy.exc", "mlflow.")
"""Modules whose error classes indicate a wrong configuration, database or tracking server."""
_SQLITE_NOT_WRITTEN = ("SQLITE_IOERR", "SQLITE_FULL")
"""Beginnings of the names of SQLite's errors of disks."""
_LOOKUP_MODULES = ("kedro.config", "kedro.io.catalog_config_resolver", "kedro.utils")
"""Modules whose KeyError or AttributeError indicates a wrong name in the settings or options."""


def is_traceback_requested() -> bool:
    """Return whether KEDRO_CLOUD_TRACEBACK requests tracebacks."""
    return os.environ.get(TRACEBACK_VARIABLE, "") not in ("", "0")


def one_line_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command so that a user error ends in one line and exit code 1.

    Other errors keep their traceback; with KEDRO_CLOUD_TRACEBACK=1, user errors do, too.
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
    """Return whether data, settings or the environment caused an error, and not a bug.

    The missing package of an optional extra is a user error. A ValueError is one if this plugin,
    the project or Kedro raised it, and not a library that they call.
    """
    if isinstance(error, DatasetError | OSError):
        return True
    if any(map(extras.find_extra, error_chain(error))):
        return True
    if type(error).__module__.startswith(_ENVIRONMENT_MODULES):
        return True
    if isinstance(error, ValueError):
        own_modules = ("kedro.", "kedro_cloud.", f"{project.PACKAGE_NAME}.")
        return _raising_module(error).startswith(own_modules)
    is_lookup_error = isinstance(error, KeyError | AttributeError)
    return is_lookup_error and _raising_module(error).startswith(_LOOKUP_MODULES)


def _raising_module(error: BaseException) -> str:
    """Return the name of the module that raised an error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")) if frames else ""


def _message(error: BaseException) -> str:
    # str() of a KeyError adds quotes to its message.
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def _format_invalid_file(error: BaseException) -> str | None:
    """Return a message that names the invalid file, if reading the configuration failed."""
    modules = [
        str(frame.f_globals.get("__name__", ""))
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    if not any(module.startswith("kedro.config") for module in modules):
        return None
    if type(error) is ValueError and modules[-1].startswith("kedro.config"):
        return None  # Kedro's own, as of keys in two files, which it names
    root = find_kedro_project(Path.cwd())
    return root and config_files.find_fault([Path(root) / "conf"])


def describe(error: BaseException) -> str:
    """Return one line: where the error occurred, what was expected, what to do."""
    node = getattr(error, "__notes__", [])[:1]  # a project's hooks may add the failed node
    message = _format_invalid_file(error) or _message(error)
    for cause in error_chain(error):
        original, better = _message(cause), _format_by_class(cause)
        if original and better:
            message = message.replace(original, better)
    for pattern, replacement in _REPLACEMENTS:
        message = re.sub(pattern, replacement, message, flags=re.MULTILINE)
    return ": ".join([*node, " ".join(message.split())])


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes; their messages are often parts of its own."""
    seen: set[int] = set()  # an SDK that raises an error again can create a cycle of causes
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _format_by_class(error: BaseException) -> str | None:
    """Return a better message for classes of errors with known attributes; None for others."""
    match error:
        case OSError():
            return format_os_error(error)
        case ModuleNotFoundError() if extra := extras.find_extra(error):
            return extras.format_missing(f"package {error.name}", extra)
        case UnicodeEncodeError(reason="surrogates not allowed"):
            return (
                "a path has characters that this locale cannot encode; unset PYTHONUTF8, or set "
                "LC_ALL=C.UTF-8"
            )
        case AttributeError(name=name, obj=ModuleType(__name__="kedro.runner")):
            runners = "SequentialRunner, ThreadRunner, ParallelRunner"
            return f"--runner: '{name}' does not exist; expected one of {runners}"
    return _format_by_attributes(error)


def _format_by_attributes(error: BaseException) -> str | None:
    """Return a better message for errors of OmegaConf and SQLAlchemy; None for others."""
    full_key = getattr(error, "full_key", None)
    if full_key:
        return f"{full_key}: {str(error).partition(_FULL_KEY)[0]}"
    cause = getattr(error, "orig", None)  # the driver's error
    if getattr(cause, "sqlite_errorname", "").startswith(_SQLITE_NOT_WRITTEN):
        return (
            f"a SQLite database, such as MLflow's, cannot be read or written ({cause}); check free "
            "disk space and the limit of file sizes (ulimit -f), and rerun"
        )
    return None


_FULL_KEY = "\n    full_key: "
_REPLACEMENTS = (
    (r"Failed while (load|sav)ing data (from|to) dataset [^\n]*\n", ""),
    (
        r"(?s)\A\s*(.*?)\.?\n(Failed to instantiate d|D)ataset ('[^']+') "
        r"(of type|must only contain) .*\Z",
        r"dataset \3: \1",
    ),
    (
        r"\S+\(\) got an unexpected keyword argument ('\w+')$",
        r"key \1 does not exist; check its spelling in catalog.yml",
    ),
    (r"\S+\(\) missing \d+ [\w -]+: ([^\n]*)$", r"key \1 is missing; add it in catalog.yml"),
    (r"An exception occurred when parsing config for (dataset '[^']+'):\n", r"\1: "),
    (r"(?s)( Please install the missing dependencies for \S+:\s+\S+)?\s*Hint: If .*\Z", ""),
    (r"Globals key ('[^']+') not found[^\n]*", r"globals.yml has no entry \1; check its spelling"),
    (r"Interpolation key ('[^']+') not found", r"there is no entry \1; check its spelling"),
    (
        r"check your data catalog and credentials configuration\. See \S+ for an example\.",
        "add it to credentials.yml, or check its spelling in catalog.yml",
    ),
    (
        r"Pipeline input\(s\) \{(.*)\} not found in the \w+",
        r"pipeline inputs missing: \1; add them to catalog.yml or parameters.yml",
    ),
    (
        r"Given configuration path either does not exist or is not a valid directory: "
        r"(.*?([^/\n]+))$",
        r"environment '\2' does not exist: expected folder \1; check the spelling of -e or "
        "KEDRO_ENV",
    ),
    (
        r"Failed to find the pipeline named ('[^']*')\. It needs to be [^.]*\.",
        r"pipeline \1 does not exist; see `kedro registry list`",
    ),
    (r"(?s) Did you mean one of these instead\?\s+(\S+).*\Z", r"; did you mean '\1'?"),
    (
        r"Pipeline does not contain (\w+) named \[(.*)\]\.?",
        r"the pipeline has no \1 named \2; see `kedro registry describe PIPELINE`",
    ),
    (
        r"Pipeline contains no nodes after applying all provided filters\.[^\n]*",
        "the filters select no nodes; check the spelling of --tags, --nodes and similar options",
    ),
    (
        r"Run with id=(\S+) not found",  # MLflow has removed MLFLOW_RUN_ID by then
        r"MLFLOW_RUN_ID: run '\1' does not exist in the tracking database; unset the variable",
    ),
)
"""Patterns and replacements for messages of Kedro and MLflow; these errors have no attributes.

tests/kedro_cloud/core/test_errors.py raises each of them; tests/wrong_values covers unknown
pipelines.
"""
