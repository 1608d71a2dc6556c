"""Rows told apart by their keys, in the form that a Parquet file holds them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray


def keyed_rows(data: pd.DataFrame, keys: Sequence[str], time_column: str, origin: str) -> pa.Table:
    """The rows ascending by key; times are UTC, text is text however pandas held it.

    Args:
        data: The rows; a time without zone is UTC.
        keys: The columns that tell one row from all others.
        time_column: The one of them that holds times in whole seconds.
        origin: What an error names.

    Raises:
        ValueError: A key is missing, a time is none or not in whole seconds, two rows have
            the same keys, or Parquet cannot hold a column.
    """
    if missing := [name for name in keys if name not in data]:
        found = ", ".join(map(str, data)) or "no column"
        raise ValueError(f"{origin}: expected the column {', '.join(missing)}, found {found}")
    for name in keys:
        gaps = data[name].isna().to_numpy()
        if gaps.any():
            raise ValueError(f"{origin}: {name} is missing in row {gaps.argmax()}")
    times = _whole_seconds(data[time_column], origin)
    try:
        table = pa.Table.from_pandas(data.assign(**{time_column: times}), preserve_index=False)
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"{origin}: Parquet cannot hold these rows ({error})") from error
    table = table.cast(pa.schema([_plain(field) for field in table.schema]))
    order, like_next = _by_key(table, keys)
    if like_next.any():
        row = table.slice(int(order[like_next.argmax()]), 1).to_pylist()[0]
        told = ", ".join(f"{name} {row[name]}" for name in keys)
        raise ValueError(
            f"{origin}: {like_next.sum():,} rows have the keys of another one, such as {told}; "
            "give each once"
        )
    return table.take(order)


def merge_rows(there: pa.Table, new: pa.Table, keys: Sequence[str]) -> pa.Table:
    """All rows ascending by key, the new ones in the place of those there with the same keys.

    A column that only one of the tables has is missing in the rows of the other.

    Raises:
        pyarrow.ArrowException: A column holds one kind of values there, another one here.
    """
    joined = pa.concat_tables([there, new], promote_options="permissive")
    order, like_next = _by_key(joined, keys)  # of like rows the new one comes last
    names = dict.fromkeys([*new.column_names, *there.column_names])
    return joined.take(order[~like_next]).select(list(names))


def to_parquet(table: pa.Table) -> bytes:
    """The bytes of a Parquet file; checksums tell later whether it is still whole."""
    buffer = pa.BufferOutputStream()
    # In one piece: how rows came together must not show in the bytes.
    pq.write_table(table.combine_chunks(), buffer, compression="zstd", write_page_checksum=True)
    content: bytes = buffer.getvalue().to_pybytes()
    return content


def from_parquet(content: bytes) -> pa.Table:
    """The table in a Parquet file.

    Raises:
        pyarrow.ArrowException, OSError: It is damaged, or no Parquet file.
    """
    return pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True).read()


def _whole_seconds(given: pd.Series, origin: str) -> pd.Series:
    """Times in UTC, without zone, in the coarsest unit that Parquet has."""
    if not pd.api.types.is_datetime64_any_dtype(given):
        raise ValueError(f"{origin}: expected times in {given.name}, found {given.dtype}")
    times = pd.to_datetime(given, utc=True).dt.tz_localize(None)
    fractions = (times != times.dt.floor("s")).to_numpy()
    if fractions.any():
        row = int(fractions.argmax())
        raise ValueError(f"{origin}: {times.iloc[row]} in row {row} is not a whole second")
    return times.astype("datetime64[ms]")


def _plain(field: pa.Field) -> pa.Field:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return pa.field(field.name, pa.string() if pa.types.is_large_string(kind) else kind)


def _by_key(table: pa.Table, keys: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The order by key, equal ones as they stand, and which in it have the keys of the next."""
    codes = [_codes(table.column(name)) for name in keys]
    order = np.lexsort(codes[::-1])
    like_next = np.zeros(len(order), dtype=bool)
    like_next[:-1] = np.all([code[order][:-1] == code[order][1:] for code in codes], axis=0)
    return order, like_next


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Whole numbers in the order of a column's values, the same for the same value."""
    encoded = column.combine_chunks().dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    codes = np.empty(len(order), dtype=np.int64)
    codes[order] = np.arange(len(order))
    return codes[encoded.indices.to_numpy()]
