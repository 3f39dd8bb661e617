"""Messages of a topic on their way to the server: read as records, piece by piece, into one Parquet file.

Belongs here: the file and the frame of one batch. Does not belong here: what a record says (json_records), which
messages there are (topic_reader).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from resources.json_records import json_fields, json_object, json_values
from resources.records import CHUNK_RECORDS, HIDDEN, Chunk, Text


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
        part = self._together([pa.table(item) for item in parts])
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


def _records(values: Sequence[bytes], first: int, text: Text) -> pa.RecordBatch:
    found = [json_object(value) for value in values]
    columns = [name for name in json_fields([item for item, _ in found if item], text.columns) if name not in HIDDEN]
    chunk = Chunk(columns, text.encoding)
    for line, (value, (fields, problem)) in enumerate(zip(values, found, strict=True), start=first):
        chunk.add(line, value, *json_values(fields, problem, columns))
    return chunk.to_arrow()
