"""Text files as records: every line is accounted for, nothing is guessed."""

import base64
import csv
import gzip
import io
import json
import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from resources.records import HIDDEN, IS_BASE64, LINE, PROBLEM, RAW, Text, stage_text
from resources.source_bytes import MAX_RECORD_BYTES, SourceFileError, content_sha256, file_sha256
from resources.staged_messages import StagedMessages

HEADER = b"id,name,units\n"


def staged(tmp_path: Path, content: bytes, kind: str = "csv", text: Text | None = None) -> pl.DataFrame:
    source, target = tmp_path / "source", tmp_path / "staged.parquet"
    source.write_bytes(content)
    stage_text(source, kind, text or Text(), target)  # type: ignore[arg-type]
    return pl.read_parquet(target)


def refusal(tmp_path: Path, content: bytes, kind: str = "csv") -> str | None:
    with pytest.raises(SourceFileError) as refused:
        staged(tmp_path, content, kind)
    return refused.value.rule_id


def test_fields_are_the_texts_that_were_delivered(tmp_path: Path):
    rows = staged(tmp_path, HEADER + b'007,"a, ""b""",1e3\r\n\r\n8,,-0\n')
    assert rows.drop(HIDDEN).rows() == [("007", 'a, "b"', "1e3"), ("8", None, "-0")]
    assert rows[LINE].to_list() == [2, 4]
    assert rows[RAW].to_list() == ['007,"a, ""b""",1e3', "8,,-0"]
    assert rows[PROBLEM].null_count() == 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"1,a", "record.fields"),
        (b"1,a,2,3", "record.fields"),
        (b'1,"a,2', "record.quotes"),
        (b'1,"a"b,2', "record.quotes"),
        (b"1,\xff,2", "record.encoding"),
        (b"1,a\x00,2", "record.control"),
    ],
)
def test_a_record_that_cannot_be_read_spoils_no_other(tmp_path: Path, line: bytes, problem: str):
    rows = staged(tmp_path, HEADER + b"0,good,1\n" + line + b"\n2,good,1\n")
    assert rows[PROBLEM].to_list() == [None, problem, None]
    bad = rows.row(1, named=True)
    raw = base64.b64decode(bad[RAW]).rstrip() if bad[IS_BASE64] else bad[RAW].encode()
    assert raw == line
    assert bad["id"] is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"id": 1', "record.json"),
        (b"[1, 2]", "record.json"),
        (b'{"id": 1, "id": 2}', "record.json"),
        (b'{"id": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "record.json"),
        (b'{"id": "\xff"}', "record.encoding"),
        (b'{"id": "\\ud800"}', "record.encoding"),
        (b'{"id": "a\\u0000"}', "record.control"),
    ],
)
def test_a_json_line_that_is_no_plain_object(tmp_path: Path, line: bytes, problem: str):
    rows = staged(tmp_path, b'{"id": 1}\n' + line + b"\n", "jsonl")
    assert rows[PROBLEM].to_list() == [None, problem]


def test_json_keeps_numbers_as_they_are_written(tmp_path: Path):
    line = b'{"a": 1.10, "b": 9223372036854775808, "c": NaN, "d": true, "e": null, "f": {"g": [1]}, "h": "x"}'
    rows = staged(tmp_path, line, "jsonl").drop(HIDDEN)
    assert rows.rows() == [("1.10", "9223372036854775808", "NaN", "true", None, '{"g": [1]}', "x")]


def test_keys_of_all_json_lines_are_columns(tmp_path: Path):
    rows = staged(tmp_path, b'{"a": 1}\n{"b": 2}\n', "jsonl").drop(HIDDEN)
    assert rows.to_dict(as_series=False) == {"a": ["1", None], "b": [None, "2"]}


def test_a_quoted_field_may_hold_a_line_break_where_the_mapping_says_so(tmp_path: Path):
    rows = staged(tmp_path, HEADER + b'1,"two\nlines",3\n4,five,6\n', text=Text(is_multiline=True))
    assert rows["name"].to_list() == ["two\nlines", "five"]
    assert rows[LINE].to_list() == [2, 4]


