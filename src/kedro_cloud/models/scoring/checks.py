"""Check the body of a request, a batch in MLflow's protocol, against the model's signature."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import numpy as np
import orjson
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.utils.proto_json_utils import cast_df_types_according_to_schema
from numpy.typing import NDArray

_TENSOR_FORMATS = dict.fromkeys(("inputs", "instances"), "a list")
_TABLE_FORMATS = {
    "dataframe_split": 'an object {"columns": ["name", …], "data": [[value, …], …]}',
    "dataframe_records": 'a list of objects {"name": value, …}',
}
"""Formats of MLflow's protocol whose rows can be counted."""
_SHOWN_CHARACTERS = 300


class RequestError(Exception):
    """A request without predictions: the message of the response, and its status."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        line = " ".join(message.split())
        shown = line[:_SHOWN_CHARACTERS]
        super().__init__(shown if shown == line else f"{shown}…")
        self.status = status


def parse_batch(body: bytes, schema: Any, max_rows: int) -> NDArray[Any] | pd.DataFrame:
    """Return the input of a model, as its signature requires.

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
        return _parse_tensor(name, batch, schema.inputs[0], max_rows)
    return _parse_table(name, batch, schema, max_rows)


def _parse_tensor(name: str, batch: Any, spec: Any, max_rows: int) -> NDArray[Any]:
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
    return array.astype(spec.type)


def _parse_table(name: str, batch: Any, schema: Any, max_rows: int) -> pd.DataFrame:
    try:
        is_split = name == "dataframe_split"
        rows = batch["data"] if is_split else batch
        if not all(isinstance(row, list if is_split else dict) for row in rows):
            raise TypeError
        table = pd.DataFrame(rows, columns=batch["columns"] if is_split else None)
    except (ValueError, TypeError, KeyError) as error:
        message = f"{name}: expected {_TABLE_FORMATS[name]}, found {_describe(batch)}"
        raise RequestError(f"{message} {error}".rstrip()) from error
    _check_rows(name, len(rows), max_rows)
    if not table.columns.is_unique:
        raise RequestError(f"{name}: expected unique columns, found {', '.join(table.columns)}")
    for spec in (column for column in schema.inputs if column.required):
        if spec.name not in table:
            found = ", ".join(map(str, table.columns)) or "none"
            raise RequestError(f"{name}: expected a column {spec.name}, found {found}")
        is_text = spec.type.name == "string"
        column = table[spec.name]
        column = column.astype(object).where(column.notna(), None)  # pandas replaces null by NaN
        for index, value in enumerate(column):
            if value is None or (is_text and not (isinstance(value, str) and value.strip())):
                raise RequestError(
                    f"{name}: row {index}: {spec.name}: expected a {spec.type.name}, "
                    f"found {_describe(value)}"
                )
    try:
        return cast_df_types_according_to_schema(table, schema)
    except (MlflowException, ValueError, TypeError) as error:
        raise RequestError(f"{name}: {error}") from error


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
