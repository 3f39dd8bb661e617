"""Sequences of deliveries, kills and replays on a real lake: the same machine and oracle as for the pure plan."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import polars as pl
import pytest
from hypothesis import Phase
from hypothesis.stateful import run_state_machine_as_test
from pyspark.sql import DataFrame

from checks.contracts.loader import load_contracts
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from checks.contracts.rule_sql import with_relations
from resources import books
from resources.ingest import Ingest
from resources.inventory import ledger_counts
from resources.lake import Lake
from resources.mapping import load_mapping
from resources.quarantine import Replay
from resources.receipts import Receipt
from tests.integration.test_text_ingest import CORNER, HEADER
from tests.property.delivery_machine import TABLE, Books, DeliveryMachine, File, Kill, sequences

pytestmark = pytest.mark.spark
TABLES = (TABLE, "ingest_ledger", "quarantine")


class RealLake:
    """Files on disk, the product's ingest and replay, Delta tables; a kill is an exception right after a commit."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._folder = Path(mkdtemp())
        (self._folder / "corner.yaml").write_text(CORNER, encoding="utf-8")
        self._contracts = load_contracts()
        self._mapping = load_mapping("corner", self._folder)
        self._plan = compile_plan(to_pandera(self._contracts["bronze", TABLE]))
        ledger = compile_plan(to_pandera(self._contracts["bronze", "ingest_ledger"]))
        self._reconciliations = [rule for rule in ledger.table_rules if rule.kind == "reconcile"]
        for table in TABLES:
            lake.ensure_table(self._contracts["bronze", table])

    def deliver(self, file: File, name: str, kill: Kill, *, is_damaged: bool) -> bool:
        lines = [
            f"r{record.number},p1,c1,{'one' if record.is_broken else 1},{record.amount}.50,2017-01-02 12:00:00\n"
            for record in file
        ]
        content = gzip.compress((HEADER + "".join(lines)).encode(), mtime=0)
        path = self._folder / name
        path.write_bytes(content[:-9] if is_damaged else content)
        return self._until(kill, lambda: Ingest(self._lake, self._mapping, self._contracts).file(
            TABLE, path, self._plan
        ))  # fmt: skip

    def replay(self, kill: Kill) -> bool:
        worker = Replay(self._lake, self._mapping, self._contracts)
        return self._until(kill, lambda: worker.table(TABLE, self._plan, lambda row: {**row, "units": "1"}, "fix"))

    def books(self) -> Books:
        counts = ledger_counts(self._lake).get(TABLE, {})
        rows = self._lake.query(
            "SELECT INT(SUBSTRING(transaction_id, 2)) AS number, INT(FLOOR(sales_amount_usd)) AS amount "
            f"FROM bronze.{TABLE} ORDER BY 1, 2"
        )
        held = self._lake.query("SELECT COUNT(*) AS n FROM bronze.quarantine WHERE replayed_by IS NULL")["n"][0]
        sums = (counts.get(name, 0) for name in ("received", "accepted", "quarantined", "duplicates"))
        return Books(tuple(rows.iter_rows()), held, *sums)

    def close(self) -> None:
        """Every batch of the ledger has its records in the quarantine; then the tables are emptied."""
        for rule in self._reconciliations:
            query = with_relations(rule.sql.query, "bronze.ingest_ledger", rule.sql.reference)
            assert self._lake.query(query).is_empty(), rule.id
        for table in TABLES:
            self._lake.spark.sql(f"DELETE FROM bronze.{table}")
        shutil.rmtree(self._folder)

    def _until(self, kill: Kill, work: object) -> bool:
        append, mark = books.Books._append, books.Books.mark

        def dying_append(self: books.Books, table: str, rows: DataFrame, receipt: Receipt) -> books.Written:
            written = append(self, table, rows, receipt)
            if table == kill:
                raise KeyboardInterrupt
            return written

        def dying_mark(self: books.Books, places: pl.DataFrame, batch_id: str) -> None:
            mark(self, places, batch_id)
            if kill == "quarantine":
                raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(books.Books, "_append", dying_append)
            patched.setattr(books.Books, "mark", dying_mark)
            try:
                work()  # type: ignore[operator]
            except KeyboardInterrupt:
                return True
        return False


@pytest.fixture
def empty(lake: Lake) -> Iterator[Lake]:
    yield lake
    for table in TABLES:
        lake.spark.sql(f"DROP TABLE IF EXISTS bronze.{table}")


def test_any_sequence_ends_as_a_perfect_delivery(empty: Lake):
    class RealMachine(DeliveryMachine):
        def start(self) -> RealLake:
            return RealLake(empty)

        def teardown(self) -> None:
            super().teardown()
            self.system.close()

    # A sequence is three steps: to make a failing one shorter takes an hour here and tells little.
    run_state_machine_as_test(
        RealMachine, settings=sequences(in_ci=5, to_certify=500, steps=3, phases=(Phase.generate,))
    )
