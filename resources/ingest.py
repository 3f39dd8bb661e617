"""Files into bronze: counted, validated, split, committed once.

Belongs here: the ingest of one file (quarantine, accepted, ledger, in this order). Does not belong here: what a source
looks like (mapping), how a file is read (records, staging), what a valid row is (contracts), when to ingest (assets).

The law: received = accepted + quarantined + duplicates, counted in source records. What is committed in which order,
and what a killed ingest leaves to undo, is decided in delivery_plan.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame

from checks.contracts.model import Contract
from checks.contracts.plan import ValidationPlan
from checks.contracts.rule_sql import literal
from checks.contracts.spark_schema import arrow_schema
from resources.books import Books
from resources.delivery_plan import QUARANTINE, first_with, is_settled
from resources.lake import Lake
from resources.layouts import require_known_columns, types_of
from resources.mapping import SourceMapping
from resources.projection import flag_column, kind_columns, kind_flag, kind_row, lenient, record_projection
from resources.receipts import Receipt
from resources.record_rules import good_row, record_rules, rule_column, with_record_rules
from resources.records import IS_BASE64, LINE, PROBLEM, RAW
from resources.source_bytes import SourceFileError, content_sha256, file_sha256
from resources.staging import Relation, on_server
from resources.validation import with_broken_rules

BROKEN, PAYLOAD, ENCODING = "_broken_rules", "_payload", "_payload_encoding"
KNOWN, RANK, IS_GOOD = "_is_known", "_rank", "_is_good"


class Ingest:
    """Ingests the files of one source into the bronze tables of one lake."""

    def __init__(self, lake: Lake, mapping: SourceMapping, contracts: Mapping[tuple[str, str], Contract]) -> None:
        self._lake = lake
        self._mapping = mapping
        self._contracts = contracts
        self._books = Books(lake, contracts)

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
        self._books.undo_unbooked()
        earlier = self._books.receipts(self._mapping.source, table)
        if not again and is_settled(earlier, table, path.name, sha256, self._mapping.sha256):
            return None
        blank = self._blank(table, path, sha256)
        try:
            content = content_sha256(path)
            if (first := first_with(content, earlier)) is not None:
                receipt = self._repeated(blank, first)
                self._books.commit(receipt, {}, earlier)
                return receipt
            rules = f"{content}/{self._mapping.sha256}/{self._contracts['bronze', table].sha256}"
            batch = replace(blank, content_sha256=content, batch_id=self._batch_id(table, rules))
            with on_server(self._lake, path, self._mapping.tables[table], content) as relation:
                return self._take(batch, relation, plan, earlier)
        except SourceFileError as error:
            if error.rule_id is None:
                raise
            return self._refused(blank, path, error, earlier)

    # --------------------------------------------------------------- outcomes
    def _blank(self, table: str, path: Path, sha256: str) -> Receipt:
        """What is known of a delivery before it is read. Its batch is named by its bytes and its name."""
        return Receipt(
            source=self._mapping.source, table_name=table, batch_id=self._batch_id(table, f"{sha256}/{path.name}"),
            file_name=path.name, file_sha256=sha256, content_sha256=sha256, file_bytes=path.stat().st_size,
            mapping_sha256=self._mapping.sha256, file_columns=[], file_column_types=[], outcome="ingested", reason=None,
            received=0, accepted=0, quarantined=0, duplicates=0, late=0, rows_written=0,
        )  # fmt: skip

    def _batch_id(self, table: str, named_by: str) -> str:
        return f"{self._mapping.source}-{table}-{hashlib.sha256(named_by.encode()).hexdigest()[:16]}"

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
        self._books.commit(receipt, {QUARANTINE: lambda: self._lake.spark.createDataFrame(whole)}, earlier)
        return receipt

    def _take(self, batch: Receipt, relation: Relation, plan: ValidationPlan, earlier: Iterable[Receipt]) -> Receipt:
        """Split the records of a file, commit quarantine and accepted rows, and count."""
        mode = self._contracts["bronze", batch.table_name].schema_evolution
        require_known_columns(batch.file_name, relation.layout, self._mapping.tables[batch.table_name], mode, earlier)
        types = types_of(relation.layout)
        batch = replace(batch, file_columns=list(relation.columns), file_column_types=types)
        records, row_plan = self._split(batch, relation, plan)
        receipt = self._counted(batch, records, earlier)
        rows = {
            QUARANTINE: lambda: self._broken(receipt, records, row_plan),
            receipt.table_name: lambda: self._accepted(receipt, records),
        }
        return self._books.commit(receipt, rows, earlier, restates=self._restates(receipt, earlier))

    def replay(self, batch: Receipt, relation: Relation, plan: ValidationPlan, places: pl.DataFrame) -> Receipt:
        """Ingest records that were in quarantine, as one batch; what is still broken stays there.

        Args:
            batch: a receipt without counts.
            relation: the records.
            plan: the rules of their table.
            places: where each line of the relation stands in the quarantine.
        """
        earlier = self._books.receipts(self._mapping.source, batch.table_name)
        records, _ = self._split(batch, relation, plan)
        counted = self._counted(batch, records, earlier)
        moved = counted.accepted + counted.duplicates
        receipt = replace(counted, outcome="replayed", received=0, quarantined=-moved)
        if moved:
            lines = [row[LINE] for row in records.filter(IS_GOOD).select(LINE).collect()]
            leaving = places[[line - 1 for line in lines]]
            rows = {
                QUARANTINE: lambda: self._books.mark(leaving, batch.batch_id),
                batch.table_name: lambda: self._accepted(counted, records),
            }
            return self._books.commit(receipt, rows, earlier, restates=self._restates(receipt, earlier))
        return receipt

    # ------------------------------------------------------------------ steps
    def _restates(self, receipt: Receipt, earlier: Iterable[Receipt]) -> bool:
        """Whether a batch may change other weeks than its own; the first batch of a table has no others."""
        return receipt.table_name == "pos_lines" and any(item.accepted for item in earlier)

    def _split(self, batch: Receipt, relation: Relation, plan: ValidationPlan) -> tuple[DataFrame, ValidationPlan]:
        """The records with their ranks, and the rules that tell good ones from broken ones."""
        rules = record_rules(self._mapping, batch.table_name, relation.columns)
        mapped = self._mapped(batch, relation, rules)
        row_plan = with_record_rules(plan.restricted_to(frozenset(mapped.columns)), rules, is_text=relation.is_text)
        judged = mapped.selectExpr("*", f"({good_row(row_plan)}) AS {IS_GOOD}")
        return self._ranked(batch, judged, relation), row_plan

    def _mapped(self, batch: Receipt, relation: Relation, rules: Mapping[str, str]) -> DataFrame:
        """Source records with canonical columns, hidden ones for kinds and record rules, and their payload."""
        table = self._mapping.tables[batch.table_name]
        raw = self._lake.spark.table(relation.name)
        names = relation.columns
        stamp = [f"'{self._mapping.source}' AS source", f"'{batch.batch_id}' AS batch_id"]
        as_json = f"to_json(struct({', '.join(f'`{name}`' for name in names)}))"
        hidden = (
            [LINE, PROBLEM, f"{RAW} AS {PAYLOAD}", f"IF({IS_BASE64}, 'base64', 'text') AS {ENCODING}"]
            if relation.is_text
            else [f"_metadata.row_index + 1 AS {LINE}", f"{as_json} AS {PAYLOAD}", f"'json' AS {ENCODING}"]
        )
        kinds = kind_columns(table.explode) if table.explode else []
        broken = [f"{condition} AS {rule_column(index)}" for index, condition in enumerate(rules.values())]
        flagged = [
            f"COALESCE({lenient(sql)}, FALSE) AS {flag_column(index)}" for index, sql in enumerate(table.flags.values())
        ]
        canonical = record_projection(self._mapping, batch.table_name, names)
        try:
            about = raw.where(lenient(table.where)) if table.where else raw
            mapped = about.selectExpr(*stamp, *canonical, *kinds, *broken, *flagged, *hidden)
            mapped.schema  # noqa: B018  expressions are resolved here, before anything is written
        except AnalysisException as error:
            missing = (error.getMessageParameters() or {}).get("objectName", str(error).splitlines()[0])
            raise SourceFileError(
                f"{batch.file_name} has no column {missing}, which the mapping of {batch.table_name} uses. "
                f"Its columns: {', '.join(names)}. Mend the mapping, or have the file delivered again.",
                "file.columns",
            ) from error
        return mapped

    def _ranked(self, batch: Receipt, records: DataFrame, relation: Relation) -> DataFrame:
        """Adds the rank of each record among those it duplicates: 1 is kept, later ones and known ones are not.

        A broken record hides no good one of the same key. The window over all records is paid only when something may
        repeat.
        """
        records = self._with_known(batch, records)
        rules = self._mapping.tables[batch.table_name].duplicates
        if not relation.may_repeat:
            return records.selectExpr("*", f"IF({KNOWN}, 2, 1) AS {RANK}")
        key = list(rules.key) if rules.scope == "key" else ["row_hash", PAYLOAD]
        order = ", ".join(dict.fromkeys([*key, "known_at", "row_hash", PAYLOAD, LINE]))
        window = f"ROW_NUMBER() OVER (PARTITION BY {', '.join([IS_GOOD, *key])} ORDER BY {order})"
        return records.selectExpr("*", f"IF({KNOWN}, 2, {window}) AS {RANK}")

    def _with_known(self, batch: Receipt, records: DataFrame) -> DataFrame:
        """Adds whether an earlier file brought the same event already."""
        name = f"bronze.{batch.table_name}"
        if not self._lake.exists(name) or not self._lake.spark.sql(f"SELECT 1 FROM {name} LIMIT 1").collect():
            return records.selectExpr("*", f"FALSE AS {KNOWN}")
        rules = self._mapping.tables[batch.table_name]
        key = list(rules.duplicates.key) or ["row_hash", *rules.columns]
        renamed = [f"{column} AS _earlier_{column}" for column in key]
        known = self._lake.spark.table(name).selectExpr(*renamed, "TRUE AS _earlier").distinct()
        same = " AND ".join(f"new.{column} <=> _earlier_{column}" for column in key)
        return self._lake.spark.sql(
            f"SELECT new.*, COALESCE(_earlier, FALSE) AS {KNOWN} FROM {{records}} new LEFT JOIN {{known}} ON {same}",
            records=records,
            known=known,
        )

    def _counted(self, batch: Receipt, records: DataFrame, earlier: Iterable[Receipt]) -> Receipt:
        """All counts of the file in one scan."""
        rules = self._mapping.tables[batch.table_name]
        accepted = f"{IS_GOOD} AND {RANK} = 1"
        kinds = [f"CAST({kind_flag(label)} AS INT)" for label in rules.explode.kinds] if rules.explode else ["1"]
        week = "week_start_date" if "week_start_date" in records.columns else "CAST(NULL AS DATE)"
        newest = max((item.last_event_at for item in earlier if item.last_event_at), default=None)
        is_late = "FALSE"
        if newest is not None and rules.late_after_days is not None:
            watermark = newest - timedelta(days=rules.late_after_days)
            is_late = f"event_at < TIMESTAMP'{watermark.astimezone(UTC):%Y-%m-%d %H:%M:%S}'"
        row = (
            records.selectExpr(
                "COUNT(*) AS received",
                f"COUNT_IF({accepted}) AS accepted",
                f"COUNT_IF(NOT {IS_GOOD}) AS quarantined",
                f"COUNT_IF({IS_GOOD} AND {RANK} > 1) AS duplicates",
                f"COUNT_IF({accepted} AND {is_late}) AS late",
                f"COALESCE(SUM(CASE WHEN {accepted} THEN {' + '.join(kinds)} END), 0) AS rows_written",
                f"MIN(CASE WHEN {accepted} THEN {week} END) AS first_week_start_date",
                f"MAX(CASE WHEN {accepted} THEN {week} END) AS last_week_start_date",
                f"MAX(CASE WHEN {accepted} THEN event_at END) AS last_event_at",
                *(f"COUNT_IF({flag_column(index)}) AS {flag_column(index)}" for index in range(len(rules.flags))),
            )
            .collect()[0]
            .asDict()
        )
        flags = {name: row.pop(flag_column(index)) for index, name in enumerate(rules.flags)}
        return replace(batch, **row, flag_counts=json.dumps(flags, sort_keys=True))

    def _broken(self, receipt: Receipt, records: DataFrame, plan: ValidationPlan) -> DataFrame:
        """The records that break a blocking rule, as rows of the quarantine."""
        broken = with_broken_rules(records, plan, BROKEN).filter(f"size({BROKEN}) > 0")
        return broken.selectExpr(
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

    def _accepted(self, receipt: Receipt, records: DataFrame) -> DataFrame:
        """The rows of the accepted records: one per record, or one per record and kind."""
        if receipt.accepted < receipt.received:
            records = records.filter(f"{IS_GOOD} AND {RANK} = 1")
        columns = self._contracts["bronze", receipt.table_name].column_names
        explode = self._mapping.tables[receipt.table_name].explode
        if explode is None:
            return records.select(*columns)
        parts = [
            records.filter(kind_flag(label)).selectExpr("*", *kind_row(explode, label)).select(*columns)
            for label in explode.kinds
        ]
        return functools.reduce(lambda left, right: left.unionAll(right), parts)
