"""Check the answers to `kedro new` before anything is created.

`cookiecutter.json` names this module as an extension of Jinja. Kedro checks what is typed against
`prompts.yml`, but not what a file of answers has; and after an error in a hook, cookiecutter prints
fifty lines of traceback.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from jinja2 import Environment
from jinja2.ext import Extension
from table import Table


class Answers(Extension):
    """Add the filter `checked`."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["checked"] = check_scenarios


def check_scenarios(text: str) -> str:
    """Return the answer; exit with one line if it is invalid, or if there is no git.

    Kedro replaces any exception by two lines that do not name it, so this exits.
    """
    try:
        Table.read(Path(__file__).with_name("scenarios.yml")).chosen(str(text))
    except ValueError as error:
        raise SystemExit(f"Error: {error}") from None
    if shutil.which("git") is None:
        raise SystemExit(
            "Error: git was not found, which lists the files of the starter; install it"
        )
    return text
