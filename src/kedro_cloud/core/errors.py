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
_SURROUNDINGS = ("kedro.config", "omegaconf.", "yaml.", "sqlalchemy.exc", "mlflow.")
"""Modules whose errors concern a configuration file, a database or a tracking server."""
_LOOKUPS = ("kedro.config", "kedro.io.catalog_config_resolver", "kedro.utils")
"""Modules that raise KeyError and AttributeError for names in a configuration or an option."""


def is_traceback_requested() -> bool:
    """Return whether KEDRO_CLOUD_TRACEBACK asks for tracebacks."""
    return os.environ.get(TRACEBACK_VARIABLE, "") not in ("", "0")


def one_line_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command so that a user error ends in one line and exit code 1.

    Bugs keep their traceback; with KEDRO_CLOUD_TRACEBACK=1 all errors do.
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
    """Return whether data, parameters or the surroundings caused an error, not a bug.

    A missing package of an extra belongs to the surroundings.

    A ValueError is a user error if this plugin, the project or Kedro raised it itself.
    """
    if isinstance(error, DatasetError | OSError):
        return True
    if any(map(extras.find_extra, error_chain(error))):
        return True
    if type(error).__module__.startswith(_SURROUNDINGS):
        return True
    if isinstance(error, ValueError):
        own = ("kedro.", "kedro_cloud.", f"{project.PACKAGE_NAME}.")
        return _raised_in(error).startswith(own)
    return isinstance(error, KeyError | AttributeError) and _raised_in(error).startswith(_LOOKUPS)


def _raised_in(error: BaseException) -> str:
    """Return the name of the module that raised an error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")) if frames else ""


def _text(error: BaseException) -> str:
    # str() of a KeyError quotes its text.
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def _find_invalid_file(error: BaseException) -> str | None:
    """Return a message with the invalid file, if loading the configuration raised the error."""
    modules = (
        str(frame.f_globals.get("__name__", ""))
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )
    if not any(module.startswith("kedro.config") for module in modules):
        return None
    project = find_kedro_project(Path.cwd())
    return project and config_files.find_fault(Path(project) / "conf")


def describe(error: BaseException) -> str:
    """Return one line: where the error occurred, what was expected, what to do."""
    where = getattr(error, "__notes__", [])[:1]
    message = _find_invalid_file(error) or _text(error)
    for cause in error_chain(error):
        text, better = _text(cause), _format_by_class(cause)
        if text and better:
            message = message.replace(text, better)
    for pattern, replacement in _REPLACEMENTS:
        message = re.sub(pattern, replacement, message, flags=re.MULTILINE)
    return ": ".join([*where, " ".join(message.split())])


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes, whose texts it often repeats."""
    seen: set[int] = set()  # an SDK that raises an error again can create a cycle of causes
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _format_by_class(error: BaseException) -> str | None:
    """Return a better message, for errors that their class and attributes identify."""
    match error:
        case OSError():
            return format_os_error(error)
        case ModuleNotFoundError() if extra := extras.find_extra(error):
            return extras.format_missing(f"package {error.name}", extra)
        case UnicodeEncodeError(reason="surrogates not allowed"):
            return (
                "a path has characters that this locale cannot encode: unset PYTHONUTF8, or set "
                "LC_ALL=C.UTF-8"
            )
        case AttributeError(name=name, obj=ModuleType(__name__="kedro.runner")):
            known = "SequentialRunner, ThreadRunner, ParallelRunner"
            return f"--runner: '{name}' does not exist; expected one of {known}"
    full_key = getattr(error, "full_key", None)  # of OmegaConf
    if full_key:
        return f"{full_key}: {str(error).partition(_FULL_KEY)[0]}"
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
        r"environment '\2' does not exist: expected folder \1; check the spelling of -e, KEDRO_ENV",
    ),
    (
        r"Failed to find the pipeline named ('[^']*')\. It needs to be [^.]*\.",
        r"pipeline \1 does not exist; see `kedro registry list`.",
    ),
    (
        r"Pipeline does not contain (\w+) named \[(.*)\]\.?",
        r"the pipeline has no \1 named \2; see `kedro registry describe PIPELINE`",
    ),
    (
        r"Pipeline contains no nodes after applying all provided filters\.[^\n]*",
        "the filters select no nodes; check the spelling of --tags, --nodes and similar options",
    ),
    (
        r"Run with id=(\S+) not found",  # MLflow has unset the variable by then
        r"MLFLOW_RUN_ID: run '\1' does not exist in the tracking database; unset the variable",
    ),
)
"""Replacements for messages of Kedro and MLflow whose errors have no attributes.

tests/kedro_cloud/core/test_errors.py raises each of them; tests/wrong_values covers unknown
pipelines.
"""
