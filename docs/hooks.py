"""Fills the documentation's tables of parameters from the models that check them.

A page says `<!-- parameters: RegularisationSweep -->`; the built page has a
table of that model's fields there, so that it cannot fall behind the code.
"""

from __future__ import annotations

import re
from typing import Any

from mkdocs.exceptions import PluginError
from pydantic import BaseModel

from quartet.digits import settings

MARKER = re.compile(r"<!-- parameters: (\w+) -->")
HEADER = "| Parameter | Default | Range | What it is, and why this default |\n|---|---|---|---|\n"
BOUNDS = (
    ("minimum", "≥"),
    ("exclusiveMinimum", ">"),
    ("maximum", "≤"),
    ("exclusiveMaximum", "<"),
)
"""JSON schema's names of limits, and how a reader writes them."""


def on_page_markdown(markdown: str, page: Any = None, **kwargs: Any) -> str:
    """The page with every marker replaced by its model's table; called by MkDocs."""

    def table(match: re.Match[str]) -> str:
        model = getattr(settings, match[1], None)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            where = page.file.src_uri if page else "a page"
            raise PluginError(f"{where}: quartet.digits.settings has no parameters '{match[1]}'")
        return parameter_table(model)

    return MARKER.sub(table, markdown)


def parameter_table(model: type[BaseModel]) -> str:
    """A Markdown table with one row a field: name, default, range, reason."""
    fields = model.model_json_schema()["properties"]
    rows = (
        f"| `{name}` | {default_of(schema)} | {range_of(schema)} | {schema['description']} |"
        for name, schema in fields.items()
    )
    return HEADER + "\n".join(rows)


def default_of(schema: dict[str, Any]) -> str:
    """The default as one types it; a field without one is given by the configuration."""
    if "default" not in schema:
        return "none; `conf/base` passes its `seed`"
    default = schema["default"]
    if isinstance(default, list | tuple):
        return "`[" + ", ".join(f"{value:g}" for value in default) + "]`"
    return f"`{default:g}`"


def range_of(schema: dict[str, Any]) -> str:
    """The limits of a number, or of each number of a list."""
    if schema["type"] == "array":
        return f"a list of at least {schema['minItems']}, each {range_of(schema['items'])}"
    limits = [f"{sign} {schema[key]:,.10g}" for key, sign in BOUNDS if key in schema]
    kind = "whole, " if schema["type"] == "integer" else ""
    return kind + " and ".join(limits)
