"""Messages of a topic on their way to the server: read as records, piece by piece, into one Parquet file.

Belongs here: the file and the frame of one batch. Does not belong here: what a record says (json_records), which
messages there are (topic_reader).
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from resources.json_records import json_fields, json_object, json_text
from resources.records import CHUNK_RECORDS, HIDDEN, Text, payload, text_schema


class StagedMessages:
    """The messages of one batch, in the Parquet file `path` as `records.stage_text` writes the lines of a JSON file.

    Their numbers count from 1. The fields are those that `text` names, then all others that a message has;
    a field named like a hidden column is not read.

    Attributes:
        size_bytes: of the messages so far.
    """

    def __init__(self, text: Text, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        self._text = text
        self._digest = hashlib.sha256()
        self._parts: list[pa.Table] = []
        self._writer: pq.ParquetWriter | None = None

    @property
    def count(self) -> int:
        """How many messages there are so far."""
        return sum(map(len, self._parts))

    @property
    def sha256(self) -> str:
        """Of the messages in their order, each with its length, so that no two lists of messages have one digest."""
        return self._digest.hexdigest()

    def add(self, values: Sequence[bytes]) -> None:
        """Read further messages, and write them."""
        for value in values:
            self._digest.update(len(value).to_bytes(8, "big"))
            self._digest.update(value)
        self.size_bytes += sum(map(len, values))
        first = self.count + 1
        parts = [
            _records(values[place : place + CHUNK_RECORDS], first + place, self._text)
            for place in range(0, max(len(values), 1), CHUNK_RECORDS)
        ]
        part = self._together(parts)
        self._parts.append(part)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, part.schema)
        if part.schema == self._writer.schema:
            self._writer.write_table(part)

    def finish(self) -> pl.DataFrame:
        """Close the file, and return what it holds. At least one call of `add` came before."""
        assert self._writer is not None
        self._writer.close()
        found = self._together(self._parts)
        if any(part.schema != found.schema for part in self._parts):
            # Later messages brought fields that the first ones did not have.
            pq.write_table(found, self.path)
        frame = pl.from_arrow(found)
        assert isinstance(frame, pl.DataFrame)
        return frame

    def _together(self, parts: Sequence[pa.Table]) -> pa.Table:
        found = pa.concat_tables(parts, promote_options="default")
        appearing = dict.fromkeys(name for name in found.column_names if name not in HIDDEN)
        return found.select([*json_fields([appearing], self._text.columns), *HIDDEN])


def _records(values: Sequence[bytes], first: int, text: Text) -> pa.Table:
    found = [json_object(value) for value in values]
    objects = [fields or {} for fields, _ in found]
    columns = [name for name in json_fields(objects, text.columns) if name not in HIDDEN]
    lines = pa.array(range(first, first + len(values)), pa.int64())
    problems = pa.array([problem for _, problem in found], pa.string())
    fields = [_texts([item.get(name) for item in objects]) for name in columns]
    return pa.table([*fields, lines, *_payloads(values, text.encoding), problems], schema=text_schema(columns))


def _texts(values: list[Any]) -> pa.Array:
    """One field of many records. Where all are texts and none is empty, Arrow takes them as they are."""
    if "" not in values:
        with suppress(pa.ArrowTypeError):
            return pa.array(values, pa.string())
    return pa.array([json_text(value) for value in values], pa.string())


def _payloads(values: Sequence[bytes], encoding: str) -> tuple[pa.Array, pa.Array]:
    """What was delivered, and whether it is Base64. Where all are UTF-8, Arrow takes the bytes as they are."""
    if codecs.lookup(encoding).name == "utf-8":
        with suppress(pa.ArrowInvalid):
            texts = pa.array([value.rstrip(b"\r\n") for value in values], pa.binary()).cast(pa.string())
            return texts, pa.array([False] * len(values), pa.bool_())
    told = [payload(value, encoding) for value in values]
    return pa.array([shown for shown, _ in told], pa.string()), pa.array(
        [is_base64 for _, is_base64 in told], pa.bool_()
    )