def test_another_encoding_delimiter_and_no_header(tmp_path: Path):
    text = Text(encoding="latin-1", delimiter=";", columns=("id", "name"))
    rows = staged(tmp_path, "1;café\n".encode("latin-1"), text=text)
    assert rows["name"].to_list() == ["café"]
    with pytest.raises(ValidationError, match="superset of ASCII"):
        Text(encoding="utf-16")


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "file.empty"),
        (b" \r\n\n", "file.empty"),
        (b"PAR1....", "file.format"),
        ("id,name\n1,a\n".encode("utf-16"), "file.encoding"),
        (b"id,\xff\n1,2\n", "file.encoding"),
        (b"id,id\n1,2\n", "file.columns"),
        (b"id,_line\n1,2\n", "file.columns"),
        (gzip.compress(HEADER + b"1,a,2\n" * 1000)[:-20], "file.truncated"),
        (HEADER + b"x" * (MAX_RECORD_BYTES + 2), "file.record_too_long"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_rule(tmp_path: Path, content: bytes, rule: str):
    assert refusal(tmp_path, content) == rule


def test_json_without_an_object_is_refused(tmp_path: Path):
    assert refusal(tmp_path, b"id,name\n1,a\n", "jsonl") == "file.format"


def test_a_header_alone_is_a_delivery_of_nothing(tmp_path: Path):
    assert staged(tmp_path, HEADER).height == 0


def test_content_is_the_same_under_any_compression(tmp_path: Path):
    plain, small, big = (tmp_path / name for name in ("a.csv", "b.csv.gz", "c.gz"))
    content = HEADER + b"1,a,2\n" * 100
    plain.write_bytes(content)
    small.write_bytes(gzip.compress(content, 9))
    big.write_bytes(gzip.compress(content, 1))
    paths = (plain, small, big)
    assert {content_sha256(path) for path in paths} == {file_sha256(plain)}
    assert len({file_sha256(path) for path in paths}) == 3


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00", exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.tuples(FIELD, FIELD, FIELD), max_size=20))
def test_what_csv_wrote_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([("x", "y", "z"), *rows])
    found = staged(tmp_path_factory.mktemp("csv"), out.getvalue().encode())
    assert found.drop(HIDDEN).rows() == [tuple(value or None for value in row) for row in rows]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), FIELD, min_size=1), min_size=1, max_size=20))
def test_what_json_wrote_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]):
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    found = staged(tmp_path_factory.mktemp("json"), content, "jsonl").drop(HIDDEN)
    assert found.to_dicts() == [{name: row.get(name) or None for name in found.columns} for row in rows]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_mutated_records_are_all_accounted_for(tmp_path: Path, kind: str):
    """10,000 records with a byte or two changed: each line is one record, good or with a reason, and none is lost."""
    dice = random.Random(20171204)
    lines = []
    for number in range(10_000):
        good = b'%d,"name, %d",%d' % (number, number, number)
        if kind == "jsonl":
            good = b'{"id": %d, "name": "n%d", "units": %d}' % (number, number, number)
        line = bytearray(good)
        for _ in range(dice.randint(1, 2)):
            line[dice.randrange(len(line))] = dice.choice([b for b in range(256) if b not in b"\r\n"])
        lines.append(bytes(line))
    head = HEADER if kind == "csv" else b'{"id": 0, "name": "", "units": 0}\n'
    rows = staged(tmp_path, head + b"\n".join(lines), kind)
    assert rows.height == len(lines) + (kind == "jsonl")
    unread = rows.filter(pl.col(PROBLEM).is_not_null())
    assert 0 < unread.height < rows.height
    assert unread.drop(HIDDEN).null_count().sum_horizontal().item() == unread.height * (len(rows.columns) - len(HIDDEN))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_messages_are_the_records_that_a_file_of_them_holds(tmp_path: Path, size: int):
    """Declared fields first, the others by name; a field that is named like a hidden column is not read.

    In however many pieces they come.
    """
    values = [
        b'{"b": 1.50, "z": [1.0, {"y": NaN, "x": "1"}], "_line": 7}',
        b"",
        b"\xff",
        b'{"a": "x", "c": null, "c": 1}',
        b'{"a": "\\u0000"}',
    ]
    text = Text(columns=("a", "never"))
    messages = StagedMessages(text, tmp_path / "messages.parquet")
    for place in range(0, len(values), size):
        messages.add(values[place : place + size])
    assert messages.size_bytes == sum(map(len, values))
    rows = messages.finish()
    assert pl.read_parquet(tmp_path / "messages.parquet").equals(rows)
    assert rows.columns == ["a", "never", "b", "z", *HIDDEN]
    assert rows[LINE].to_list() == [1, 2, 3, 4, 5]
    assert rows[PROBLEM].to_list() == [None, "record.json", "record.encoding", "record.json", "record.control"]
    assert rows.row(0)[:4] == (None, None, "1.50", '[1.0, {"y": NaN, "x": "1"}]')
    lines = staged(tmp_path, b"\n".join(value.replace(b', "_line": 7', b"") for value in values), "jsonl", text)
    assert lines.drop(LINE, RAW).equals(rows.filter(pl.col(RAW) != "").drop(LINE, RAW))
    assert lines[RAW].to_list()[1:] == [raw for raw in rows[RAW].to_list()[1:] if raw]
