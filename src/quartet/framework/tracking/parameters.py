"""Log parameters one by one, so that runs can be searched by each of them."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

MAX_PER_CALL = 100
"""Most parameters in one request, to MLflow as to Azure ML."""
MAX_LENGTH = 500
"""Most characters of a value; Azure ML rejects longer ones."""
_MAX_NAME = 250
_INVALID = re.compile(r"[^/\w.\- ]")
"""Characters that MLflow does not accept in a name."""
_PASSWORD = re.compile(
    r"(://[^/@:\s]*:)[^/\s]+(?=@)"
    r"|(?i:(\b(?:PWD|password|AccountKey|SharedAccessKey|sig)\s*=\s*))"
    r"(?:\{(?:[^}]|\}\})*\}|\"[^\"]*\"|'[^']*'|[^;&\s]+)"
)
"""In a URL, or a value of a connection string or of a shared access signature; ODBC quotes values
with braces, ADO.NET with quotation marks."""


def hide_passwords(value: Any) -> Any:
    """Return a copy of nested parameters without the passwords of URLs and connection strings."""
    if isinstance(value, Mapping):
        return {name: hide_passwords(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [hide_passwords(item) for item in value]
    if isinstance(value, str):
        return _PASSWORD.sub(lambda found: f"{found[1] or found[2]}***", value)
    return value


def flatten_parameters(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as text by dotted name, such as `convnet_training.epochs`.

    Values are written as in `--params`: `true`, `null`, `[1.0, 3.0]`. Those longer than
    `MAX_LENGTH` are cut; passwords are hidden.

    Args:
        parameters: Values by name: pydantic models, mappings or plain values.
    """
    return {
        _clean_name(name): _format(hide_passwords(value)) for name, value in _walk("", parameters)
    }


def _clean_name(name: str) -> str:
    """Return a name that MLflow accepts, which stores may use as a path below their folder."""
    name = _INVALID.sub("_", name)[:_MAX_NAME]
    if name.startswith((".", "/")) or posixpath.normpath(name) != name:
        name = f"_{name.replace('/', '_')}"[:_MAX_NAME]
    return name


def _walk(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and value of each leaf; an empty mapping is a leaf."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping) and (value or not name):
        for key, item in value.items():
            yield from _walk(f"{name}.{key}" if name else str(key), item)
    else:
        yield name, value


def _format(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"


def log_parameters(flat: Mapping[str, str]) -> None:
    """Log flat parameters to the active run."""
    import mlflow

    items = list(flat.items())
    for start in range(0, len(items), MAX_PER_CALL):
        mlflow.log_params(dict(items[start : start + MAX_PER_CALL]))
