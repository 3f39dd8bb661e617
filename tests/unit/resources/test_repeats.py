"""What a delivery's own columns prove of its records before Spark reads them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.contracts.evolution import SourceColumn
from resources import repeats
from resources.mapping import load_mapping
from resources.records import Text
from resources.repeats import identifying_columns, repeats_in
from resources.staged_messages import StagedMessages

KEYS, EXTRAS = ("1", "2", None), ("", ' "b": 1', ' "b":1')
RECORDS = st.lists(
    st.one_of(
        st.builds(
            lambda key, extra: f'{{"a": {"null" if key is None else key}{"," if extra else ""}{extra}}}'.encode(),
            st.sampled_from(KEYS), st.sampled_from(EXTRAS),
        ),
        st.sampled_from([b"{", b"", b"\xff"]),
    ),
    max_size=12,
)  # fmt: skip


def staged(records: list[bytes], folder: str | Path) -> pl.DataFrame:
    messages = StagedMessages(Text(columns=("a", "b")), Path(folder) / "records.parquet")
    messages.add(records)
    return messages.finish()


@given(RECORDS)
def test_repeats_are_those_of_a_naive_loop(records: list[bytes]):
    """Of those that can be read: the same bytes as an earlier one; of the rest, those with another of their key."""
    with TemporaryDirectory() as folder:
        frame = staged(records, folder)
    found = repeats_in(frame.lazy(), ["a"], is_text=True)
    keys = frame.select("a", "_problem").rows()
    same, rest = [], defaultdict(list)
    for line, (record, (key, problem)) in enumerate(zip(records, keys, strict=True), start=1):
        if problem is not None:
            continue
        if record in records[: line - 1]:
            same.append(line)
        else:
            rest[key].append(line)
    assert found.same.to_list() == same
    assert found.alike is not None
    assert found.alike.to_list() == sorted(line for group in rest.values() if len(group) > 1 for line in group)


def test_of_many_the_bytes_are_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    frame = staged([b'{"a": 1}', b'{"a": 1}', b'{"a": 2}'], tmp_path)
    monkeypatch.setattr(repeats, "MOST_COMPARED", 1)
    found = repeats_in(frame.lazy(), ["a"], is_text=True)
    assert found.same.is_empty()
    assert found.alike is not None
    assert found.alike.to_list() == [1, 2]


def test_rows_of_a_parquet_file_are_counted_and_not_compared(tmp_path: Path):
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"a": [1, 2, 1, 3, 2, 2], "b": [1, 1, 1, 1, 1, 1]}).write_parquet(path)
    rows = pl.scan_parquet(path)
    found = repeats_in(rows, ["a", "b"], is_text=False)
    assert found.same.is_empty()
    assert found.alike is not None
    assert found.alike.to_list() == [1, 2, 3, 5, 6]
    assert repeats_in(rows, None, is_text=False).alike is None


def test_a_key_is_told_apart_by_the_columns_it_is_made_of():
    """Only where different values stay different: whole numbers and texts do, a rounded or joined key may not."""
    lines = load_mapping("completejourney").tables["pos_lines"]
    file = [SourceColumn("basket_id", "BIGINT"), SourceColumn("product_id", "BIGINT"), SourceColumn("week", "BIGINT")]
    assert identifying_columns(lines, file) == ("basket_id", "product_id")
    assert identifying_columns(lines, [*file[1:], SourceColumn("basket_id", "DOUBLE")]) is None
    joined = {**lines.columns, "line_id": "CONCAT(product_id, week)"}
    assert identifying_columns(lines.model_copy(update={"columns": joined}), file) is None
    whole = load_mapping("completejourney").tables["offers"]
    assert identifying_columns(whole, file) == ("basket_id", "product_id", "week")
