"""What becomes of a delivery, which commits it makes in which order, and what a killed one leaves to undo.

Belongs here: decisions, as pure functions of the ledger's receipts and of the intent. Does not belong here: reading
files and tables, or committing (ingest, quarantine).

The ledger is the commit point: a batch that it names was taken, one that it does not name never was. An ingest says
first what it intends (intents), then commits rows, quarantine, and last the ledger. Whoever writes next undoes what an
intent without a receipt left, before anything is read; so nothing is ever compared with rows that nobody booked, and
the next attempt may come with another mapping, another contract or another file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from resources.receipts import Outcome, Receipt

LEDGER, QUARANTINE = "ingest_ledger", "quarantine"


class Miscounted(RuntimeError):
    """A table got other rows of a batch than were counted; whoever writes next takes the batch back."""


@dataclass(frozen=True)
class Intent:
    """A batch that is about to be committed."""

    source: str
    table_name: str
    batch_id: str


@dataclass(frozen=True)
class Undo:
    """What takes back a batch that was never booked: rows of these tables, and its marks in the quarantine."""

    batch_id: str
    tables: tuple[str, ...]


def is_settled(receipts: Iterable[Receipt], table: str, file_name: str, file_sha256: str, mapping_sha256: str) -> bool:
    """Whether a file needs no further look: a refused one gets another when its mapping has changed."""
    return any(
        (receipt.table_name, receipt.file_name, receipt.file_sha256) == (table, file_name, file_sha256)
        and (receipt.outcome != "refused" or receipt.mapping_sha256 == mapping_sha256)
        for receipt in receipts
    )


def first_with(content_sha256: str, receipts: Iterable[Receipt]) -> Receipt | None:
    """The receipt of the file that brought this content, if any did: every record of a repeat is a duplicate."""
    return next(
        (item for item in receipts if item.content_sha256 == content_sha256 and item.outcome == "ingested"), None
    )


def commits_of(receipt: Receipt, booked: Collection[str]) -> tuple[str, ...]:
    """The bronze tables that a receipt's batch is committed to, in order; none when the ledger has it already.

    Of a delivery that is not counted yet, its rows come first, whatever follows: it is counted while they are written.
    The quarantine gets the broken records of a file, or the marks of records that a replay moves out.
    """
    if receipt.batch_id in booked:
        return ()
    has_rows: dict[Outcome, bool] = {
        "ingested": True, "duplicate": False, "refused": False, "replayed": receipt.accepted > 0, "lost": False,
    }  # fmt: skip
    rows = (receipt.table_name,) if has_rows[receipt.outcome] else ()
    then = (QUARANTINE,) if receipt.quarantined else ()
    return (*rows, *then, LEDGER)


def require_counts(receipt: Receipt, observed: Mapping[str, object]) -> None:
    """Raises Miscounted: Spark wrote a batch, and told nothing of what it counted meanwhile."""
    if not observed:
        raise Miscounted(
            f"{receipt.batch_id} was written, and Spark sent no counts of it. Nothing is booked; run again to mend it."
        )


def require_same_count(receipt: Receipt, table: str, rows: int) -> None:
    """A batch is counted by Spark as it is written, and what a table got by its log: two counts of one thing.

    Raises:
        Miscounted: they differ, or the law of the ledger does not hold.
    """
    expected = receipt.rows_written if table == receipt.table_name else receipt.quarantined
    parts = receipt.accepted + receipt.quarantined + receipt.duplicates
    if expected != rows or (receipt.outcome == "ingested" and receipt.received != parts):
        raise Miscounted(
            f"Of {receipt.batch_id} were counted {receipt.received} records received, {receipt.accepted} accepted, "
            f"{receipt.quarantined} quarantined, {receipt.duplicates} duplicates and {receipt.rows_written} rows; "
            f"bronze.{table} got {rows}. Nothing is booked; run again to mend it."
        )


def undo_of(intent: Intent | None, booked: Collection[str]) -> Undo | None:
    """What an intent left that is to be taken back; None when there is none or its batch is booked.

    Args:
        intent: that nobody withdrew.
        booked: the batches that the ledger has, one as often as it has it. A batch that is there twice is taken back
            like one that is not there, its lines in the ledger last.
    """
    if intent is None:
        return None
    times = sum(batch == intent.batch_id for batch in booked)
    lines = (LEDGER,) if times > 1 else ()
    return None if times == 1 else Undo(intent.batch_id, (QUARANTINE, intent.table_name, *lines))
