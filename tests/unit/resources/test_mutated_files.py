"""Mutated text files: refused whole for a reason, or every line one record; a null only where nothing was delivered."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
import zlib
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.records import HIDDEN, LINE, PROBLEM, RAW, RECORD_PROBLEMS, Text, stage_text
from resources.source_bytes import MAX_RECORD_BYTES, SourceFileError
from resources.staging import layout_of, stage_parquet
from tests.conftest import CERTIFY_TIMES
from tests.mutants import Mutant, mutant

FILE_RULES = {"file.empty", "file.format", "file.encoding", "file.truncated", "file.columns", "file.record_too_long"}
FILES = 600 * CERTIFY_TIMES


def staged(folder: Path, found: Mutant) -> pl.DataFrame | str:
    """The records, or the rule for which the file was refused."""
    source, target = folder / found.name, folder / "staged.parquet"
    source.write_bytes(found.content)
    try:
        stage_text(source, found.kind, Text(), target)  # type: ignore[arg-type]
    except SourceFileError as error:
        return str(error.rule_id)
    finally:
        source.unlink()
    return pl.read_parquet(target)


def plain(content: bytes) -> bytes | None:
    """What the standard library unpacks; None where the packing is spoilt."""
    try:
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return None


def test_every_mutated_file_is_accounted_for(tmp_path: Path):
    """Against a naive count of lines and the standard library's parsers, line by line."""
    refused = {}
    for found in map(mutant, range(FILES)):
        if found.kind == "parquet":
            continue
        outcome, content = staged(tmp_path, found), plain(found.content)
        if isinstance(outcome, str):
            assert outcome in FILE_RULES, found
            refused[found.number] = outcome
            continue
        assert content is not None, found
        lines = [line for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
        assert outcome.height == len(lines) - (found.kind == "csv"), found
        assert outcome[LINE].is_sorted(), found
        for row in outcome.iter_rows(named=True):
            require_no_silent_null(found, row)
    assert set(refused.values()) >= FILE_RULES - {"file.record_too_long"}
    assert 0 < len(refused) < FILES / 2


def require_no_silent_null(found: Mutant, row: dict[str, object]) -> None:
    problem, raw = row[PROBLEM], str(row[RAW])
    fields = {name: value for name, value in row.items() if name not in HIDDEN}
    if problem is not None:
        assert problem in RECORD_PROBLEMS, found
        assert not any(fields.values()), found
    elif found.kind == "csv":
        delivered = next(csv.reader([raw]))
        assert [value or "" for value in fields.values()] == delivered, (found, raw)
    else:
        given = json.loads(raw)
        assert {name for name, value in fields.items() if value is None} == {
            name for name in fields if given.get(name) in (None, "")
        }, (found, raw)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_bomb_of_one_line_is_refused_in_bounded_memory(tmp_path: Path, kind: str):
    """200 MB of one line in 200 kB: no more is unpacked than the longest record may have."""
    bomb = Mutant(0, kind, "bomb", gzip.compress(b"x" * 200_000_000, 9))  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        assert staged(tmp_path, bomb) == "file.record_too_long"
        assert tracemalloc.get_traced_memory()[1] < 6 * MAX_RECORD_BYTES
    finally:
        tracemalloc.stop()


def test_texts_of_a_parquet_file_that_are_no_utf_8_are_refused(tmp_path: Path):
    """A bit flipped in a page without a checksum: Arrow reads it, and would hand on bytes that are no text."""
    source, local = tmp_path / "sales.parquet", tmp_path / "staged.parquet"
    pq.write_table(pa.table({"receipt": ["plain", "abcdefgh"]}), source, compression="none", use_dictionary=False)
    source.write_bytes(source.read_bytes().replace(b"abcdefgh", b"abc\xffefgh"))
    with pytest.raises(SourceFileError, match="not a whole Parquet file") as refused:
        stage_parquet(source, local, source)
    assert refused.value.rule_id == "file.truncated"


def test_types_that_spark_does_not_have(tmp_path: Path):
    """Unsigned numbers are read as wider ones; what has no equal is refused by its name."""
    path = tmp_path / "sales.parquet"
    pq.write_table(pa.table({"units": pa.array([255], pa.uint8()), "id": pa.array([2**64 - 1], pa.uint64())}), path)
    assert [column.type for column in layout_of(path, path.name)] == ["SMALLINT", "DECIMAL(20,0)"]
    pq.write_table(pa.table({"at": pa.array([0], pa.float16())}), path)
    with pytest.raises(SourceFileError, match="column at is of type halffloat") as refused:
        layout_of(path, path.name)
    assert refused.value.rule_id == "file.columns"
