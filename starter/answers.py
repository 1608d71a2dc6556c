"""Check the answers to `kedro new` before anything is created.

`cookiecutter.json` names this module as an extension of Jinja. Kedro checks what is typed against
`prompts.yml`, but not what a file of answers has; and after an error in a hook, cookiecutter prints
fifty lines of traceback.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from jinja2 import Environment
from jinja2.ext import Extension
from naming import check_package
from table import Table

HERE = Path(__file__).parent


class Answers(Extension):
    """Add the filters `checked_scenarios`, `checked_azure` and `checked_package`."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["checked_scenarios"] = check_scenarios
        environment.filters["checked_azure"] = check_azure
        environment.filters["checked_package"] = check_name


def check_scenarios(text: str) -> str:
    """Return the answer; exit with one line if it is invalid, or if there is no git.

    Kedro replaces any exception by two lines that do not name it, so this exits.
    """
    try:
        _table().chosen(str(text))
    except ValueError as error:
        raise SystemExit(f"Error: {error}") from None
    if shutil.which("git") is None:
        raise SystemExit(
            "Error: git was not found, which lists the files of the starter; install it"
        )
    return text


def check_azure(text: str) -> str:
    """Return the answer; exit with one line if it is neither yes nor no."""
    try:
        is_yes(str(text))
    except ValueError as error:
        raise SystemExit(f"Error: {error}") from None
    return text


def check_name(text: str) -> str:
    """Return the name of the package; exit with one line if no package can have it."""
    try:
        check_package(str(text), _table().scenarios, HERE.parent / "pyproject.toml")
    except ValueError as error:
        raise SystemExit(f"Error: {error}") from None
    return text


def is_yes(text: str) -> bool:
    """Return whether an answer is yes; YAML makes `True` of a plain yes.

    Raises:
        ValueError: It is neither yes nor no.
    """
    if re.fullmatch("(?i:yes|y|true)", text.strip()):
        return True
    if re.fullmatch("(?i:no|n|false)", text.strip()):
        return False
    raise ValueError(f"azure: '{text}' is not an answer; expected yes or no")


def _table() -> Table:
    return Table.read(HERE / "scenarios.yml")
