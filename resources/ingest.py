"""Files into bronze: counted, validated, split, committed once.

Belongs here: the ingest of one file (quarantine, accepted, ledger, in this order) and its receipts. Does not belong
here: what a source looks like (mapping), what a valid row is (contracts), when to ingest (assets).

The law: received = accepted + quarantined + duplicates, counted in source records. Every commit carries
`txnAppId` = source, table and SHA-256 of the file with `txnVersion` 0, so that a repeated ingest after a crash
commits what is missing and nothing twice.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame

from checks.contracts.model import Contract
from checks.contracts.plan import ValidationPlan
from checks.contracts.spark_schema import arrow_schema
from resources.lake import Lake
from resources.mapping import SourceMapping, kind_columns, kind_flag, kind_row, record_projection
from resources.validation import with_broken_rules

ROWS_PER_GROUP = 1_000_000
BROKEN, PAYLOAD = "_broken_rules", "_payload"
KNOWN, RANK = "_is_known", "_rank"


class SourceFileError(RuntimeError):
    """A source file cannot be read; the message names it and what is wrong. Nothing was written."""


@dataclass(frozen=True)
class Receipt:
    """One row of the ingest ledger: what one file brought. Counts are source records."""

    source: str
    table_name: str
    batch_id: str
    file_name: str
    file_sha256: str
    file_bytes: int
    mapping_sha256: str
    received: int
    accepted: int
    quarantined: int
    duplicates: int
    rows_written: int
    first_week_start_date: date | None
    last_week_start_date: date | None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        SourceFileError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise SourceFileError(f"{path} cannot be read: {error.strerror}.") from error


def source_files(mapping: SourceMapping, table: str, folders: tuple[Path, ...]) -> list[Path]:
    """The files of one canonical table in `folders`, in name order.

    A pattern that also fits another table's longer pattern (campaigns*, campaign_descriptions*) takes only its own.

    Raises:
        SourceFileError: no folder holds a file of that table.
    """
    pattern = mapping.tables[table].pattern
    longer = [other.pattern for name, other in mapping.tables.items() if name != table]
    found = [
        path
        for folder in folders
        for path in sorted(folder.glob(pattern))
        if not any(len(other) > len(pattern) and path.match(other) for other in longer)
    ]
    if not found:
        where = " or ".join(str(folder) for folder in folders)
        raise SourceFileError(f"Source {mapping.source}: no file {pattern} for table {table} in {where}.")
    return found


class Ingest:
    """Ingests the files of one source into the bronze tables of one lake."""

    def __init__(self, lake: Lake, mapping: SourceMapping, contracts: Mapping[tuple[str, str], Contract]) -> None:
        self._lake = lake
        self._mapping = mapping
        self._contracts = contracts

    def file(self, table: str, path: Path, plan: ValidationPlan) -> Receipt | None:
        """Ingest one file; None when its content is in the ledger already.

        Raises:
            SourceFileError: the file is missing, truncated or has other columns than the mapping uses.
        """
        sha256 = file_sha256(path)
        known = self._lake.ledger_files(self._contracts["bronze", "ingest_ledger"], self._mapping.source)
        if (table, sha256) in known:
            return None
        self._lake.claim()
        batch_id = f"{self._mapping.source}-{table}-{sha256[:16]}"
        with self._on_server(path, sha256) as relation:
            mapped = self._mapped(table, relation, batch_id, path)
            row_plan = plan.restricted_to(frozenset(mapped.columns))
            records = self._ranked(table, mapped, batch_id, path)
            receipt = self._count(table, records, row_plan, path, sha256, batch_id)
            self._commit(table, records, row_plan, receipt)
        return receipt

    # ------------------------------------------------------------------ steps
    @contextmanager
    def _on_server(self, path: Path, sha256: str) -> Iterator[str]:
        """The file as a relation of the server, in row groups that every core can take one of.

        Timestamps become microseconds; one that would lose digits is refused.
        """
        target = self._lake.settings.warehouse / "_staging" / f"{sha256}.parquet"
        with TemporaryDirectory() as scratch:
            local = Path(scratch) / path.name
            try:
                with pq.ParquetFile(path) as reader, _writer(local, reader.schema_arrow) as writer:
                    for batch in reader.iter_batches(ROWS_PER_GROUP):
                        writer.write_batch(batch.cast(writer.schema), row_group_size=ROWS_PER_GROUP)
            except (pa.ArrowInvalid, OSError) as error:
                raise SourceFileError(f"{path} is not a whole Parquet file: {error}. Deliver it again.") from error
            self._lake.spark.conf.set("spark.sql.artifact.copyFromLocalToFs.allowDestLocal", "true")
            self._lake.spark.copyFromLocalToFs(str(local), str(target))
        try:
            yield f"parquet.`{target}`"
        finally:
            target.unlink(missing_ok=True)

    def _mapped(self, table: str, relation: str, batch_id: str, path: Path) -> DataFrame:
        """Source records with canonical columns, hidden ones for their kinds, and their payload."""
        rules = self._mapping.tables[table]
        raw = self._lake.spark.table(relation)
        names = tuple(raw.columns)
        stamp = [f"'{self._mapping.source}' AS source", f"'{batch_id}' AS batch_id"]
        payload = f"to_json(struct({', '.join(f'`{name}`' for name in names)})) AS {PAYLOAD}"
        kinds = kind_columns(rules.explode) if rules.explode else []
        try:
            mapped = raw.selectExpr(*stamp, *record_projection(self._mapping, table, names), *kinds, payload)
            mapped.schema  # noqa: B018  expressions are resolved here, before anything is written
        except AnalysisException as error:
            raise SourceFileError(
                f"{path.name} does not have the columns that the mapping of {table} uses: "
                f"{str(error).splitlines()[0]} Its columns: {', '.join(names)}."
            ) from error
        return mapped

    def _ranked(self, table: str, records: DataFrame, batch_id: str, path: Path) -> DataFrame:
        """Adds the rank of each record among those it duplicates: 1 is kept, later ones and known ones are not.

        The window over all records is paid only when something may repeat.
        """
        records = self._with_known(table, records, batch_id)
        rules = self._mapping.tables[table].duplicates
        if rules.scope == "row" and not may_repeat_rows(path):
            return records.selectExpr("*", f"IF({KNOWN}, 2, 1) AS {RANK}")
        key = list(rules.key) if rules.scope == "key" else ["row_hash", PAYLOAD]
        order = ", ".join(dict.fromkeys([*key, "known_at", "row_hash", PAYLOAD]))
        window = f"ROW_NUMBER() OVER (PARTITION BY {', '.join(key)} ORDER BY {order})"
        return records.selectExpr("*", f"IF({KNOWN}, 2, {window}) AS {RANK}")

    def _with_known(self, table: str, records: DataFrame, batch_id: str) -> DataFrame:
        """Adds whether an earlier file brought the same event already."""
        name = f"bronze.{table}"
        earlier = f"SELECT * FROM {name} WHERE batch_id <> '{batch_id}'"
        if not self._lake.exists(name) or not self._lake.spark.sql(f"{earlier} LIMIT 1").collect():
            return records.selectExpr("*", f"FALSE AS {KNOWN}")
        rules = self._mapping.tables[table]
        key = list(rules.duplicates.key) or ["row_hash", *rules.columns]
        renamed = [f"{column} AS _earlier_{column}" for column in key]
        known = self._lake.spark.sql(earlier).selectExpr(*renamed, "TRUE AS _earlier").distinct()
        same = " AND ".join(f"new.{column} <=> _earlier_{column}" for column in key)
        return self._lake.spark.sql(
            f"SELECT new.*, COALESCE(_earlier, FALSE) AS {KNOWN} FROM {{records}} new LEFT JOIN {{known}} ON {same}",
            records=records,
            known=known,
        )

    def _count(
        self, table: str, records: DataFrame, plan: ValidationPlan, path: Path, sha256: str, batch_id: str
    ) -> Receipt:
        """All counts of the file in one scan."""
        is_good = good_row(plan)
        accepted = f"{is_good} AND {RANK} = 1"
        explode = self._mapping.tables[table].explode
        kinds = [f"CAST({kind_flag(label)} AS INT)" for label in explode.kinds] if explode else ["1"]
        week = "week_start_date" if "week_start_date" in records.columns else "CAST(NULL AS DATE)"
        row = records.selectExpr(
            "COUNT(*) AS received",
            f"COUNT_IF({accepted}) AS accepted",
            f"COUNT_IF(NOT ({is_good})) AS quarantined",
            f"COUNT_IF({is_good} AND {RANK} > 1) AS duplicates",
            f"COALESCE(SUM(CASE WHEN {accepted} THEN {' + '.join(kinds)} END), 0) AS rows",
            f"MIN(CASE WHEN {accepted} THEN {week} END) AS first_week",
            f"MAX(CASE WHEN {accepted} THEN {week} END) AS last_week",
        ).collect()[0]
        return Receipt(
            source=self._mapping.source,
            table_name=table,
            batch_id=batch_id,
            file_name=path.name,
            file_sha256=sha256,
            file_bytes=path.stat().st_size,
            mapping_sha256=self._mapping.sha256,
            received=row["received"],
            accepted=row["accepted"],
            quarantined=row["quarantined"],
            duplicates=row["duplicates"],
            rows_written=row["rows"],
            first_week_start_date=row["first_week"],
            last_week_start_date=row["last_week"],
        )

    def _commit(self, table: str, records: DataFrame, plan: ValidationPlan, receipt: Receipt) -> None:
        """Quarantine, accepted, ledger: the ledger comes last, so that a file in it is wholly in the lake."""
        if receipt.quarantined:
            broken = with_broken_rules(records, plan, BROKEN).filter(f"size({BROKEN}) > 0")
            rows = broken.selectExpr(
                "source",
                f"'{table}' AS table_name",
                "batch_id",
                f"'{receipt.file_name}' AS file_name",
                f"{PAYLOAD} AS payload",
                f"sha2({PAYLOAD}, 256) AS payload_sha256",
                f"{BROKEN} AS rule_ids",
            )
            self._append("quarantine", rows, receipt)
        if receipt.accepted < receipt.received:
            records = records.filter(f"{good_row(plan)} AND {RANK} = 1")
        self._append(table, self._exploded(table, records), receipt)
        ledger = self._contracts["bronze", "ingest_ledger"]
        row = pa.Table.from_pylist([asdict(receipt)], schema=arrow_schema(ledger))
        self._append("ingest_ledger", self._lake.spark.createDataFrame(row), receipt)

    def _exploded(self, table: str, records: DataFrame) -> DataFrame:
        """The rows of the bronze table: one per record, or one per record and kind."""
        columns = self._contracts["bronze", table].column_names
        explode = self._mapping.tables[table].explode
        if explode is None:
            return records.select(*columns)
        parts = [
            records.filter(kind_flag(label)).selectExpr("*", *kind_row(explode, label)).select(*columns)
            for label in explode.kinds
        ]
        return functools.reduce(lambda left, right: left.unionAll(right), parts)

    def _append(self, table: str, rows: DataFrame, receipt: Receipt) -> None:
        contract = self._contracts["bronze", table]
        self._lake.ensure_table(contract)
        writer = rows.write.format("delta").mode("append")
        writer = writer.option("txnAppId", f"{receipt.source}/{receipt.table_name}/{receipt.file_sha256}")
        writer.option("txnVersion", 0).saveAsTable(contract.published_name)


def good_row(plan: ValidationPlan) -> str:
    """SQL condition of a record that keeps every blocking rule."""
    return " AND ".join([f"({rule.predicate})" for rule in plan.row_rules if rule.severity == "error"]) or "TRUE"


def may_repeat_rows(path: Path) -> bool:
    """Whether two records of a Parquet file may be equal in every column; False is a proof that none are.

    Hashes are counted, not rows: a collision only costs the window over all records that finds no duplicate.
    """
    hashes = pl.read_parquet(path).hash_rows()
    return hashes.n_unique() < hashes.len()


@contextmanager
def _writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    fields = [
        pa.field(item.name, pa.timestamp("us", item.type.tz) if pa.types.is_timestamp(item.type) else item.type)
        for item in schema
    ]
    with pq.ParquetWriter(path, pa.schema(fields)) as writer:
        yield writer
