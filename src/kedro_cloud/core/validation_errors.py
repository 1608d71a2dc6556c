"""Format pydantic's validation errors in one line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

_LONGEST_INPUT = 60
"""Maximum number of characters of a given value in a message."""
_TYPES = {"int", "float", "bool", "str", "none", "list", "tuple", "dict"}
"""Names of types that pydantic appends to the location of a value with several types."""
_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "is not a setting",
    "invalid_key": "is not a setting",
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "dict_type": "should be a mapping",
    "model_type": "should be a mapping",
    "model_attributes_type": "should be a mapping",
}
"""Message by pydantic's type of error, where its own message names Python types."""
_PREDICATES = ("should ", "must ", "is ")
"""Beginnings of messages that follow the field's name without a colon."""
_Location = tuple[str | int, ...]


def format_errors(error: ValidationError) -> str:
    """Return all errors as `field what (given: value)`, separated by `; `.

    A field that accepts several types is reported once, with all accepted types.
    """
    faults: dict[_Location, list[Any]] = {}
    for fault in error.errors():
        faults.setdefault(_location(fault), []).append(fault)
    return "; ".join(_format_faults(faults))


def _format_faults(faults: dict[_Location, list[Any]]) -> Iterator[str]:
    for location, alternatives in faults.items():
        is_above = any(other[: len(location)] == location for other in faults if other != location)
        if is_above and alternatives[0]["type"] == "too_short":
            continue  # the list is too short because its items are invalid, which is reported
        messages = dict.fromkeys(map(_message, alternatives))
        first, *further = messages
        texts = [first, *(text.removeprefix("should be ") for text in further)]
        where = ".".join(map(str, location))
        colon = "" if not where or first.startswith(_PREDICATES) else ":"
        yield f"{where}{colon} {', or '.join(texts)}{_format_input(alternatives[0])}".lstrip()


def _location(fault: Any) -> _Location:
    """Return the location of the value, without the type that pydantic appends for unions."""
    location: _Location = fault["loc"]
    last = location[-1] if location else 0
    if isinstance(last, int):
        return location
    tried = {*_TYPES, fault.get("ctx", {}).get("class_name")}
    is_type = last in tried or "[" in last or last.startswith("constrained-")
    return location[:-1] if is_type else location


def _message(fault: Any) -> str:
    """Return the message, to follow the field's name."""
    if text := _MESSAGES.get(fault["type"]):
        return text
    message = fault["msg"].removeprefix("Value error, ").partition(" after validation")[0]
    subject, should, rest = message.partition(" should ")
    return f"should {rest}" if should and " " not in subject else message


def _format_input(fault: Any) -> str:
    """Return the given value; nothing for a mapping, where a key is missing."""
    if isinstance(fault["input"], dict):
        return ""
    text = repr(fault["input"])
    return f" (given: {text if len(text) <= _LONGEST_INPUT else text[:_LONGEST_INPUT] + '…'})"
