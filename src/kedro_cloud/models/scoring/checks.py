"""Check the body of a request, a batch in MLflow's protocol, against the model's signature."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import numpy as np
import orjson

_FORMATS = {
    "tensor": ("inputs", "instances"),
    "table": ("dataframe_split", "dataframe_records"),
}
"""Formats of MLflow's protocol whose rows can be counted."""
_SHOWN_CHARACTERS = 300


class RefusedError(Exception):
    """Invalid request; carries the 4xx status of the response and the reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def check(body: bytes, schema: Any, most_rows: int) -> None:
    """Check that the body is a batch with the model's signature.

    Args:
        body: Body of the request.
        schema: `mlflow.types.Schema` of the inputs.
        most_rows: Maximum number of rows in a batch.

    Raises:
        RefusedError: The body is invalid; the message says what was expected and found.
    """
    formats = _FORMATS["tensor" if schema.is_tensor_spec() else "table"]
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _bad_request(
            f"the body is not valid JSON ({error}); NaN and infinity are not allowed"
        ) from error
    if not isinstance(content, dict) or len(content) != 1 or next(iter(content)) not in formats:
        names = " or ".join(f'{{"{name}": …}}' for name in formats)
        raise _bad_request(f"expected {names}, found {_describe(content)}")
    name, batch = next(iter(content.items()))
    if schema.is_tensor_spec():
        _check_tensor(name, batch, schema.inputs[0], most_rows)
    else:
        _check_table(name, batch, schema, most_rows)


def _check_tensor(name: str, batch: Any, spec: Any, most_rows: int) -> None:
    expected = f"{spec.type} of shape ({', '.join('n' if n < 0 else str(n) for n in spec.shape)})"
    if not isinstance(batch, list):
        raise _bad_request(f"{name}: expected a list, {expected}, found {_describe(batch)}")
    _check_rows(name, len(batch), most_rows)
    try:
        array = np.asarray(batch)
    except ValueError as error:
        raise _bad_request(
            f"{name}: expected {expected}, found lists of different lengths"
        ) from error
    shape = array.shape
    if len(shape) != len(spec.shape) or any(
        size not in (-1, length) for size, length in zip(spec.shape, shape, strict=True)
    ):
        raise _bad_request(f"{name}: expected {expected}, found shape {shape}")
    if not np.issubdtype(spec.type, np.integer):
        if array.dtype.kind not in "iuf":
            raise _bad_request(f"{name}: expected {expected}, found {_describe_values(array)}")
        return
    if array.dtype.kind not in "iu":
        raise _bad_request(f"{name}: expected {expected}, found {_describe_values(array)}")
    least, most = np.iinfo(spec.type).min, np.iinfo(spec.type).max
    if array.min() < least or array.max() > most:
        raise _bad_request(
            f"{name}: expected integers from {least} to {most}, found "
            f"{array.min()} to {array.max()}"
        )


def _check_table(name: str, batch: Any, schema: Any, most_rows: int) -> None:
    columns = _split_columns(batch) if name == "dataframe_split" else _record_columns(batch)
    _check_rows(name, len(batch["data"] if name == "dataframe_split" else batch), most_rows)
    for spec in (column for column in schema.inputs if column.required):
        if spec.name not in columns:
            found = ", ".join(columns) or "none"
            raise _bad_request(f"{name}: expected a column {spec.name}, found {found}")
        is_text = spec.type.name == "string"
        for index, value in enumerate(columns[spec.name]):
            if value is None or (is_text and not (isinstance(value, str) and value.strip())):
                expected = "a string" if is_text else f"a {spec.type.name}"
                raise _bad_request(
                    f"{name}: row {index}: {spec.name}: expected {expected}, "
                    f"found {_describe(value)}"
                )


def _split_columns(batch: Any) -> dict[str, list[Any]]:
    """Return the values by column of `{"columns": […], "data": [[…], …]}`."""
    expected = 'dataframe_split: expected {"columns": ["name", …], "data": [[value, …], …]}'
    if not isinstance(batch, dict) or not {"columns", "data"} <= set(batch):
        raise _bad_request(f"{expected}, found {_describe(batch)}")
    names, rows = batch["columns"], batch["data"]
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise _bad_request(f"{expected}, found columns that are not a list of strings")
    if len(set(names)) < len(names):
        raise _bad_request(f"dataframe_split: expected unique columns, found {', '.join(names)}")
    if not isinstance(rows, list):
        raise _bad_request(f"{expected}, found for data {_describe(rows)}")
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise _bad_request(
                f"dataframe_split: row {index}: expected a list of {len(names)} values, "
                f"found {_describe(row)}"
            )
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


def _record_columns(batch: Any) -> dict[str, list[Any]]:
    """Return the values by column of `[{"name": value, …}, …]`; None where a row has none."""
    if not isinstance(batch, list) or not all(isinstance(row, dict) for row in batch):
        raise _bad_request(
            'dataframe_records: expected a list of objects {"name": value, …}, '
            f"found {_describe(batch)}"
        )
    names = {name: None for row in batch for name in row}
    return {name: [row.get(name) for row in batch] for name in names}


def _check_rows(name: str, rows: int, most: int) -> None:
    if rows == 0:
        raise _bad_request(f"{name}: expected at least one row, found none")
    if rows > most:
        raise RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"{name}: expected at most {most:,} rows, found {rows:,}; send several requests",
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


def _describe_values(array: Any) -> str:
    kinds = {"f": "floating-point numbers", "b": "booleans", "U": "strings"}
    return kinds.get(array.dtype.kind, "null, or values of different types")


def _bad_request(reason: str) -> RefusedError:
    shown = reason if len(reason) <= _SHOWN_CHARACTERS else f"{reason[:_SHOWN_CHARACTERS]}…"
    return RefusedError(HTTPStatus.BAD_REQUEST, shown)
