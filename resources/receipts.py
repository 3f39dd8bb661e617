"""The ledger of ingests: one receipt per table and delivered file, or batch of a topic.

Belongs here: what a receipt says, and the receipts that a source has so far. Does not belong here: how a file is
ingested.

The law: received = accepted + quarantined + duplicates, counted in source records. A file that cannot be read at all
counts as one record, quarantined. A replay receives nothing: what it moves out of quarantine is negative there.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Literal

import pyarrow as pa

from checks.contracts.model import Contract
from checks.contracts.spark_schema import arrow_schema
from resources.lake import Lake

Outcome = Literal["ingested", "duplicate", "refused", "replayed", "lost"]


@dataclass(frozen=True)
class Receipt:
    """One row of the ingest ledger: what one file, or one batch of a topic, brought. Counts are source records.

    A batch of a topic has its topic's id, its number among the topic's batches and the ranges that it read, of every
    partition; a file has none of these.
    """

    source: str
    table_name: str
    batch_id: str
    file_name: str
    file_sha256: str
    content_sha256: str
    file_bytes: int
    mapping_sha256: str
    file_columns: list[str]
    file_column_types: list[str]
    outcome: Outcome
    reason: str | None
    received: int
    accepted: int
    quarantined: int
    duplicates: int
    late: int
    rows_written: int
    flag_counts: str = "{}"
    first_week_start_date: date | None = None
    last_week_start_date: date | None = None
    last_event_at: datetime | None = None
    topic_id: str | None = None
    batch_ordinal: int | None = None
    offset_ranges: list[str] = field(default_factory=list)


def batch_id(source: str, table: str, named_by: str) -> str:
    """The name of a batch: equal where everything is equal that it is named by."""
    return f"{source}-{table}-{hashlib.sha256(named_by.encode()).hexdigest()[:16]}"


def receipts_of(lake: Lake, ledger: Contract, source: str, table: str | None = None) -> list[Receipt]:
    """The receipts of a source, or of one of its tables, in no particular order."""
    if not lake.exists(ledger.published_name):
        return []
    where = f"source = '{source}'" + (f" AND table_name = '{table}'" if table else "")
    return [Receipt(**row) for row in lake.read(ledger.published_name, where=where).iter_rows(named=True)]


def ledger_row(receipt: Receipt, ledger: Contract) -> pa.Table:
    """The receipt as a table of one row with the ledger's types."""
    return pa.Table.from_pylist([asdict(receipt)], schema=arrow_schema(ledger))
