"""The beginning of a source file, read without being told how it is written.

Belongs here: finding format, encoding, delimiter and header of a file, and its first records by the reader that an
ingest uses. Does not belong here: what the columns mean (guesses) or what is written of it (drafts).
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow.parquet as pq

from resources.records import HIDDEN, PROBLEM, Format, Text, stage_text
from resources.source_bytes import SourceFileError, content, require_text, text_lines, uncompressed

SAMPLE_RECORDS, SAMPLE_BYTES = 50_000, 64 * 1024**2
PARQUET_MAGIC = b"PAR1"
DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8", "cp1252", "latin-1")
# So many lines decide on the delimiter.
LOOKED_AT_LINES = 1_000
_VALUE = re.compile(r"[+-]?[\d.,:/\-\s]*\d[\d.,:/\-\s]*")


@dataclass(frozen=True)
class Guess:
    """One thing that nobody said: what it is about, what was taken for it, and why."""

    about: str
    value: str
    because: str


@dataclass(frozen=True)
class Sample:
    """The first records of a file.

    Attributes:
        rows: columns as the file has them; all texts where it is a text file, null for an empty field.
        unread: records of the sample that could not be read, which are not in `rows`.
        is_whole: the file has no further record.
    """

    path: Path
    format: Format
    text: Text
    rows: pl.DataFrame
    unread: int
    is_whole: bool
    guesses: tuple[Guess, ...]


def read_sample(path: Path) -> Sample:
    """The first records of a CSV, JSON lines or Parquet file, plain or gzip.

    Raises:
        SourceFileError: it is none of these, or empty, or cut off.
    """
    with content(path) as stream:
        head = stream.read(len(PARQUET_MAGIC))
    if head == PARQUET_MAGIC:
        return _parquet(path)
    require_text(path)
    lines = list(_first_lines(path))
    is_whole = len(lines) <= SAMPLE_RECORDS and sum(map(len, lines)) <= SAMPLE_BYTES
    lines = lines if is_whole else lines[:-1]
    encoding = next(name for name in ENCODINGS if _decodes(lines, name))
    because = "every line is text in it" if encoding == ENCODINGS[0] else "the sample is no UTF-8"
    found = [Guess("encoding", encoding, because)]
    if _is_json(lines[0]):
        found.append(Guess("format", "jsonl", "its first line is a JSON object"))
        return _staged(path, lines, "jsonl", Text(), is_whole, found)
    text, more = _layout([line.decode(encoding).rstrip("\r\n") for line in lines[:LOOKED_AT_LINES]], encoding)
    return _staged(path, lines, "csv", text, is_whole, [*found, *more])


def _parquet(path: Path) -> Sample:
    try:
        with TemporaryDirectory() as folder, uncompressed(path, Path(folder)) as plain:
            total = pq.read_metadata(plain).num_rows
            rows = pl.scan_parquet(plain).head(SAMPLE_RECORDS).collect()
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise SourceFileError(f"{path} is no whole Parquet file: {error}. Deliver it again.", "file.format") from error
    found = Guess("format", "parquet", "its first bytes say so; columns have the types of the file")
    return Sample(path, "parquet", Text(), rows, 0, total <= SAMPLE_RECORDS, (found,))


def _first_lines(path: Path) -> Iterator[bytes]:
    """The lines of the sample, and one more where the file goes on."""
    size = 0
    with content(path) as stream:
        for count, (_, line) in enumerate(text_lines(stream, path)):
            yield line
            size += len(line)
            # The header is no record.
            if count > SAMPLE_RECORDS or size > SAMPLE_BYTES:
                return


def _decodes(lines: Sequence[bytes], encoding: str) -> bool:
    try:
        b"".join(lines).decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _layout(lines: Sequence[str], encoding: str) -> tuple[Text, list[Guess]]:
    """Delimiter, header and line breaks of a CSV file."""
    scores = {delimiter: _regularity(lines, delimiter) for delimiter in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda item: scores[item])
    share, width = scores[delimiter]
    shown = {"\t": "tab"}.get(delimiter, delimiter)
    found = [
        Guess("format", "csv", "it is text and no JSON"),
        Guess("delimiter", shown, f"{share:.1%} of the lines have {width} fields by it"),
    ]
    first = [field.strip() for field in _fields(lines[0], delimiter)]
    is_header = all(first) and len(set(first)) == len(first) and not any(map(_VALUE.fullmatch, first))
    names = None if is_header else tuple(f"column_{number}" for number in range(1, len(first) + 1))
    why = "its fields are names: none empty, none twice, none a number" if is_header else "it holds values"
    found.append(Guess("header", "the first line" if is_header else "none", why))
    # A field that opens a quote on one line and closes it on another makes the number of quotes of both odd.
    is_multiline = share < 1 and any(line.count('"') % 2 for line in lines)
    if is_multiline:
        found.append(Guess("line breaks inside fields", "yes", "a quote is still open at the end of a line"))
    return Text(encoding=encoding, delimiter=delimiter, columns=names, is_multiline=is_multiline), found


def _regularity(lines: Sequence[str], delimiter: str) -> tuple[float, int]:
    """(share of the lines that have the most common number of fields, that number); 0 where there is one field."""
    width, times = Counter(len(_fields(line, delimiter)) for line in lines).most_common(1)[0]
    return (times / len(lines), width) if width > 1 else (0.0, width)


def _fields(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _staged(
    path: Path, lines: Sequence[bytes], kind: Format, text: Text, is_whole: bool, guesses: Sequence[Guess]
) -> Sample:
    """The lines as the ingest would read them."""
    assert kind != "parquet"
    with TemporaryDirectory() as folder:
        part, target = Path(folder) / path.name.removesuffix(".gz"), Path(folder) / "sample.parquet"
        part.write_bytes(b"".join(lines))
        stage_text(part, kind, text, target)
        records = pl.read_parquet(target)
    rows = records.filter(pl.col(PROBLEM).is_null()).drop(HIDDEN)
    if rows.is_empty():
        raise SourceFileError(f"{path.name} has no record besides its header: take a file with some.", "file.empty")
    return Sample(path, kind, text, rows, records.height - rows.height, is_whole, tuple(guesses))
