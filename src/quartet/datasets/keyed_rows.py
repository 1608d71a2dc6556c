"""Tables of rows with unique keys, as Parquet files store them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray


def to_keyed_table(
    data: pd.DataFrame, keys: Sequence[str], time_column: str, origin: str
) -> pa.Table:
    """Convert a data frame to a table sorted by key, with times in UTC.

    Args:
        data: The rows; times without time zone are UTC.
        keys: The columns that identify a row.
        time_column: The key column of times, in whole seconds.
        origin: Prefix of error messages, such as a path.

    Raises:
        ValueError: A key is missing or duplicated, a time is invalid or not in whole seconds,
            or Parquet does not support a column.
    """
    if missing := [name for name in keys if name not in data]:
        found = ", ".join(map(str, data)) or "no column"
        raise ValueError(f"{origin}: column {', '.join(missing)} is missing; found {found}")
    for name in keys:
        is_missing = data[name].isna().to_numpy()
        if is_missing.any():
            raise ValueError(
                f"{origin}: {name} in row {is_missing.argmax()} is missing; set or drop it"
            )
    times = _to_utc(data[time_column], origin)
    try:
        table = pa.Table.from_pandas(data.assign(**{time_column: times}), preserve_index=False)
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(
            f"{origin}: Parquet does not support these rows ({error}); convert their columns"
        ) from error
    table = table.cast(pa.schema([_simplify(field) for field in table.schema]))
    order, is_duplicate = _sort_by_key(table, keys)
    if is_duplicate.any():
        row = table.slice(int(order[is_duplicate.argmax()]), 1).to_pylist()[0]
        example = ", ".join(f"{name} {row[name]}" for name in keys)
        raise ValueError(
            f"{origin}: {is_duplicate.sum():,} rows have duplicate keys, such as {example}; "
            "drop the duplicates"
        )
    return table.take(order)


def merge_rows(stored: pa.Table, new: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Merge tables by key: new rows replace stored rows with the same keys.

    Values of columns that only one table has are null in the rows of the other. The result
    is sorted by key.

    Raises:
        pyarrow.ArrowException: A column has incompatible types.
    """
    combined = pa.concat_tables([stored, new], promote_options="permissive")
    order, is_duplicate = _sort_by_key(combined, keys)  # new rows are last among duplicates
    names = dict.fromkeys([*new.column_names, *stored.column_names])
    return combined.take(order[~is_duplicate]).select(list(names))


def to_parquet(table: pa.Table) -> bytes:
    """Serialise a table as a Parquet file with checksums."""
    buffer = pa.BufferOutputStream()
    # Combined, so that the bytes do not depend on the chunks.
    pq.write_table(table.combine_chunks(), buffer, compression="zstd", write_page_checksum=True)
    content: bytes = buffer.getvalue().to_pybytes()
    return content


def from_parquet(content: bytes) -> pa.Table:
    """Read the table in a Parquet file.

    Raises:
        pyarrow.ArrowException, OSError: The file is damaged, or not a Parquet file.
    """
    return pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True).read()


def _to_utc(values: pd.Series, origin: str) -> pd.Series:
    """Return times in UTC without zone, in milliseconds, the coarsest unit of Parquet."""
    if not pd.api.types.is_datetime64_any_dtype(values):
        raise ValueError(
            f"{origin}: {values.name} has dtype {values.dtype}, expected times; convert it with "
            "pandas.to_datetime"
        )
    times = pd.to_datetime(values, utc=True).dt.tz_localize(None)
    has_fraction = (times != times.dt.floor("s")).to_numpy()
    if has_fraction.any():
        row = int(has_fraction.argmax())
        raise ValueError(
            f"{origin}: {values.name} in row {row} is {times.iloc[row]}, expected whole seconds; "
            "round it"
        )
    return times.astype("datetime64[ms]")


def _simplify(field: pa.Field) -> pa.Field:
    """Return a field with dictionaries and large strings replaced by plain types."""
    dtype = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return pa.field(field.name, pa.string() if pa.types.is_large_string(dtype) else dtype)


def _sort_by_key(
    table: pa.Table, keys: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return a stable order by key, and whether each row in it has the keys of the next one."""
    codes = [_encode(table.column(name)) for name in keys]
    order = np.lexsort(codes[::-1])
    is_duplicate = np.zeros(len(order), dtype=bool)
    is_duplicate[:-1] = np.all([code[order][:-1] == code[order][1:] for code in codes], axis=0)
    return order, is_duplicate


def _encode(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Encode values as integers with the same order."""
    encoded = column.combine_chunks().dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    codes = np.empty(len(order), dtype=np.int64)
    codes[order] = np.arange(len(order))
    return codes[encoded.indices.to_numpy()]
