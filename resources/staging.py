"""A source file, or the messages of a topic, as a relation of the Spark server.

Belongs here: copying records where the server can read them. Does not belong here: what the records mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import copy_files
from pyspark.errors import PySparkTypeError
from pyspark.sql.pandas.types import from_arrow_type

from checks.contracts.evolution import SourceColumn
from resources.known_keys import KnownKeys
from resources.lake import Lake
from resources.mapping import TableMapping
from resources.records import HIDDEN, LINE, stage_text
from resources.repeats import Repeats, identifying_columns, repeats_in
from resources.source_bytes import SourceFileError, uncompressed
from resources.table_files import staging_place
from resources.topic_reader import Messages

ROWS_PER_GROUP = 250_000
PARQUET_MAGIC = b"PAR1"
# As Spark reads them: it has no unsigned numbers.
UNSIGNED = {pa.uint8(): "SMALLINT", pa.uint16(): "INT", pa.uint32(): "BIGINT", pa.uint64(): "DECIMAL(20,0)"}


@dataclass(frozen=True)
class Relation:
    """Records on the server.

    Attributes:
        path: of the Parquet file, as the server names it.
        layout: the source's columns with their Spark SQL types; all texts in a text file.
        is_text: the hidden columns of resources.records stand beside them.
        records: how many there are.
        repeats: which of them may be one event by the declared scope.
        known: the lines of those whose event the table has already; None: the table has to be asked.
    """

    path: str
    layout: tuple[SourceColumn, ...]
    is_text: bool
    records: int
    repeats: Repeats
    known: pl.Series | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the source's columns."""
        return tuple(column.name for column in self.layout)


@contextmanager
def on_server(lake: Lake, path: Path, rules: TableMapping, name: str) -> Iterator[Relation]:
    """The records of a file as a relation of the server, for as long as the block runs.

    Raises:
        SourceFileError: the file cannot be read as its mapping says; `rule_id` names the reason.
    """
    with TemporaryDirectory() as folder:
        local = Path(folder) / "records.parquet"
        if rules.format == "parquet":
            with uncompressed(path, Path(folder)) as plain:
                stage_parquet(plain, local, path)
        else:
            stage_text(path, rules.format, rules.text, local)
        with _sent(lake, local, rules, name, path.name, pl.scan_parquet(local)) as relation:
            yield relation


@contextmanager
def messages_on_server(
    lake: Lake, messages: Messages, rules: TableMapping, name: str, delivery: str, held: KnownKeys | None
) -> Iterator[Relation]:
    """The messages of a topic as a relation of the server.

    `held` are the keys of the table that they go to, where they are kept.
    """
    records = messages.records.lazy()
    with _sent(lake, messages.path, rules, name, delivery, records) as relation:
        key = rules.duplicates.key if rules.duplicates.scope == "key" else ()
        identity = identifying_columns(rules, relation.layout) if held is not None and key else None
        if held is None or identity is None:
            yield relation
            return
        # Messages are texts, which are keys as they are.
        keys = [pl.col(column).alias(name) for column, name in zip(identity, key, strict=True)]
        known = held.among(records.select(LINE, *keys).collect())
        yield relation if known is None else replace(relation, known=known[LINE])


@contextmanager
def _sent(
    lake: Lake, local: Path, rules: TableMapping, name: str, delivery: str, records: pl.LazyFrame
) -> Iterator[Relation]:
    layout = layout_of(local, delivery)
    if rules.format == "jsonl" and rules.text.columns is not None:
        # A declared field that no record has is no change of the delivery.
        layout = tuple(replace(item, is_all_null=item.is_all_null and item.name not in rules.text.columns)
                       for item in layout)  # fmt: skip
    is_text = rules.format != "parquet"
    repeats = repeats_in(records, identifying_columns(rules, layout), is_text=is_text)
    count = pq.read_metadata(local).num_rows
    with staging_place(lake.settings, f"{name}.parquet") as (files, path):
        copy_files(str(local), path, destination_filesystem=files)
        yield Relation(f"{lake.settings.warehouse}/{path}", layout, is_text, count, repeats)


def layout_of(path: Path, file_name: str) -> tuple[SourceColumn, ...]:
    """The columns of a Parquet file besides the hidden ones; which have no value at all, the file's statistics say.

    Raises:
        SourceFileError: rule file.columns, Spark has no type for a column of the file, as delivered `file_name`.
    """
    with pq.ParquetFile(path) as reader:
        schema, footer = reader.schema_arrow, reader.metadata
        nulls: dict[str, int] = dict.fromkeys(schema.names, 0)
        for group in range(footer.num_row_groups):
            for index in range(footer.num_columns):
                column = footer.row_group(group).column(index)
                if column.path_in_schema in nulls and column.statistics is not None:
                    nulls[column.path_in_schema] += column.statistics.null_count or 0
    return tuple(
        SourceColumn(item.name, _spark_type(item, file_name), is_all_null=0 < footer.num_rows == nulls[item.name])
        for item in schema
        if item.name not in HIDDEN
    )


def _spark_type(item: pa.Field, file_name: str) -> str:
    plain = item.type.value_type if pa.types.is_dictionary(item.type) else item.type
    if plain in UNSIGNED:
        return UNSIGNED[plain]
    try:
        return from_arrow_type(plain).simpleString().upper()
    except PySparkTypeError as error:
        raise SourceFileError(
            f"{file_name}: column {item.name} is of type {plain}, which Spark does not read. Deliver it as another.",
            "file.columns",
        ) from error


def stage_parquet(path: Path, target: Path, delivered: Path) -> None:
    """A copy in row groups that every core can take one of, its timestamps in microseconds.

    A timestamp that would lose digits is refused, and so are texts that are no UTF-8 and, where the sender wrote
    checksums, a page that does not have its own.
    """
    try:
        with (
            pq.ParquetFile(path, page_checksum_verification=True) as reader,
            pq.ParquetWriter(target, _microseconds(reader.schema_arrow)) as writer,
        ):
            for batch in reader.iter_batches(ROWS_PER_GROUP):
                batch.validate(full=True)
                writer.write_batch(batch.cast(writer.schema), row_group_size=ROWS_PER_GROUP)
    except (pa.ArrowException, OSError) as error:
        with path.open("rb") as stream:
            head = stream.read(len(PARQUET_MAGIC))
        what = "file.truncated" if head == PARQUET_MAGIC else "file.empty" if not head else "file.format"
        raise SourceFileError(
            f"{delivered} is not a whole Parquet file: {str(error).rstrip('.')}. Deliver it again.", what
        ) from error


def _microseconds(schema: pa.Schema) -> pa.Schema:
    return pa.schema([
        pa.field(item.name, pa.timestamp("us", item.type.tz) if pa.types.is_timestamp(item.type) else item.type)
        for item in schema
    ])  # fmt: skip
