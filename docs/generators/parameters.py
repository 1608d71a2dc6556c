"""Describe parameters from the models that validate them."""

from __future__ import annotations

import re
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kedro_cloud.core import cloud_settings
from quartet.datasets.sensor_store import sensor_columns
from quartet.digits import settings as digits
from quartet.faq import search_space
from quartet.faq import settings as faq
from quartet.framework import downloads
from quartet.sensors import settings as sensors
from quartet.style import encoding_settings, transfer_settings
from quartet.style import settings as style

from .markdown import table

MODULES = (
    digits,
    faq,
    search_space,
    sensors,
    sensor_columns,
    style,
    transfer_settings,
    encoding_settings,
    downloads,
    cloud_settings,
)
"""Modules with models of parameters."""
HEADER = ("Parameter", "Default", "Range", "Meaning, and reason for the default")
BOUNDS = (
    ("minimum", "≥"),
    ("exclusiveMinimum", ">"),
    ("maximum", "≤"),
    ("exclusiveMaximum", "<"),
)
"""JSON schema's names of limits, and their signs."""
PLAIN = {"boolean": "`true` or `false`", "null": "`null`", "string": "text"}
"""JSON schema's types without limits, and their names on a page."""

FORMS = {"IntRange": "a range", "FloatRange": "a range", "Choices": "choices"}
"""By model: the forms in which a tunable parameter can be given."""


def parameters(name: str) -> str:
    """Return a table with one row per field of a model: name, default, range, reason.

    Raises:
        ValueError: There is no such model.
    """
    found = (getattr(module, name, None) for module in MODULES)
    model = next(filter(None, found), None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        known = ", ".join(module.__name__ for module in MODULES)
        raise ValueError(f"no parameters '{name}' in any of {known}")
    schemas = model.model_json_schema()["properties"]
    rows = (
        (f"`{name}`", default_of(name, field), range_of(schemas[name]), field.description or "")
        for name, field in model.model_fields.items()
    )
    return table(HEADER, rows)


def default_of(name: str, field: FieldInfo) -> str:
    """Return the default in YAML; a field without one is in the configuration."""
    if field.is_required():
        return "required; `conf/base` passes its `seed`" if name == "seed" else "required"
    return f"`{typed(field.default)}`"


def typed(value: Any) -> str:
    """Return a value in YAML; of nested parameters, only those that differ from their defaults."""
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
        return re.sub(r"^(-?\d+)e", r"\1.0e", f"{value:g}")  # YAML reads 1e-6 as text
    text = str(value)
    return text if yaml.safe_load(text) == value else f'"{text}"'


def range_of(schema: dict[str, Any]) -> str:
    """Return the accepted values, or those of each item of a list or mapping."""
    if "anyOf" in schema:
        tunable = any(name_of(each) in FORMS for each in schema["anyOf"])
        kinds = map(kind_of if tunable else range_of, schema["anyOf"])
        *others, last = dict.fromkeys(kinds)
        return f"{', '.join(others)} or {last}"
    if "$ref" in schema:
        name = name_of(schema)
        return f"{'an' if name[0] in 'AEIO' else 'a'} `{name}`"
    if schema.get("type") == "object":
        kinds = [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
        return "by name, each " + range_of(next(filter(None, kinds)))
    if schema.get("type") == "array":
        least = f"at least {schema['minItems']}, each " if "minItems" in schema else ""
        return f"a list of {least}{range_of(schema['items'])}"
    return limits_of(schema)


def limits_of(schema: dict[str, Any]) -> str:
    """Return the accepted values of a scalar: choices, pattern of a text, limits of a number."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] in PLAIN:
        # A bar would end the cell, as GitHub reads tables, even within code.
        patterns = " or ".join(f"`{each}`" for each in schema.get("pattern", "").split("|"))
        return PLAIN[schema["type"]] + (f" that matches {patterns}" if "pattern" in schema else "")
    limits = " and ".join(f"{sign} {schema[key]:,.10g}" for key, sign in BOUNDS if key in schema)
    integer = "integer" if schema["type"] == "integer" else ""
    return ", ".join(filter(None, [integer, limits])) or "a number"


def kind_of(schema: dict[str, Any]) -> str:
    """Return the form in which a tunable parameter can be given."""
    return FORMS.get(name_of(schema), "one value")


def name_of(schema: dict[str, Any]) -> str:
    """Return the name of the model that a schema refers to."""
    return schema.get("$ref", "").rpartition("/")[2]
