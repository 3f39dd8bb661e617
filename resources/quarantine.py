"""The quarantine: what is held, and moving it out once it is mended.

Belongs here: reading held records back from their payloads, and what names a replay. Does not belong here: what is
wrong with them (record_rules, contracts), or how a replay is committed (books).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from checks.contracts.model import Contract
from checks.contracts.plan import ValidationPlan
from checks.contracts.rule_sql import literal
from resources.books import PLACE
from resources.fixes import Fix, Record
from resources.ingest import Ingest
from resources.lake import Lake
from resources.mapping import SourceMapping
from resources.receipts import Receipt
from resources.records import RAW, parser
from resources.staging import on_server

HELD = "replayed_by IS NULL"


@dataclass(frozen=True)
class Held:
    """Records in quarantine of one table and one rule."""

    source: str
    table_name: str
    file_name: str
    rule_id: str
    records: int


def held(lake: Lake, source: str | None = None, table: str | None = None) -> list[Held]:
    """What is in quarantine now, by file and broken rule; a record that broke two rules counts under both."""
    if not lake.exists("bronze.quarantine"):
        return []
    rows = lake.query(
        "SELECT source, table_name, file_name, rule_id, COUNT(*) AS records FROM bronze.quarantine "
        f"LATERAL VIEW explode(rule_ids) AS rule_id WHERE {_where(source, table)} "
        "GROUP BY source, table_name, file_name, rule_id ORDER BY source, table_name, file_name, rule_id"
    )
    return [Held(**row) for row in rows.iter_rows(named=True)]


class Replay:
    """Moves mended records of one source out of quarantine."""

    def __init__(self, lake: Lake, mapping: SourceMapping, contracts: Mapping[tuple[str, str], Contract]) -> None:
        self._lake = lake
        self._mapping = mapping
        self._contracts = contracts
        self._ingest = Ingest(lake, mapping, contracts)
        self._books = self._ingest.books

    def table(self, name: str, plan: ValidationPlan, fix: Fix | None = None, fix_sha256: str = "") -> Receipt | None:
        """Replay what one table holds; None when it holds nothing.

        Records are read by the mapping as it is now, then mended by `fix`. Those that keep every rule move to the
        table, or count as duplicates of what is there; the others stay. Replaying twice moves nothing.
        """
        self._books.undo_unbooked()
        where = f"{_where(self._mapping.source, name)} AND payload_encoding <> 'file'"
        rows = self._lake.read("bronze.quarantine", where=where).sort("file_name", *PLACE, "payload_sha256")
        if rows.is_empty():
            return None
        mended = self._mended(name, rows, fix)
        if mended.is_empty():
            return None
        batch = self._batch(name, mended, fix_sha256)
        with TemporaryDirectory() as folder:
            lines = Path(folder) / "replay.jsonl"
            lines.write_text("".join(f"{text}\n" for text in mended["record"]), encoding="utf-8")
            rules = self._mapping.tables[name].model_copy(update={"format": "jsonl"})
            with on_server(self._lake, lines, rules, batch.batch_id) as relation:
                return self._ingest.replay(batch, relation, plan, mended.select(*PLACE))

    def files(self, name: str, plan: ValidationPlan) -> list[Receipt]:
        """Read the kept bytes of refused files again; what is a good file now is ingested, and leaves quarantine."""
        self._books.undo_unbooked()
        where = f"{_where(self._mapping.source, name)} AND payload_encoding = 'file'"
        rows = self._lake.read("bronze.quarantine", where=where).sort("file_name", "payload_sha256")
        receipts = []
        for row in rows.iter_rows(named=True):
            kept = self._lake.settings.home / "quarantine" / row["payload_sha256"]
            with TemporaryDirectory() as folder:
                named = Path(folder) / row["file_name"]
                named.symlink_to(kept)
                receipt = self._ingest.file(name, named, plan, again=True)
            if receipt is None or receipt.outcome == "refused":
                continue
            receipts.append(receipt)
            self._books.release(receipt, row["batch_id"])
        return receipts

    # ------------------------------------------------------------------ steps
    def _mended(self, table: str, rows: pl.DataFrame, fix: Fix | None) -> pl.DataFrame:
        """The rows that have a record to try, with it as the column `record`, JSON."""
        receipts = self._books.receipts(self._mapping.source, table)
        columns = {receipt.batch_id: receipt.file_columns for receipt in receipts}
        records: list[str | None] = []
        for row in rows.iter_rows(named=True):
            found = self._record(table, row, columns[row["batch_id"]])
            mended = fix(found) if fix else found
            records.append(None if mended is None or RAW in mended else json.dumps(mended, default=str))
        return rows.with_columns(record=pl.Series(records, dtype=pl.String)).drop_nulls("record")

    def _record(self, table: str, row: Mapping[str, Any], columns: list[str]) -> Record:
        if row["payload_encoding"] == "json":
            return json.loads(row["payload"], parse_float=str)
        rules = self._mapping.tables[table]
        is_text = row["payload_encoding"] == "text"
        raw = row["payload"].encode(rules.text.encoding) if is_text else base64.b64decode(row["payload"])
        fields, _ = parser("jsonl" if rules.format == "jsonl" else "csv", rules.text, columns)(raw)
        return dict(zip(columns, fields, strict=True)) if fields is not None else {RAW: row["payload"]}

    def _batch(self, table: str, mended: pl.DataFrame, fix_sha256: str) -> Receipt:
        """An empty receipt, named by the records, by what mends them and by the rules that they are held to."""
        content = "\n".join(mended["record"]).encode()
        parts = [f"{batch}/{line}" for batch, line in mended.select(*PLACE).iter_rows()]
        rules = [self._mapping.sha256, self._contracts["bronze", table].sha256, fix_sha256]
        named = hashlib.sha256("\n".join([*rules, *parts]).encode()).hexdigest()
        digest = hashlib.sha256(content).hexdigest()
        name = f"replay-{named[:16]}"
        return Receipt(
            source=self._mapping.source, table_name=table, batch_id=f"{self._mapping.source}-{table}-{name}",
            file_name=name, file_sha256=digest, content_sha256=digest, file_bytes=len(content),
            mapping_sha256=self._mapping.sha256, file_columns=[], file_column_types=[], outcome="replayed",
            reason="from quarantine", received=0, accepted=0, quarantined=0, duplicates=0, late=0, rows_written=0,
        )  # fmt: skip


def _where(source: str | None, table: str | None) -> str:
    parts = [HELD]
    parts += [f"source = {literal(source)}"] if source else []
    parts += [f"table_name = {literal(table)}"] if table else []
    return " AND ".join(parts)
