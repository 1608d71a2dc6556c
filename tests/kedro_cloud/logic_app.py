"""Run a workflow of Azure Logic Apps, with the actions that infra/trigger/workflow.json uses.

It follows "Schema reference for trigger and action types" and "Functions in workflow expressions".
It is as strict as the service, and evaluates all arguments of `if`, as the service may.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote
from xml.etree import ElementTree

_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|(-?\d+)|(\w+)|(\?\[|[()\[\],]))")
_CONSTANTS = {"null": None, "true": True, "false": False}
_HOURS = re.compile(r"PT(\d+)H")
NOW = "2026-11-21T22:14:03Z"


class World(Protocol):
    """The services that a workflow sends requests to, and their time in minutes."""

    minutes: int

    def request(self, method: str, uri: str, headers: dict[str, str], body: Any) -> Response:
        """Return the response; raise TimeoutError if there is none."""
        ...


@dataclass
class Response:
    """The response to a request; the body is parsed if it is JSON."""

    status: int
    body: Any = None


@dataclass
class Run:
    """A run of a workflow: variables, and the output and status of each action."""

    definition: dict[str, Any]
    parameters: dict[str, Any]
    world: World
    variables: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    item: Any = None

    def __post_init__(self) -> None:
        """Add the defaults of parameters; a parameter needs a value or a default."""
        declared = self.definition["parameters"]
        unknown = set(self.parameters) - set(declared)
        assert not unknown, f"not declared: {unknown}"
        defaults = {
            name: each["defaultValue"]
            for name, each in declared.items()
            if name not in self.parameters
        }
        self.parameters = {**defaults, **self.parameters}

    def go(self) -> str:
        """Run all actions; return the status of the run."""
        return self.scope(self.definition["actions"])

    def scope(self, actions: dict[str, Any]) -> str:
        """Run actions in the order of `runAfter`; failed if one failed that no other handles."""
        left = dict(actions)
        while left:
            name = next(n for n, a in left.items() if not set(a.get("runAfter", {})) & set(left))
            action = left.pop(name)
            waits = action.get("runAfter", {})
            assert set(waits) <= set(actions), f"{name} waits for an action of another scope"
            if all(self.status[before] in allowed for before, allowed in waits.items()):
                self.outputs.pop(name, None)
                self.status[name] = self.act(name, action)
            else:
                self.status[name] = "Skipped"
        handled = {before for action in actions.values() for before in action.get("runAfter", {})}
        lasts = [name for name in actions if name not in handled]
        return "Failed" if any(self.ended_badly(name, actions) for name in lasts) else "Succeeded"

    def ended_badly(self, name: str, actions: dict[str, Any]) -> bool:
        """Return whether an action failed, or was skipped because an earlier one failed."""
        if self.status[name] == "Skipped":
            return any(self.ended_badly(n, actions) for n in actions[name].get("runAfter", {}))
        return self.status[name] != "Succeeded"

    def act(self, name: str, action: dict[str, Any]) -> str:
        """Run an action; return its status."""
        try:
            return getattr(self, f"do_{action['type'].lower()}")(name, action)
        except (LookupError, TypeError, ValueError, ElementTree.ParseError) as error:
            self.outputs[name] = {"error": f"{type(error).__name__}: {error}"}
            return "Failed"

    def do_initializevariable(self, _: str, action: dict[str, Any]) -> str:
        for variable in action["inputs"]["variables"]:
            self.variables[variable["name"]] = self.value(variable["value"])
        return "Succeeded"

    def do_setvariable(self, _: str, action: dict[str, Any]) -> str:
        name = action["inputs"]["name"]
        value = self.value(action["inputs"]["value"])
        if type(value) is not type(self.variables[name]):
            raise TypeError(f"variable {name} does not take {value!r}")
        self.variables[name] = value
        return "Succeeded"

    def do_incrementvariable(self, _: str, action: dict[str, Any]) -> str:
        self.variables[action["inputs"]["name"]] += action["inputs"]["value"]
        return "Succeeded"

    def do_compose(self, name: str, action: dict[str, Any]) -> str:
        self.outputs[name] = self.value(action["inputs"])
        return "Succeeded"

    def do_query(self, name: str, action: dict[str, Any]) -> str:
        kept = []
        for item in self.value(action["inputs"]["from"]):
            self.item = item
            if self.value(action["inputs"]["where"]):
                kept.append(item)
        self.outputs[name] = {"body": kept}
        return "Succeeded"

    def do_wait(self, _: str, action: dict[str, Any]) -> str:
        assert action["inputs"]["interval"]["unit"] == "Minute"
        self.world.minutes += action["inputs"]["interval"]["count"]
        return "Succeeded"

    def do_http(self, name: str, action: dict[str, Any]) -> str:
        inputs = self.value(action["inputs"])
        assert inputs["authentication"]["type"] == "ManagedServiceIdentity"
        try:
            answer = self.world.request(
                inputs["method"], inputs["uri"], inputs.get("headers", {}), inputs.get("body")
            )
        except TimeoutError:
            return "TimedOut"
        self.outputs[name] = {"statusCode": answer.status, "body": answer.body}
        return "Succeeded" if answer.status < 400 else "Failed"

    def do_if(self, _: str, action: dict[str, Any]) -> str:
        condition = self.value(action["expression"])
        if not isinstance(condition, bool):
            raise TypeError(f"condition: expected a bool, found {condition!r}")
        chosen = action["actions"] if condition else action.get("else", {}).get("actions", {})
        return self.scope(chosen)

    def do_until(self, _: str, action: dict[str, Any]) -> str:
        limit = action["limit"]
        hours = _HOURS.fullmatch(limit["timeout"])
        end = self.world.minutes + 60 * int(hours[1])
        for _turn in range(limit["count"]):
            self.scope(action["actions"])
            if self.value(action["expression"]):
                return "Succeeded"
            if self.world.minutes >= end:
                break
        return "TimedOut"

    def value(self, given: Any) -> Any:
        """Return a value with its expressions evaluated."""
        if isinstance(given, dict):
            return {name: self.value(each) for name, each in given.items()}
        if isinstance(given, list):
            return [self.value(each) for each in given]
        if isinstance(given, str) and given.startswith("@"):
            return Expression(given[1:], self).value()
        assert not (isinstance(given, str) and "@{" in given), "no text with expressions within"
        return given


class Expression:
    """An expression, evaluated while it is parsed."""

    def __init__(self, text: str, run: Run) -> None:
        self.tokens = list(_tokens(text))
        self.run = run

    def value(self) -> Any:
        """Return the value of the complete expression."""
        value = self.term()
        if self.tokens:
            raise ValueError(f"left over: {self.tokens[0][0]}")
        return value

    def take(self, *wanted: str) -> str | None:
        """Remove and return the next sign if it is one of those wanted; else return None."""
        if self.tokens and self.tokens[0][4] in wanted:
            return str(self.tokens.pop(0)[4])
        return None

    def term(self) -> Any:
        """Return the value of a constant or a call, or of a property of it."""
        token = self.tokens.pop(0)
        text, number, name, _ = token.groups()
        if text is not None:
            value: Any = text.replace("''", "'")
        elif number is not None:
            value = int(number)
        elif name in _CONSTANTS:
            value = _CONSTANTS[name]
        else:
            value = self.call(name)
        while bracket := self.take("[", "?["):
            key = self.term()
            assert self.take("]")
            if value is None and bracket == "?[":
                continue
            if not isinstance(value, dict):
                raise TypeError(f"{value!r} has no property {key!r}")
            value = value.get(key) if bracket == "?[" else value[key]
        return value

    def call(self, name: str) -> Any:
        """Return the value of a function, after all of its arguments are evaluated."""
        assert self.take("("), f"{name} is no function here"
        arguments = []
        while not self.take(")"):
            arguments.append(self.term())
            self.take(",")
        own = {
            "outputs": self.run.outputs.get,
            "body": lambda action: (self.run.outputs.get(action) or {}).get("body"),
            "variables": self.run.variables.__getitem__,
            "parameters": self.run.parameters.__getitem__,
            "item": lambda: self.run.item,
        }
        if name in own:
            return own[name](*arguments)
        return FUNCTIONS[name](*arguments)


@functools.cache
def _tokens(text: str) -> tuple[re.Match[str], ...]:
    tokens = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"not understood: {text[at:]}")
        tokens.append(found)
        at = found.end()
    return tuple(tokens)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _string(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _xpath(root: ElementTree.Element, path: str) -> str:
    found = re.fullmatch(r"string\(/(\w+)/([\w/]+)\)", path)
    return (root.findtext(found[2]) or "") if root.tag == found[1] else ""


def _utc_now(form: str) -> str:
    assert form == "yyyy-MM-ddTHH:mm:ssZ"
    return NOW


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda *values: all(values),
    "not": lambda value: not value,
    "equals": lambda one, other: one == other,
    "greater": lambda one, other: one > other,
    "greaterOrEquals": lambda one, other: one >= other,
    "lessOrEquals": lambda one, other: one <= other,
    "if": lambda condition, one, other: one if condition else other,
    "coalesce": lambda *values: next((value for value in values if value is not None), None),
    "empty": lambda value: len(value) == 0,
    "length": len,
    "contains": lambda whole, part: part in whole,
    "startsWith": lambda text, part: _text(text).lower().startswith(_text(part).lower()),
    "endsWith": lambda text, part: _text(text).lower().endswith(_text(part).lower()),
    "concat": lambda *texts: "".join(_string(text) for text in texts),
    "toLower": lambda text: _text(text).lower(),
    "replace": lambda text, old, new: _text(text).replace(old, new),
    "split": lambda text, by: _text(text).split(by),
    "skip": lambda values, count: values[count:],
    "join": lambda values, by: by.join(values),
    "string": _string,
    "int": lambda text: int(_text(text)),
    "json": lambda text: json.loads(_text(text)),
    "base64": lambda text: base64.b64encode(_text(text).encode()).decode(),
    "base64ToString": lambda text: base64.b64decode(_text(text), validate=True).decode(),
    "encodeUriComponent": lambda text: quote(_text(text), safe="-_.~"),
    "createArray": lambda *values: list(values),
    "setProperty": lambda whole, name, value: {**whole, name: value},
    "xml": lambda text: ElementTree.fromstring(_text(text)),
    "xpath": _xpath,
    "utcNow": _utc_now,
}
