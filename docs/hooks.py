"""Fills the documentation's tables of parameters from the models that check them.

A page says `<!-- parameters: RegularisationSweep -->`; the built page has a
table of that model's fields there, so that it cannot fall behind the code.

What is still to be written stands in a page between guillemets; no page is
built while it has any.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from mkdocs.exceptions import PluginError
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from quartet.digits import settings as digits
from quartet.faq import search_space
from quartet.faq import settings as faq
from quartet.sensors import settings as sensors
from quartet.style import encoding_settings, transfer_settings
from quartet.style import settings as style

MODULES = (digits, faq, search_space, sensors, style, transfer_settings, encoding_settings)
"""Where the models are."""
MARKER = re.compile(r"<!-- parameters: (\w+) -->")
PLACEHOLDER = re.compile("[«»]")
HEADER = "| Parameter | Default | Range | What it is, and why this default |\n|---|---|---|---|\n"
BOUNDS = (
    ("minimum", "≥"),
    ("exclusiveMinimum", ">"),
    ("maximum", "≤"),
    ("exclusiveMaximum", "<"),
)
"""JSON schema's names of limits, and how a reader writes them."""
PLAIN = {"boolean": "`true` or `false`", "null": "`null`", "string": "text"}
"""JSON schema's types that have no limits, and what a reader gives."""


def on_page_markdown(markdown: str, page: Any = None, **kwargs: Any) -> str:
    """The page with every marker replaced by its model's table; called by MkDocs.

    Raises:
        PluginError: A marker names no model, or something is still to be written; names the page.
    """
    where = page.file.src_uri if page else "a page"
    refuse_placeholders(markdown, where)

    def table(match: re.Match[str]) -> str:
        found = (getattr(module, match[1], None) for module in MODULES)
        model = next(filter(None, found), None)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            known = ", ".join(module.__name__ for module in MODULES)
            raise PluginError(f"{where}: no parameters '{match[1]}' in any of {known}")
        return parameter_table(model)

    return MARKER.sub(table, markdown)


def refuse_placeholders(markdown: str, where: str) -> None:
    """Make sure that nothing is still to be written.

    Raises:
        PluginError: There are guillemets; names the page and the line of each.
    """
    found = [
        f"{where}:{number}: {line.strip()}"
        for number, line in enumerate(markdown.splitlines(), start=1)
        if PLACEHOLDER.search(line)
    ]
    if found:
        raise PluginError("still to be written:\n" + "\n".join(found))


def parameter_table(model: type[BaseModel]) -> str:
    """A Markdown table with one row a field: name, default, range, reason."""
    schemas = model.model_json_schema()["properties"]
    rows = (
        (f"`{name}`", default_of(field), range_of(schemas[name]), field.description or "")
        for name, field in model.model_fields.items()
    )
    # A bar within a cell, as around a distance, would begin the next one.
    lines = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows)
    return HEADER + "\n".join(f"| {line} |" for line in lines)


def default_of(field: FieldInfo) -> str:
    """The default as one types it; a field without one is given by the configuration."""
    if field.is_required():
        return "none; `conf/base` passes its `seed`"
    return f"`{typed(field.default)}`"


def typed(value: Any) -> str:
    """A value as one types it in YAML; of nested parameters only what is not usual."""
    if isinstance(value, BaseModel):
        changed = value.model_dump(exclude_defaults=True)
        return "{" + ", ".join(f"{name}: {typed(each)}" for name, each in changed.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(typed, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return re.sub(r"^(-?\d+)e", r"\1.0e", f"{value:g}")  # YAML takes 1e-6 for a text
    text = str(value)
    return text if yaml.safe_load(text) == value else f'"{text}"'


def range_of(schema: dict[str, Any]) -> str:
    """What a value may be: the limits of a number, or of each number of a list; the choices."""
    if "anyOf" in schema:
        tunable = any("$ref" in each for each in schema["anyOf"])
        kinds = map(kind_of if tunable else range_of, schema["anyOf"])
        *others, last = dict.fromkeys(kinds)
        return f"{', '.join(others)} or {last}"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array":
        least = f"at least {schema['minItems']}, each " if "minItems" in schema else ""
        return f"a list of {least}{range_of(schema['items'])}"
    if schema["type"] in PLAIN:
        pattern = f" that matches `{schema['pattern']}`" if "pattern" in schema else ""
        return PLAIN[schema["type"]] + pattern
    limits = [f"{sign} {schema[key]:,.10g}" for key, sign in BOUNDS if key in schema]
    kind = "whole, " if schema["type"] == "integer" else ""
    return kind + " and ".join(limits)


def kind_of(schema: dict[str, Any]) -> str:
    """What a tunable parameter can be given as."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return {"IntRange": "a range", "FloatRange": "a range", "Choices": "choices"}.get(
        name, "one value"
    )
