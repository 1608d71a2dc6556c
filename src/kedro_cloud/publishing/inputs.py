"""What somebody said who started a pipeline through its endpoint, as a step finds it.

Azure ML puts the value of an input into a command as it is, and a shell then reads the command. A
name with an apostrophe would end its quotes, and what follows would be run. So no value stands in
a command here. Azure ML also sets each value as a variable, AZUREML_PARAMETER_ and the input's
name, for the process of the step: the step takes it from there, by Python, and no shell reads it.
A step whose variable is missing stops before it reads any data.

Texts are checked once more: Kedro's configuration would look up what is written as ${...} in a
parameter, such as a variable of the step's own.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

VARIABLE = "KEDRO_CLOUD_INPUTS"
"""Of each step of a published pipeline: the inputs it has, as JSON."""
PREFIX = "endpoint_"
"""What the name of a step's input begins with if the endpoint's caller says it."""
SET_BY_AZURE_ML = "AZUREML_PARAMETER_"
"""What the variable begins with that has an input's value."""
_MOST_CHARACTERS = 1024
_UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|\$\{")
_TRUTHS = {"true": True, "false": False}


def with_inputs(params: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """A step's `--params`, with what the caller of the endpoint said; without a caller as it was.

    Args:
        params: JSON, as the command has it.
        environment: The step's variables.

    Raises:
        ValueError: Azure ML has not handed on an input, or its value is none that it may have.
    """
    if not environment.get(VARIABLE):
        return params
    said = json.loads(params) if params else {}
    for name, declared in json.loads(environment[VARIABLE]).items():
        variable = f"{SET_BY_AZURE_ML}{PREFIX}{name}"
        if variable not in environment:
            raise ValueError(
                f"input '{name}' of the endpoint did not reach this step: Azure ML has not set "
                f"{variable}; start the pipeline by kedro azureml run --params instead"
            )
        value = checked(name, environment[variable], declared["type"], declared.get("pattern"))
        put(said, declared["parameter"], value)
    return json.dumps(said)


def checked(name: str, text: str, kind: str, pattern: str | None = None) -> Any:
    """The value of an input, of its type.

    Args:
        name: Of the input.
        text: What was said.
        kind: `string`, `number`, `integer` or `boolean`.
        pattern: What all of a string must match.

    Raises:
        ValueError: It is not of that type, or has signs that it must not have.
    """
    try:
        return _text(text, pattern) if kind == "string" else _READERS[kind](text)
    except (ValueError, KeyError) as error:
        reason = f"{error}" if kind == "string" else f"it is no {kind}"
        raise ValueError(f"input '{name}' is refused: {reason} (given: {text!r:.200})") from error


def _text(text: str, pattern: str | None) -> str:
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"it has more than {_MOST_CHARACTERS} characters")
    if found := _UNWANTED.search(text):
        raise ValueError(f"it has {found[0]!r} in it")
    if pattern is not None and not re.fullmatch(pattern, text):
        raise ValueError(f"it does not match {pattern}")
    return text


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _truth(text: str) -> bool:
    return _TRUTHS[text.lower()]


_READERS: dict[str, Callable[[str], Any]] = {"number": _number, "integer": int, "boolean": _truth}


def put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    """Put a value among parameters, dotted where it is part of another."""
    *above, last = dotted.split(".")
    for name in above:
        tree = tree.setdefault(name, {})
    tree[last] = value
