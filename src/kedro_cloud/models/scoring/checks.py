"""What a request's body must be: a batch by the signature of the model, in MLflow's protocol."""

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
"""Of MLflow's, those in which each row can be told."""
_SHOWN_CHARACTERS = 300


class RefusedError(Exception):
    """A request that is answered with a status of 4xx, and why."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def check(body: bytes, schema: Any, most_rows: int) -> None:
    """Raise unless the body is a batch that the model's signature describes.

    Args:
        body: Of the request.
        schema: `mlflow.types.Schema` of the inputs.
        most_rows: Images or questions in one batch.

    Raises:
        RefusedError: Says what was found, and what is expected.
    """
    formats = _FORMATS["tensor" if schema.is_tensor_spec() else "table"]
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _bad(f"the body is no JSON ({error}); NaN and infinity are none either") from error
    if not isinstance(found, dict) or len(found) != 1 or next(iter(found)) not in formats:
        names = " or ".join(f'{{"{name}": …}}' for name in formats)
        raise _bad(f"expected {names}, found {_kind(found)}")
    name, batch = next(iter(found.items()))
    if schema.is_tensor_spec():
        _check_tensor(name, batch, schema.inputs[0], most_rows)
    else:
        _check_table(name, batch, schema, most_rows)


def _check_tensor(name: str, batch: Any, spec: Any, most_rows: int) -> None:
    wanted = f"{spec.type} of shape ({', '.join('n' if n < 0 else str(n) for n in spec.shape)})"
    if not isinstance(batch, list):
        raise _bad(f"{name}: expected a list, {wanted}, found {_kind(batch)}")
    _check_rows(name, len(batch), most_rows)
    try:
        array = np.asarray(batch)
    except ValueError as error:
        raise _bad(f"{name}: expected {wanted}, found lists of several lengths") from error
    shape = array.shape
    if len(shape) != len(spec.shape) or any(
        wide not in (-1, length) for wide, length in zip(spec.shape, shape, strict=True)
    ):
        raise _bad(f"{name}: expected {wanted}, found shape {shape}")
    if not np.issubdtype(spec.type, np.integer):
        if array.dtype.kind not in "iuf":
            raise _bad(f"{name}: expected {wanted}, found {_values(array)}")
        return
    if array.dtype.kind not in "iu":
        raise _bad(f"{name}: expected {wanted}, found {_values(array)}")
    least, most = np.iinfo(spec.type).min, np.iinfo(spec.type).max
    if array.min() < least or array.max() > most:
        raise _bad(
            f"{name}: expected whole numbers from {least} to {most}, found "
            f"{array.min()} to {array.max()}"
        )


def _check_table(name: str, batch: Any, schema: Any, most_rows: int) -> None:
    columns = _split_columns(batch) if name == "dataframe_split" else _record_columns(batch)
    _check_rows(name, len(batch["data"] if name == "dataframe_split" else batch), most_rows)
    for spec in (each for each in schema.inputs if each.required):
        if spec.name not in columns:
            found = ", ".join(columns) or "none"
            raise _bad(f"{name}: expected a column {spec.name}, found {found}")
        is_text = spec.type.name == "string"
        for number, value in enumerate(columns[spec.name]):
            if value is None or (is_text and not (isinstance(value, str) and value.strip())):
                wanted = "a text" if is_text else f"a {spec.type.name}"
                raise _bad(
                    f"{name}: row {number}: {spec.name}: expected {wanted}, found {_kind(value)}"
                )


def _split_columns(batch: Any) -> dict[str, list[Any]]:
    """Values by column of `{"columns": […], "data": [[…], …]}`."""
    wanted = 'dataframe_split: expected {"columns": ["name", …], "data": [[value, …], …]}'
    if not isinstance(batch, dict) or not {"columns", "data"} <= set(batch):
        raise _bad(f"{wanted}, found {_kind(batch)}")
    names, rows = batch["columns"], batch["data"]
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise _bad(f"{wanted}, found other columns")
    if len(set(names)) < len(names):
        raise _bad(f"dataframe_split: a column is there twice: {', '.join(names)}")
    if not isinstance(rows, list):
        raise _bad(f"{wanted}, found data that are {_kind(rows)}")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise _bad(
                f"dataframe_split: row {number}: expected a list of {len(names)} values, "
                f"found {_kind(row)}"
            )
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _record_columns(batch: Any) -> dict[str, list[Any]]:
    """Values by column of `[{"name": value, …}, …]`; None where a row lacks it."""
    if not isinstance(batch, list) or not all(isinstance(row, dict) for row in batch):
        raise _bad(
            'dataframe_records: expected a list of objects {"name": value, …}, '
            f"found {_kind(batch)}"
        )
    names = {name: None for row in batch for name in row}
    return {name: [row.get(name) for row in batch] for name in names}


def _check_rows(name: str, rows: int, most: int) -> None:
    if rows == 0:
        raise _bad(f"{name}: expected at least one row, found none")
    if rows > most:
        raise RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"{name}: expected at most {most:,} rows, found {rows:,}; send several requests",
        )


def _kind(value: Any) -> str:
    """What a value of JSON is, in JSON's words."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return "an empty text" if not value.strip() else "a text"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with {', '.join(value) or 'nothing'}"
    return f"{json.dumps(value)[:20]}"


def _values(array: Any) -> str:
    kinds = {"f": "fractions", "b": "true and false", "U": "texts"}
    return kinds.get(array.dtype.kind, "null, or values of several kinds")


def _bad(reason: str) -> RefusedError:
    shown = reason if len(reason) <= _SHOWN_CHARACTERS else f"{reason[:_SHOWN_CHARACTERS]}…"
    return RefusedError(HTTPStatus.BAD_REQUEST, shown)
