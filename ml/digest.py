"""One digest per table content.

Belongs here: SHA-256 of published rows, equal for equal content whatever its order, chunks or encoding. Does not
belong here: digests of files (their bytes are random where the content is not).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ml.frame_checks import BadFrame

# Views and large types are encodings of one logical type; the digest sees that type only.
_CANONICAL: dict[pa.DataType, pa.DataType] = {
    pa.string(): pa.large_string(),
    pa.string_view(): pa.large_string(),
    pa.binary(): pa.large_binary(),
    pa.binary_view(): pa.large_binary(),
}


def canonical_digest(table: pa.Table | pl.DataFrame, key: Sequence[str]) -> str:
    """SHA-256 (hex) of a table's content: names, types, and values in the order of the key.

    Rows are sorted by `key` and, where keys repeat, by all columns. Dictionary encoding, chunks, string encodings and
    nullability of the schema do not matter; names, order and logical types of columns do. Timestamps count in
    microseconds; -0.0 equals 0.0, and all NaN are one.

    Args:
        table: the published columns.
        key: columns that order the rows.

    Raises:
        BadFrame: a key column is missing, or a type has no canonical form.
    """
    arrow = table.to_arrow() if isinstance(table, pl.DataFrame) else table
    missing = [name for name in key if name not in arrow.column_names]
    if missing or len(set(arrow.column_names)) != len(arrow.column_names):
        raise BadFrame(f"The digest needs unique columns with the key {list(key)}; the table has {arrow.column_names}.")
    columns = {name: _canonical(arrow.column(name), name) for name in arrow.column_names}
    order = _row_order(columns, key)
    digest = hashlib.sha256()
    for name, column in columns.items():
        digest.update(f"{name}\x00{column.type}\x00{len(column)}\x00".encode())
        for part in _parts(column.take(order)):
            digest.update(_ipc_bytes(part))
    return digest.hexdigest()


def _canonical(column: pa.ChunkedArray, name: str) -> pa.Array:
    """One array of the logical type."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    target = _canonical_type(column.type, name)
    array = column.cast(target).combine_chunks() if column.type != target else column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], type=target)
    if pa.types.is_floating(target):
        # IEEE: -0.0 + 0.0 = 0.0; every NaN becomes the same NaN.
        is_nan = pc.call_function("is_nan", [array])
        positive_zero = pc.call_function("add", [array, pa.scalar(0.0, target)])
        array = pc.call_function("if_else", [is_nan, pa.scalar(float("nan"), target), positive_zero])
    return array


def _canonical_type(found: pa.DataType, name: str) -> pa.DataType:
    if pa.types.is_timestamp(found):
        return pa.timestamp("us", tz="UTC" if found.tz else None)
    if pa.types.is_list(found) or pa.types.is_large_list(found):
        return pa.large_list(_canonical_type(found.value_type, name))
    if found in _CANONICAL:
        return _CANONICAL[found]
    is_plain = (
        pa.types.is_integer(found)
        or pa.types.is_floating(found)
        or pa.types.is_boolean(found)
        or pa.types.is_decimal(found)
        or pa.types.is_date32(found)
        or found in _CANONICAL.values()
    )
    if not is_plain:
        raise BadFrame(f"Column {name} has type {found}, for which there is no canonical form. Cast it first.")
    return found


def _row_order(columns: dict[str, pa.Array], key: Sequence[str]) -> pa.Array:
    frame = pl.DataFrame({name: pl.Series(_sortable(array)) for name, array in columns.items()})
    keys = list(key)
    if not keys or frame.select(pl.struct(keys).is_duplicated().any()).item():
        keys += [name for name in columns if name not in keys]
    order = frame.select(pl.arg_sort_by(keys, nulls_last=True)).to_series()
    return pa.array(order.to_numpy(), type=pa.uint64())


def _sortable(array: pa.Array) -> pl.Series:
    series = pl.Series(array)
    if isinstance(series.dtype, pl.List):
        # Any total order will do, as long as equal lists and only they are equal.
        return pl.Series([None if row is None else repr(row) for row in array.to_pylist()], dtype=pl.String)
    return series


def _parts(array: pa.Array) -> list[pa.Array]:
    """Null flags and values as arrays without nulls: what lies under a null is arbitrary and must not count."""
    is_null = array.is_null().cast(pa.uint8())
    if pa.types.is_large_list(array.type):
        lengths = pc.fill_null(pc.call_function("list_value_length", [array]), 0)
        return [is_null, lengths, *_parts(pc.call_function("list_flatten", [array]))]
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    return [is_null, pc.fill_null(array, _zero(array.type))]


def _zero(dtype: pa.DataType) -> pa.Scalar:
    """What stands in for a null, next to its flag."""
    if pa.types.is_large_string(dtype):
        return pa.scalar("", dtype)
    if pa.types.is_large_binary(dtype):
        return pa.scalar(b"", dtype)
    if pa.types.is_decimal(dtype):
        return pa.scalar(Decimal(0), dtype)
    if pa.types.is_date32(dtype):
        return pa.scalar(date(1970, 1, 1), dtype)
    if pa.types.is_timestamp(dtype):
        return pa.scalar(datetime(1970, 1, 1, tzinfo=UTC if dtype.tz else None), dtype)
    return pa.scalar(0, dtype)


def _ipc_bytes(array: pa.Array) -> bytes:
    # Taking every row copies: a slice would carry its offset, and bytes beyond its end, into the stream.
    copy = array.take(pa.array(np.arange(len(array))))
    batch = pa.record_batch([copy], names=["values"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()
