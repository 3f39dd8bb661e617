"""The books of the bronze layer: committing a batch, booking it, and taking back what was never booked.

Belongs here: the commits of an ingest or a replay on Delta. Does not belong here: which commits there are and in which
order (delivery_plan), what is in them (ingest, quarantine).

Every append is looked for in the log of its table: if it made two commits, because a client whose answer was lost asked
again, the batch is taken back by who writes next and read again (docs/adr/0029).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
from pyspark.sql import DataFrame

from checks.contracts.model import Contract
from checks.contracts.rule_sql import literal
from resources.commits import CommittedTwice, commits_between
from resources.delivery_plan import LEDGER, QUARANTINE, Intent, commits_of, require_counts, require_same_count, undo_of
from resources.intents import declare, declared, withdraw
from resources.lake import Lake
from resources.receipts import Receipt, ledger_row, receipts_of
from resources.restatement import with_restated_weeks
from resources.table_files import location_of

# Names a record of the quarantine in its batch; a whole file has no line.
PLACE = {"batch_id": pl.String, "line_number": pl.Int64}
# The name under which the counts of a batch are observed while its rows are written.
OBSERVED = "counts"
Row = dict[str, Any]
# What a batch, as far as its receipt is known, brings to a table; None where it has changed the table in place.
Rows = Callable[[Receipt], DataFrame | None]
# The receipt of a batch from its counts.
Counted = Callable[[Row], Receipt]


@dataclass(frozen=True)
class Written:
    """What an append did: rows by the table's own count, and what Spark observed of them meanwhile, if it was asked."""

    rows: int
    observed: Row


class Books:
    """Ledger, quarantine and bronze tables of one lake, written batch by batch."""

    def __init__(self, lake: Lake, contracts: Mapping[tuple[str, str], Contract]) -> None:
        self._lake = lake
        self._contracts = contracts
        # Tables that were seen to be there since `undo_unbooked`: nobody else changes them meanwhile.
        self._seen: set[str] = set()

    def receipts(self, source: str, table: str) -> list[Receipt]:
        """What was booked for a table so far, in no particular order."""
        return receipts_of(self._lake, self._contracts["bronze", LEDGER], source, table)

    def undo_unbooked(self) -> None:
        """Become the writer of the lake, and take back what a killed ingest or replay left without booking it."""
        self._lake.claim()
        self._seen.clear()
        intent = declared(self._lake.settings.home)
        if intent is None:
            return
        receipts = self.receipts(intent.source, intent.table_name)
        undo = undo_of(intent, [receipt.batch_id for receipt in receipts])
        if undo is not None:
            batch = literal(undo.batch_id)
            for table in undo.tables:
                if self._lake.exists(f"bronze.{table}"):
                    self._lake.spark.sql(f"DELETE FROM bronze.{table} WHERE batch_id = {batch}")
            if self._lake.exists(f"bronze.{QUARANTINE}"):
                unmark = f"UPDATE bronze.{QUARANTINE} SET replayed_by = NULL WHERE replayed_by = {batch}"
                self._lake.spark.sql(unmark)
        withdraw(self._lake.settings.home)

    def release(self, receipt: Receipt, refused_batch_id: str) -> None:
        """Book that a refused file has left quarantine: what stood for it there is a duplicate of the file as read."""
        batch_id = f"{refused_batch_id}-released"
        released = replace(receipt, batch_id=batch_id, outcome="replayed", reason=f"content {receipt.content_sha256}")
        released = replace(released, received=0, accepted=0, quarantined=-1, duplicates=1, late=0, rows_written=0)
        earlier = self.receipts(released.source, released.table_name)
        place = pl.DataFrame({"batch_id": [refused_batch_id], "line_number": [None]}, schema=PLACE)
        self.commit(released, {QUARANTINE: lambda _: self.mark(place, batch_id)}, earlier)

    def mark(self, places: pl.DataFrame, batch_id: str) -> None:
        """Say in the quarantine which batch moves these records out."""
        self._lake.spark.createDataFrame(places.to_arrow()).createOrReplaceTempView("moved_out_of_quarantine")
        self._lake.spark.sql(
            f"MERGE INTO bronze.{QUARANTINE} q USING moved_out_of_quarantine m "
            "ON q.batch_id = m.batch_id AND q.line_number <=> m.line_number "
            f"WHEN MATCHED THEN UPDATE SET replayed_by = {literal(batch_id)}"
        )

    def commit(
        self, receipt: Receipt, rows: Mapping[str, Rows], earlier: Iterable[Receipt], *, counted: Counted | None = None,
        restates: bool = False,
    ) -> Receipt:  # fmt: skip
        """Declare the batch, commit its rows table by table, book it, and withdraw the declaration.

        Args:
            receipt: of the batch; where it is counted while its rows are written, without counts.
            rows: what it brings to each table.
            earlier: the receipts of the table so far.
            counted: the receipt with its counts, from what was observed of the rows.
            restates: whether the batch may change other weeks than its own.

        Returns:
            The receipt as booked; where the batch restates other weeks than its own, it names them too.

        Raises:
            CommittedTwice, Miscounted: nothing is booked; whoever writes next takes the batch back.
        """
        if not commits_of(receipt, {item.batch_id for item in earlier}):
            return receipt
        home = self._lake.settings.home
        declare(home, Intent(receipt.source, receipt.table_name, receipt.batch_id))
        done: list[str] = []
        # What follows the rows is known when they are counted.
        while (table := commits_of(receipt, ())[len(done)]) != LEDGER:
            frame = rows[table](receipt)
            if frame is not None:
                written = self._append(table, frame, receipt)
                if counted and table == receipt.table_name:
                    require_counts(receipt, written.observed)
                    receipt = counted(written.observed)
                require_same_count(receipt, table, written.rows)
            done.append(table)
        booked = with_restated_weeks(self._lake, receipt) if restates else receipt
        line = ledger_row(booked, self._contracts["bronze", LEDGER])
        self._append(LEDGER, self._lake.spark.createDataFrame(line), booked)
        withdraw(home)
        return booked

    def _append(self, table: str, rows: DataFrame, receipt: Receipt) -> Written:
        """Add what a receipt's batch brings to a table, in one commit."""
        contract = self._contracts["bronze", table]
        if table not in self._seen:
            self._lake.ensure_table(contract)
            self._seen.add(table)
        files, name, before = self._lake.files, contract.audit_name, self._lake.newest(contract).version
        # By its folder: by its name the catalog would be asked several times.
        place = location_of(self._lake.settings, name)
        frame = rows.select(*contract.column_names)
        frame.write.format("delta").mode("append").save(place)
        # Nothing makes no commit.
        commits = commits_between(files, name, before, self._lake.newest(contract).version)
        if len(commits) > 1:
            raise CommittedTwice(
                f"{contract.published_name} got {len(commits)} commits of one append of {receipt.batch_id}; "
                "run again to mend it."
            )
        told = dict(frame.executionInfo.flows) if frame.executionInfo else {}
        return Written(sum(commit.rows_written or 0 for commit in commits), told.get(OBSERVED, {}))
