"""What is wrong with the settings of a file, of which pydantic tells in many lines."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError


def told(error: ValidationError) -> str:
    """Every fault as `where: what (given: …)`, in one line."""
    return "; ".join(_fault(fault) for fault in error.errors())


def _fault(fault: Any) -> str:
    where = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    said = {"extra_forbidden": "is no setting", "missing": "is missing"}.get(
        fault["type"], fault["msg"].removeprefix("Value error, ")
    )
    given = "" if isinstance(fault["input"], dict) else f" (given: {fault['input']})"
    return f"{where}{': ' if where else ''}{said}{given}"
