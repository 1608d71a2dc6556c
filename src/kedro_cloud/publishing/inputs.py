"""Read the inputs of an endpoint in the steps of its pipeline.

Azure ML inserts input values into a step's command unescaped, and a shell parses the command: an
apostrophe in a value would allow shell injection. So by default commands contain no input values.
Azure ML also sets each value as an environment variable of the step, AZUREML_PARAMETER_ and the
name of the input; the step reads it from there. A step without the variable fails before it reads
any data.

With `passed_by: command`, the command writes each value to a file first, in a here-document whose
delimiter is quoted: the shell expands nothing in it. Only a line equal to the delimiter ends it; it
is a hash of what is published, which only those can know who may read the component.

Strings must not contain `${`: Kedro's configuration would interpolate it, for example with an
environment variable of the step.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

VARIABLE = "KEDRO_CLOUD_INPUTS"
"""Environment variable of all steps of a published pipeline: its declared inputs, as JSON."""
PREFIX = "endpoint_"
"""Prefix of the step inputs that receive inputs of the endpoint."""
AZUREML_VARIABLE_PREFIX = "AZUREML_PARAMETER_"
"""Prefix of the environment variables in which Azure ML passes input values."""
FILES_VARIABLE = "KEDRO_CLOUD_INPUT_FILES"
"""Environment variable with the folder into which the command has written input values."""
_MAX_CHARACTERS = 1024
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|\$\{")


def with_inputs(params: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the `--params` of a step, updated with the inputs of the endpoint.

    Args:
        params: Parameters of the step, as JSON; returned as they are without an endpoint.
        environment: Environment variables of the step.

    Raises:
        ValueError: Azure ML did not pass an input, or its value is not valid.
    """
    if not environment.get(VARIABLE):
        return params
    updated = json.loads(params) if params else {}
    for name, declared in json.loads(environment[VARIABLE]).items():
        text = _read_input(name, environment)
        value = parse_input(name, text, declared["type"], declared.get("pattern"))
        set_parameter(updated, declared["parameter"], value)
    return json.dumps(updated)


def with_files(command: str, names: Iterable[str], delimiter: str) -> str:
    """Return a command for bash that first writes the inputs of the endpoint to files.

    Args:
        command: Command of a step.
        names: Names of the inputs.
        delimiter: Line that no value may contain.
    """
    documents = [
        f"cat > \"${FILES_VARIABLE}/{name}\" <<'{delimiter}'\n"
        f"${{{{inputs.{PREFIX}{name}}}}}\n{delimiter}\n"
        for name in names
    ]
    return "".join([f"export {FILES_VARIABLE}=$(mktemp -d)\n", *documents, command])


def _read_input(name: str, environment: Mapping[str, str]) -> str:
    """Return the value of an input, as Azure ML passed it.

    Raises:
        ValueError: Azure ML did not pass it.
    """
    if FILES_VARIABLE in environment:
        return (Path(environment[FILES_VARIABLE]) / name).read_bytes().decode().removesuffix("\n")
    variable = f"{AZUREML_VARIABLE_PREFIX}{PREFIX}{name}"
    if variable not in environment:
        raise ValueError(
            f"input '{name}' of the endpoint did not reach this step: Azure ML has not set "
            f"{variable}; set `passed_by: command` for this endpoint in cloud.yml and publish again"
        )
    return environment[variable]


def parse_input(name: str, text: str, kind: str, pattern: str | None = None) -> Any:
    """Convert the value of an input to its type.

    Args:
        name: Name of the input.
        text: Value as a string.
        kind: `string`, `number`, `integer` or `boolean`.
        pattern: Regular expression that the complete string must match.

    Raises:
        ValueError: The value is not of this type, or contains forbidden characters.
    """
    try:
        if kind != "string":
            return _PARSERS[kind](text)
        if len(text) > _MAX_CHARACTERS:
            raise ValueError(f"more than {_MAX_CHARACTERS} characters")
        if match := _FORBIDDEN.search(text):
            raise ValueError(f"forbidden character {match[0]!r}")
        if pattern is not None and not re.fullmatch(pattern, text):
            raise ValueError(f"does not match {pattern}")
        return text
    except (ValueError, KeyError) as error:
        reason = f"{error}" if kind == "string" else f"expected {kind}"
        raise ValueError(f"input '{name}': {reason} (given: {text!r:.200})") from error


def _parse_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_PARSERS: dict[str, Callable[[str], Any]] = {
    "number": _parse_number,
    "integer": int,
    "boolean": lambda text: {"true": True, "false": False}[text.lower()],
}


def set_parameter(params: dict[str, Any], dotted: str, value: Any) -> None:
    """Set a parameter by its dotted name in nested parameters."""
    *parents, last = dotted.split(".")
    for name in parents:
        params = params.setdefault(name, {})
    params[last] = value
