"""Files into bronze: counted, validated, split, committed once.

Belongs here: the ingest of one file (accepted, quarantine, ledger, in this order). Does not belong here: what a source
looks like (mapping), how a file is read (records, staging), what a valid row is (contracts), when to ingest (assets).

The law: received = accepted + quarantined + duplicates, counted in source records. What is committed in which order,
and what a killed ingest leaves to undo, is decided in delivery_plan.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.connect.functions import expr

from checks.contracts.model import Contract
from checks.contracts.plan import ValidationPlan
from checks.contracts.rule_sql import literal
from checks.contracts.spark_schema import arrow_schema
from resources.books import OBSERVED, Books, Row, Rows
from resources.delivery_plan import QUARANTINE, first_with, is_settled
from resources.lake import Lake
from resources.layouts import require_known_columns, types_of
from resources.mapping import SourceMapping
from resources.projection import flag_column, kind_flag, kind_rows
from resources.receipts import Receipt, batch_id
from resources.records import LINE
from resources.source_bytes import SourceFileError, content_sha256, file_sha256
from resources.splitting import ENCODING, IS_GOOD, IS_REPEAT, PAYLOAD, Splitter
from resources.staging import Relation, on_server
from resources.validation import with_broken_rules

BROKEN = "_broken_rules"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MICROS = "last_event_micros"


class Ingest:
    """Ingests the files of one source into the bronze tables of one lake.

    Attributes:
        books: the one that it writes; who brings it batches of another kind writes the same.
    """

    def __init__(self, lake: Lake, mapping: SourceMapping, contracts: Mapping[tuple[str, str], Contract]) -> None:
        self._lake = lake
        self._mapping = mapping
        self._contracts = contracts
        self.books = Books(lake, contracts)
        self._splitter = Splitter(lake, mapping)

    def file(self, table: str, path: Path, plan: ValidationPlan, *, again: bool = False) -> Receipt | None:
        """Ingest one file; None when the ledger has these bytes under this name already (unless `again`).

        A file whose content is there under another name or compression is a duplicate: its receipt counts all of its
        records so, and no table changes. A file that cannot be read is quarantined whole: its receipt says `refused`
        and why, and its bytes are kept.

        Raises:
            SourceFileError: there is no such file.
        """
        sha256 = file_sha256(path)
        # Become the writer before the books are read: another process may have booked this file a moment ago.
        self.books.undo_unbooked()
        earlier = self.books.receipts(self._mapping.source, table)
        if not again and is_settled(earlier, table, path.name, sha256, self._mapping.sha256):
            return None
        blank = self._blank(table, path, sha256)
        try:
            content = content_sha256(path)
            if (first := first_with(content, earlier)) is not None:
                receipt = self._repeated(blank, first)
                self.books.commit(receipt, {}, earlier)
                return receipt
            rules = f"{content}/{self._mapping.sha256}/{self._contracts['bronze', table].sha256}"
            batch = replace(blank, content_sha256=content, batch_id=batch_id(self._mapping.source, table, rules))
            rules, mode = self._mapping.tables[table], self._contracts["bronze", table].schema_evolution
            with on_server(self._lake, path, rules, content) as relation:
                require_known_columns(path.name, relation.layout, rules, mode, earlier)
                return self.take(batch, relation, plan, earlier)
        except SourceFileError as error:
            if error.rule_id is None:
                raise
            return self._refused(blank, path, error, earlier)

    # --------------------------------------------------------------- outcomes
    def _blank(self, table: str, path: Path, sha256: str) -> Receipt:
        """What is known of a delivery before it is read. Its batch is named by its bytes and its name."""
        return Receipt(
            source=self._mapping.source, table_name=table,
            batch_id=batch_id(self._mapping.source, table, f"{sha256}/{path.name}"),
            file_name=path.name, file_sha256=sha256, content_sha256=sha256, file_bytes=path.stat().st_size,
            mapping_sha256=self._mapping.sha256, file_columns=[], file_column_types=[], outcome="ingested", reason=None,
            received=0, accepted=0, quarantined=0, duplicates=0, late=0, rows_written=0,
        )  # fmt: skip

    def _repeated(self, blank: Receipt, first: Receipt) -> Receipt:
        """The receipt of content that an earlier file brought: every record of it is a duplicate."""
        reason = f"same content as {first.file_name}"
        repeated = replace(blank, content_sha256=first.content_sha256, outcome="duplicate", reason=reason)
        repeated = replace(repeated, file_columns=first.file_columns, file_column_types=first.file_column_types)
        return replace(repeated, flag_counts=first.flag_counts, received=first.received, duplicates=first.received)

    def _refused(self, blank: Receipt, path: Path, error: SourceFileError, earlier: Iterable[Receipt]) -> Receipt:
        """Quarantine a file whole: its bytes are kept, and one record of the quarantine stands for it."""
        kept = self._lake.settings.home / "quarantine" / blank.file_sha256
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_suffix(".partial")
            shutil.copyfile(path, partial)
            partial.replace(kept)
        rule = error.rule_id or "file.unreadable"
        payload = json.dumps({"file": path.name, "bytes": blank.file_bytes, "kept_as": blank.file_sha256})
        row = {
            "source": blank.source, "table_name": blank.table_name, "batch_id": blank.batch_id, "file_name": path.name,
            "payload": payload, "payload_encoding": "file", "payload_sha256": blank.file_sha256, "rule_ids": [rule],
        }  # fmt: skip
        schema = arrow_schema(self._contracts["bronze", QUARANTINE])
        receipt = replace(blank, outcome="refused", reason=str(error), received=1, quarantined=1)
        whole = pa.Table.from_pylist([row], schema=schema)
        self.books.commit(receipt, {QUARANTINE: lambda _: self._lake.spark.createDataFrame(whole)}, earlier)
        return receipt

    def take(self, batch: Receipt, relation: Relation, plan: ValidationPlan, earlier: Iterable[Receipt]) -> Receipt:
        """Split the records of one delivery, commit accepted rows and quarantine, and count.

        The records are counted while the accepted ones are written: they are read and judged once (docs/adr/0031).

        Args:
            batch: a receipt without counts.
            relation: the records.
            plan: the rules of their table.
            earlier: the receipts of the table so far.
        """
        types = types_of(relation.layout)
        batch = replace(batch, file_columns=list(relation.columns), file_column_types=types)
        records, row_plan = self._splitter.split(batch, relation, plan, earlier)
        watched = records.observe(OBSERVED, *(expr(count) for count in self._counts(batch, earlier)))
        rows: dict[str, Rows] = {
            batch.table_name: lambda _: self._accepted(batch, watched),
            QUARANTINE: lambda receipt: self._broken(receipt, records, row_plan, relation),
        }
        restates = self._restates(batch, earlier)
        return self.books.commit(batch, rows, earlier, counted=lambda row: self._counted(batch, row), restates=restates)

    def replay(self, batch: Receipt, relation: Relation, plan: ValidationPlan, places: pl.DataFrame) -> Receipt:
        """Ingest records that were in quarantine, as one batch; what is still broken stays there.

        Args:
            batch: a receipt without counts.
            relation: the records.
            plan: the rules of their table.
            places: where each line of the relation stands in the quarantine.
        """
        earlier = self.books.receipts(self._mapping.source, batch.table_name)
        records, _ = self._splitter.split(batch, relation, plan, earlier)
        found = self._counted(batch, records.selectExpr(*self._counts(batch, earlier)).collect()[0].asDict())
        moved = found.accepted + found.duplicates
        receipt = replace(found, outcome="replayed", received=0, quarantined=-moved)
        if moved:
            lines = [row[LINE] for row in records.filter(IS_GOOD).select(LINE).collect()]
            leaving = places[[line - 1 for line in lines]]
            rows: dict[str, Rows] = {
                QUARANTINE: lambda _: self.books.mark(leaving, batch.batch_id),
                batch.table_name: lambda _: self._accepted(batch, records),
            }
            return self.books.commit(receipt, rows, earlier, restates=self._restates(receipt, earlier))
        return receipt

    # ------------------------------------------------------------------ steps
    def _restates(self, receipt: Receipt, earlier: Iterable[Receipt]) -> bool:
        """Whether a batch may change other weeks than its own; the first batch of a table has no others."""
        return receipt.table_name == "pos_lines" and any(item.accepted for item in earlier)

    def _counts(self, batch: Receipt, earlier: Iterable[Receipt]) -> list[str]:
        """SQL aggregates of the records of a batch, by the names that `_counted` knows."""
        rules = self._mapping.tables[batch.table_name]
        accepted = f"{IS_GOOD} AND NOT {IS_REPEAT}"
        kinds = [f"CAST({kind_flag(label)} AS INT)" for label in rules.explode.kinds] if rules.explode else ["1"]
        week = "week_start_date" if rules.has_weeks else "CAST(NULL AS DATE)"
        newest = max((item.last_event_at for item in earlier if item.last_event_at), default=None)
        is_late = "FALSE"
        if newest is not None and rules.late_after_days is not None:
            watermark = newest - timedelta(days=rules.late_after_days)
            # As a decimal: of a query with another time in it Spark makes other Java code, and compiles it for a batch.
            is_late = f"CAST(unix_seconds(event_at) AS DECIMAL(20, 0)) - {watermark.timestamp() // 1:.0f}BD < 0"
        return [
            "COUNT(*) AS received",
            f"COUNT_IF({accepted}) AS accepted",
            f"COUNT_IF(NOT {IS_GOOD}) AS quarantined",
            f"COUNT_IF({IS_GOOD} AND {IS_REPEAT}) AS duplicates",
            f"COUNT_IF({accepted} AND {is_late}) AS late",
            f"COALESCE(SUM(CASE WHEN {accepted} THEN {' + '.join(kinds)} END), 0) AS rows_written",
            f"MIN(CASE WHEN {accepted} THEN {week} END) AS first_week_start_date",
            f"MAX(CASE WHEN {accepted} THEN {week} END) AS last_week_start_date",
            # As a number: a time comes back without a zone, by the clock of this machine.
            f"UNIX_MICROS(MAX(CASE WHEN {accepted} THEN event_at END)) AS {LAST_MICROS}",
            *(f"COUNT_IF({flag_column(index)}) AS {flag_column(index)}" for index in range(len(rules.flags))),
        ]

    def _counted(self, batch: Receipt, row: Row) -> Receipt:
        """The receipt of a batch with what its `_counts` are."""
        told, flags = dict(row), self._mapping.tables[batch.table_name].flags
        counts = {name: told.pop(flag_column(index)) for index, name in enumerate(flags)}
        micros = told.pop(LAST_MICROS)
        last = None if micros is None else EPOCH + timedelta(microseconds=micros)
        return replace(batch, **told, last_event_at=last, flag_counts=json.dumps(counts, sort_keys=True))

    def _broken(self, receipt: Receipt, records: DataFrame, plan: ValidationPlan, relation: Relation) -> DataFrame:
        """The records that break a blocking rule, as rows of the quarantine."""
        broken = with_broken_rules(records, plan, BROKEN).filter(f"size({BROKEN}) > 0")
        broken = broken.select("source", "batch_id", LINE, "event_at", BROKEN)
        return self._splitter.with_payloads(broken, relation, receipt.quarantined).selectExpr(
            "source",
            f"{literal(receipt.table_name)} AS table_name",
            "batch_id",
            f"{literal(receipt.file_name)} AS file_name",
            f"{LINE} AS line_number",
            f"{PAYLOAD} AS payload",
            f"{ENCODING} AS payload_encoding",
            f"sha2({PAYLOAD}, 256) AS payload_sha256",
            f"{BROKEN} AS rule_ids",
            "event_at",
            "CAST(NULL AS STRING) AS replayed_by",
        )

    def _accepted(self, batch: Receipt, records: DataFrame) -> DataFrame:
        """The rows of the accepted records: one per record, or one per record and kind."""
        accepted = records.filter(f"{IS_GOOD} AND NOT {IS_REPEAT}")
        explode = self._mapping.tables[batch.table_name].explode
        rows = accepted.selectExpr("*", kind_rows(explode)) if explode else accepted
        return rows.select(*self._contracts["bronze", batch.table_name].column_names)
