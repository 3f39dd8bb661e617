"""Text files as source records: CSV and JSON lines, plain or gzip.

Belongs here: turning bytes into records whose fields are the texts that were delivered, with line number and raw text,
and saying why a record or a file cannot be read. Does not belong here: what the fields mean (mapping), which records
are good (contracts).

Nothing is guessed and nothing is dropped: a record that cannot be read keeps its bytes and gets a reason; only a line
without any character besides white space is no record. Memory is bounded by one batch and one record.
"""

from __future__ import annotations

import base64
import codecs
import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, field_validator

from resources.json_records import json_fields, json_object, json_values
from resources.source_bytes import MAX_RECORD_BYTES, SourceFileError, content, require_text, text_lines

Format = Literal["csv", "jsonl", "parquet"]
# Hidden columns of staged records; a source column of such a name is refused.
LINE, RAW, IS_BASE64, PROBLEM = "_line", "_raw", "_is_base64", "_problem"
HIDDEN = (LINE, RAW, IS_BASE64, PROBLEM)
# Why a record cannot be read; the ids of the rules that it breaks.
RECORD_PROBLEMS = ("record.fields", "record.quotes", "record.encoding", "record.control", "record.json")
# So few records are Python objects at a time: its collector walks whatever lives long.
CHUNK_RECORDS = 512
GROUP_RECORDS, GROUP_BYTES = 65_536, 32 * 1024**2


class Text(BaseModel):
    """How a text file is written.

    Attributes:
        encoding: a Python codec; UTF-8 may begin with its byte order mark.
        delimiter, quote: of CSV.
        columns: names of a CSV file's fields; None takes them from its first record. Of JSON lines: fields that a
            record may have, so that a file in which no record has one is read like any other.
        is_multiline: a quoted CSV field may hold a line break. Off, a stray quote spoils one line and not the next.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    columns: tuple[str, ...] | None = None
    is_multiline: bool = False

    @field_validator("encoding")
    @classmethod
    def _keeps_lines(cls, encoding: str) -> str:
        if "\n".encode(codecs.lookup(encoding).name) != b"\n":
            raise ValueError(f"{encoding} is not a superset of ASCII: convert the file to UTF-8 first")
        return encoding


@dataclass
class _Chunk:
    """Records on their way to Arrow."""

    columns: Sequence[str]
    encoding: str
    rows: list[list[str | None]] = field(default_factory=list)
    hidden: list[tuple[int, str, bool, str | None]] = field(default_factory=list)
    size: int = 0

    def add(self, line: int, raw: bytes, fields: list[str | None] | None, problem: str | None) -> None:
        text, is_base64 = payload(raw, self.encoding)
        self.rows.append(fields if fields is not None else [None] * len(self.columns))
        self.hidden.append((line, text, is_base64, problem))
        self.size += len(raw)

    @property
    def is_full(self) -> bool:
        return len(self.rows) >= CHUNK_RECORDS or self.size >= GROUP_BYTES

    def to_arrow(self) -> pa.RecordBatch:
        schema = text_schema(self.columns)
        values = [list(column) for column in zip(*self.rows, strict=True)] or [[] for _ in self.columns]
        hidden = [list(column) for column in zip(*self.hidden, strict=True)] or [[] for _ in HIDDEN]
        arrays = [pa.array(column, item.type) for column, item in zip([*values, *hidden], schema, strict=True)]
        return pa.record_batch(arrays, schema=schema)


# Fields of a record, or why it has none.
Parser = Callable[[bytes], tuple[list[str | None] | None, str | None]]
# A record as read: line of its first byte, its bytes, its fields or why it has none.
_Record = tuple[int, bytes, Any, str | None]


def stage_text(path: Path, kind: Literal["csv", "jsonl"], text: Text, target: Path) -> None:
    """Write the records of a text file to the Parquet file `target`, all fields as texts.

    An empty field is null. A record that cannot be read has null fields and its reason in PROBLEM:
    `record.encoding`, `record.fields` (their number), `record.quotes`, `record.json`, `record.control` (a NUL).

    Raises:
        SourceFileError: rule file.empty, file.format, file.encoding, file.truncated, file.columns or
            file.record_too_long.
    """
    require_text(path)
    columns = _columns(path, kind, text)
    clash = [name for name in columns if name in HIDDEN]
    repeated = sorted({name for name in columns if columns.count(name) > 1 or not name})
    if clash or repeated:
        raise SourceFileError(f"{path.name}: columns {clash or repeated} cannot be told apart.", "file.columns")
    parse = parser(kind, text, columns)
    with content(path) as stream:
        chunks = _chunks(_records(stream, path, kind, text, parse), columns, text.encoding)
        _write_groups(chunks, text_schema(columns), target)


def _chunks(records: Iterable[_Record], columns: Sequence[str], encoding: str) -> Iterator[pa.RecordBatch]:
    """The records in chunks; one without records where there are none."""
    chunk = _Chunk(columns, encoding)
    for line, raw, fields, problem in records:
        chunk.add(line, raw, fields, problem)
        if chunk.is_full:
            yield chunk.to_arrow()
            chunk = _Chunk(columns, encoding)
    yield chunk.to_arrow()


def _write_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema, target: Path) -> None:
    """Write a Parquet file in row groups that every core can take one of."""
    with pq.ParquetWriter(target, schema) as writer:
        group: list[pa.RecordBatch] = []
        for batch in batches:
            group.append(batch)
            if sum(map(len, group)) >= GROUP_RECORDS or sum(item.nbytes for item in group) >= GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(group))
                group = []
        if group:
            writer.write_table(pa.Table.from_batches(group))


def text_schema(columns: Sequence[str]) -> pa.Schema:
    """Of staged records with these fields: texts, then the hidden columns."""
    return pa.schema([
        *((name, pa.string()) for name in columns),
        (LINE, pa.int64()), (RAW, pa.string()), (IS_BASE64, pa.bool_()), (PROBLEM, pa.string()),
    ])  # fmt: skip


def payload(raw: bytes, encoding: str) -> tuple[str, bool]:
    """A record's bytes without their line end as text; as Base64, and True, where they are none in the encoding."""
    try:
        return raw.decode(encoding).rstrip("\r\n"), False
    except UnicodeDecodeError:
        return base64.b64encode(raw.rstrip(b"\r\n")).decode("ascii"), True


