"""Check the body of a request, a batch in MLflow's protocol, against the model's signature."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import numpy as np
import orjson

_TENSOR_FORMATS = ("inputs", "instances")
_TABLE_FORMATS = ("dataframe_split", "dataframe_records")
"""Formats of MLflow's protocol whose rows can be counted."""
_SHOWN_CHARACTERS = 300


class RequestError(Exception):
    """A request without predictions: the message of the response, and its status."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        line = " ".join(message.split())
        shown = line[:_SHOWN_CHARACTERS]
        super().__init__(shown if shown == line else f"{shown}…")
        self.status = status


def parse_batch(body: bytes, schema: Any, max_rows: int) -> dict[str, Any]:
    """Return the content of a request, a batch with the model's signature by its format.

    Args:
        body: Body of the request.
        schema: `mlflow.types.Schema` of the inputs.
        max_rows: Maximum number of rows in a batch.

    Raises:
        RequestError: The body is invalid; the message has what was expected and found.
    """
    formats = _TENSOR_FORMATS if schema.is_tensor_spec() else _TABLE_FORMATS
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        message = f"the body is not valid JSON ({error}); NaN and infinity are not allowed"
        raise RequestError(message) from error
    if not isinstance(content, dict) or len(content) != 1 or next(iter(content)) not in formats:
        names = " or ".join(f'{{"{name}": …}}' for name in formats)
        raise RequestError(f"expected {names}, found {_describe(content)}")
    ((name, batch),) = content.items()
    if schema.is_tensor_spec():
        _check_tensor(name, batch, schema.inputs[0], max_rows)
    else:
        _check_table(name, batch, schema, max_rows)
    return content


def _check_tensor(name: str, batch: Any, spec: Any, max_rows: int) -> None:
    shape = ", ".join("n" if size < 0 else str(size) for size in spec.shape)
    expected = f"{name}: expected {spec.type} of shape ({shape}), found"
    if not isinstance(batch, list):
        raise RequestError(f"{expected} {_describe(batch)}")
    _check_rows(name, len(batch), max_rows)
    try:
        array = np.asarray(batch)
    except ValueError as error:
        raise RequestError(f"{expected} lists of different lengths") from error
    if len(array.shape) != len(spec.shape) or any(
        size not in (-1, found) for size, found in zip(spec.shape, array.shape, strict=True)
    ):
        raise RequestError(f"{expected} shape {array.shape}")
    is_integer = np.issubdtype(spec.type, np.integer)
    if array.dtype.kind not in ("iu" if is_integer else "iuf"):
        kinds = {"f": "floating-point numbers", "b": "booleans", "U": "strings"}
        found = kinds.get(array.dtype.kind, "null, or values of different types")
        raise RequestError(f"{expected} {found}")
    if is_integer:
        limits = np.iinfo(spec.type)
        if array.min() < limits.min or array.max() > limits.max:
            raise RequestError(
                f"{name}: expected integers from {limits.min} to {limits.max}, found "
                f"{array.min()} to {array.max()}"
            )


def _check_table(name: str, batch: Any, schema: Any, max_rows: int) -> None:
    columns = _split_columns(batch) if name == "dataframe_split" else _record_columns(batch)
    _check_rows(name, len(batch["data"] if name == "dataframe_split" else batch), max_rows)
    for spec in (column for column in schema.inputs if column.required):
        if spec.name not in columns:
            found = ", ".join(columns) or "none"
            raise RequestError(f"{name}: expected a column {spec.name}, found {found}")
        is_text = spec.type.name == "string"
        for index, value in enumerate(columns[spec.name]):
            if value is None or (is_text and not (isinstance(value, str) and value.strip())):
                raise RequestError(
                    f"{name}: row {index}: {spec.name}: expected a {spec.type.name}, "
                    f"found {_describe(value)}"
                )


def _split_columns(batch: Any) -> dict[str, list[Any]]:
    """Return the values by column of `{"columns": […], "data": [[…], …]}`."""
    expected = 'dataframe_split: expected {"columns": ["name", …], "data": [[value, …], …]}'
    if not isinstance(batch, dict) or not {"columns", "data"} <= set(batch):
        raise RequestError(f"{expected}, found {_describe(batch)}")
    names, rows = batch["columns"], batch["data"]
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise RequestError(f"{expected}, found columns that are not a list of strings")
    if len(set(names)) < len(names):
        raise RequestError(f"dataframe_split: expected unique columns, found {', '.join(names)}")
    if not isinstance(rows, list):
        raise RequestError(f"{expected}, found for data {_describe(rows)}")
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise RequestError(
                f"dataframe_split: row {index}: expected a list of {len(names)} values, "
                f"found {_describe(row)}"
            )
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


def _record_columns(batch: Any) -> dict[str, list[Any]]:
    """Return the values by column of `[{"name": value, …}, …]`; None where a row has none."""
    if not isinstance(batch, list) or not all(isinstance(row, dict) for row in batch):
        raise RequestError(
            'dataframe_records: expected a list of objects {"name": value, …}, '
            f"found {_describe(batch)}"
        )
    names = {name: None for row in batch for name in row}
    return {name: [row.get(name) for row in batch] for name in names}


def _check_rows(name: str, rows: int, most: int) -> None:
    if rows == 0:
        raise RequestError(f"{name}: expected at least one row, found none")
    if rows > most:
        raise RequestError(
            f"{name}: expected at most {most:,} rows, found {rows:,}; send several requests",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )


def _describe(value: Any) -> str:
    """Describe a value in JSON's terms."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return "a string" if value.strip() else "an empty string"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with {', '.join(value)}" if value else "an empty object"
    return json.dumps(value)[:20]
