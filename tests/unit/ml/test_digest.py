"""One content, one digest: whatever the order, chunks and encodings; any other content, another."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest

from ml.digest import canonical_digest
from ml.frame_checks import BadFrame

CONTENT = {
    "key": ["b", "a", "c", "d"],
    "amount": [Decimal("1.10"), None, Decimal("3.00"), Decimal("-2.50")],
    "share": [0.5, None, -0.0, float("nan")],
    "count": [1, 2, None, 4],
    "is_big": [True, None, False, True],
    "day": [date(2017, 1, 2), None, date(1969, 1, 1), date(2017, 1, 3)],
    "known_at": [
        datetime(2017, 1, 2, tzinfo=UTC),
        None,
        datetime(2018, 1, 2, tzinfo=UTC),
        datetime(2019, 1, 2, tzinfo=UTC),
    ],
    "reasons": [["x", "yz"], None, [], ["x", None]],
}
SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "amount": pa.decimal128(18, 4),
        "share": pa.float64(),
        "count": pa.int64(),
        "is_big": pa.bool_(),
        "day": pa.date32(),
        "known_at": pa.timestamp("us", tz="UTC"),
        "reasons": pa.list_(pa.string()),
    }
)
TABLE = pa.table(CONTENT, schema=SCHEMA)
DIGEST = canonical_digest(TABLE, ["key"])


def test_order_chunks_slices_and_encodings_do_not_matter() -> None:
    shuffled = TABLE.take([2, 0, 3, 1])
    chunked = pa.concat_tables([TABLE.slice(i, 1) for i in (3, 1, 2, 0)])
    sliced = pa.concat_tables([TABLE, TABLE]).slice(4, 4)
    encoded = TABLE.set_column(0, "key", TABLE["key"].dictionary_encode())
    large = TABLE.set_column(0, "key", TABLE["key"].cast(pa.large_string()))
    viewed = TABLE.set_column(0, "key", TABLE["key"].cast(pa.string_view()))
    required = TABLE.cast(SCHEMA.set(0, pa.field("key", pa.string(), nullable=False)))
    for variant in (shuffled, chunked, sliced, encoded, large, viewed, required, pl.from_arrow(TABLE)):
        assert canonical_digest(variant, ["key"]) == DIGEST  # type: ignore[arg-type]


def test_zero_has_one_sign_and_time_one_unit() -> None:
    positive = TABLE.set_column(2, "share", pa.array([0.5, None, 0.0, float("nan")]))
    nanoseconds = TABLE.set_column(6, "known_at", TABLE["known_at"].cast(pa.timestamp("ns", tz="UTC")))
    assert canonical_digest(positive, ["key"]) == DIGEST
    assert canonical_digest(nanoseconds, ["key"]) == DIGEST


@pytest.mark.parametrize("name", [name for name in CONTENT if name != "key"])
def test_any_other_value_is_another_digest(name: str) -> None:
    position = SCHEMA.get_field_index(name)
    values = CONTENT[name]
    for other in ([values[3], *values[1:]], [values[0], values[0], *values[2:]], [None, *values[1:]]):
        changed = TABLE.set_column(position, SCHEMA.field(name), pa.array(other, type=SCHEMA.field(name).type))
        if changed[name] != TABLE[name]:
            assert canonical_digest(changed, ["key"]) != DIGEST


def test_what_lies_under_a_null_does_not_count() -> None:
    values = pa.array([1, 7], type=pa.int64())
    garbage = pa.Array.from_buffers(pa.int64(), 2, [pa.py_buffer(b"\x01"), values.buffers()[1]])
    clean = pa.array([1, None], type=pa.int64())
    assert garbage.equals(clean)
    assert canonical_digest(pa.table({"x": garbage}), ["x"]) == canonical_digest(pa.table({"x": clean}), ["x"])


def test_names_order_and_types_of_columns_count() -> None:
    assert canonical_digest(TABLE.select(TABLE.column_names[::-1]), ["key"]) != DIGEST
    assert canonical_digest(TABLE.rename_columns(["key", "sum", *TABLE.column_names[2:]]), ["key"]) != DIGEST
    narrow = TABLE.set_column(3, "count", TABLE["count"].cast(pa.int32()))
    assert canonical_digest(narrow, ["key"]) != DIGEST


def test_text_that_runs_together_is_told_apart() -> None:
    left, right = pa.table({"x": ["ab", "c"]}), pa.table({"x": ["a", "bc"]})
    assert canonical_digest(left, ["x"]) != canonical_digest(right, ["x"])
    nested = [pa.table({"k": [1, 2], "x": [[["a"], ["b", "c"]], [["a", "b"], ["c"]]][i]}) for i in range(2)]
    assert canonical_digest(nested[0], ["k"]) != canonical_digest(nested[1], ["k"])


def test_repeated_keys_are_ordered_by_the_whole_row() -> None:
    rows = pl.DataFrame({"key": ["a", "a", "b"], "value": [2, 1, 3]})
    assert canonical_digest(rows, ["key"]) == canonical_digest(rows.reverse(), ["key"])
    assert canonical_digest(rows, ["key"]) != canonical_digest(rows.unique(subset="key"), ["key"])


def test_empty_tables_differ_by_schema() -> None:
    assert canonical_digest(TABLE.slice(0, 0), ["key"]) == canonical_digest(SCHEMA.empty_table(), ["key"])
    assert canonical_digest(TABLE.slice(0, 0).select(["key"]), ["key"]) != canonical_digest(TABLE.slice(0, 0), ["key"])


def test_unknown_keys_and_types_are_refused() -> None:
    with pytest.raises(BadFrame, match="with the key"):
        canonical_digest(TABLE, ["nowhere"])
    with pytest.raises(BadFrame, match="no canonical form"):
        canonical_digest(pa.table({"x": pa.array([{"a": 1}])}), ["x"])