def _columns(path: Path, kind: str, text: Text) -> tuple[str, ...]:
    """Names of the fields: declared, of the first CSV record, or all keys of a JSON lines file."""
    if kind == "jsonl":
        return _json_keys(path, text)
    if text.columns is not None:
        return text.columns
    with content(path) as stream:
        first = next(text_lines(stream, path), None)
    if first is None:
        raise SourceFileError(f"{path} is empty. Deliver it again.", "file.empty")
    try:
        return tuple(name.strip() for name in _split(first[1].decode(text.encoding).rstrip("\r\n"), text))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceFileError(
            f"{path}: its first line is not {text.encoding} text: {error}.", "file.encoding"
        ) from error


def _json_keys(path: Path, text: Text) -> tuple[str, ...]:
    names: dict[str, None] = {}
    with content(path) as stream:
        for _, line in text_lines(stream, path):
            found, _ = json_object(line)
            names.update(dict.fromkeys(found or ()))
    if not names:
        raise SourceFileError(f"{path} holds no JSON object. Is it JSON lines?", "file.format")
    return json_fields([names], text.columns)


def _records(stream: IO[bytes], path: Path, kind: str, text: Text, parse: Parser) -> Iterator[_Record]:
    lines = text_lines(stream, path)
    if kind == "csv" and text.columns is None:
        next(lines, None)
    if kind == "csv" and text.is_multiline:
        lines = _quoted_records(lines, text)
    for number, raw in lines:
        fields, problem = parse(raw)
        yield number, raw, fields, problem


def _quoted_records(lines: Iterator[tuple[int, bytes]], text: Text) -> Iterator[tuple[int, bytes]]:
    """Lines joined while a quote is open, up to the size that a record may have."""
    quote = text.quote.encode()
    for number, line in lines:
        record = line
        while record.count(quote) % 2 and len(record) <= MAX_RECORD_BYTES and (more := next(lines, None)):
            record += more[1]
        yield number, record


def _split(line: str, text: Text) -> list[str]:
    if text.quote not in line:
        return line.split(text.delimiter)
    return next(csv.reader([line], delimiter=text.delimiter, quotechar=text.quote, strict=True))


def parser(kind: Literal["csv", "jsonl"], text: Text, columns: Sequence[str]) -> Parser:
    """What turns the bytes of one record into its fields, in the order of `columns`."""
    return _csv_fields(text, columns) if kind == "csv" else _json_fields(columns)


def _csv_fields(text: Text, columns: Sequence[str]) -> Parser:
    csv.field_size_limit(MAX_RECORD_BYTES)
    width = len(columns)

    def parse(raw: bytes) -> tuple[list[str | None] | None, str | None]:
        try:
            line = raw.decode(text.encoding).rstrip("\r\n")
            values = _split(line, text)
        except UnicodeDecodeError:
            return None, "record.encoding"
        except csv.Error:
            return None, "record.quotes"
        if len(values) != width:
            return None, "record.fields"
        if "\x00" in line:
            return None, "record.control"
        return [value or None for value in values], None

    return parse


def _json_fields(columns: Sequence[str]) -> Parser:
    def parse(raw: bytes) -> tuple[list[str | None] | None, str | None]:
        return json_values(*json_object(raw), columns)

    return parse
