"""Ingest against a bare copy: the demo's receipts with ledger, quarantine and all rules, beside Parquet to Delta.

Belongs here: what is timed and that both hold the same records. Does not belong here: how it is timed (side_by_side).
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.memory import MemoryWatch
from benchmarks.program import Options
from benchmarks.side_by_side import alternate, rivals, throwaway_lake
from checks.contracts.loader import load_contracts
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from resources.ingest import Ingest
from resources.lake import Lake
from resources.mapping import load_mapping

REPETITIONS = 5
# What the bare copy has that the file has, under the names of the bronze table.
SAME = {
    "records": ("COUNT(*)", "COUNT(*)"),
    "units": ("SUM(quantity_units)", "SUM(CAST(quantity AS DECIMAL(18, 4)))"),
    "sales": ("SUM(sales_amount_usd)", "SUM(CAST(ROUND(sales_value, 4) AS DECIMAL(18, 4)))"),
    "last_event_at": ("MAX(event_at)", "MAX(CAST(transaction_timestamp AS TIMESTAMP))"),
}


def bench_ingest(_options: Options) -> dict[str, Any]:
    """Time the ingest of all receipts of the demo against `read.parquet` and a Delta write of the same file.

    Both begin with no table. The result is the object that `bench --json` promises; `rivals` has the ratio.
    """
    began = time.monotonic()
    with throwaway_lake() as lake, MemoryWatch(lake.settings.home, with_self=True) as memory:
        bench = _Bench(lake)
        ours = "ingest"
        seconds = alternate({ours: bench.ingest, "parquet to delta": bench.bare_copy}, REPETITIONS)
        bench.require_same_records()
        peak = memory.peak_mb()
        file_bytes = bench.file.stat().st_size
    return {
        "name": "ingest",
        "configuration": {
            "threads": lake.settings.threads, "spark_memory": lake.settings.spark_memory, "file": bench.file.name,
            "file_bytes": file_bytes, "rules": bench.rules, "repetitions": REPETITIONS,
        },
        "metrics": {
            "records": bench.records,
            "ingest_seconds": round(statistics.median(seconds[ours]), 3),
            "records_per_second": round(bench.records / statistics.median(seconds[ours])),
        },
        "published": {},
        "seconds": round(time.monotonic() - began, 1),
        "peak_rss_mb": peak,
        "rivals": rivals(seconds, ours),
    }  # fmt: skip


class _Bench:
    """Both contestants on one lake."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._contracts = load_contracts()
        self._mapping = load_mapping("completejourney")
        self._plan = compile_plan(to_pandera(self._contracts["bronze", "pos_lines"]))
        self.file = self._mapping.folder(lake.settings) / "transactions.parquet"
        self.rules = len(self._plan.row_rules)
        self.records = 0

    def ingest(self) -> None:
        self._drop("pos_lines", "quarantine", "ingest_ledger")
        receipt = Ingest(self._lake, self._mapping, self._contracts).file("pos_lines", self.file, self._plan)
        assert receipt is not None
        assert receipt.received == receipt.accepted + receipt.quarantined + receipt.duplicates
        self.records = receipt.received

    def bare_copy(self) -> None:
        self._drop("bare_copy")
        self._lake.spark.read.parquet(str(self.file)).write.format("delta").saveAsTable("bronze.bare_copy")

    def require_same_records(self) -> None:
        """Raise AssertionError when the two tables differ in records, units, money or time."""
        ours = ", ".join(here for here, _ in SAME.values())
        theirs = ", ".join(there for _, there in SAME.values())
        held = self._lake.query(f"SELECT {ours} FROM bronze.pos_lines").row(0)
        copied = self._lake.query(f"SELECT {theirs} FROM bronze.bare_copy").row(0)
        assert held == copied, f"the tables differ: {held} and {copied}"
        assert held[0] == self.records

    def _drop(self, *tables: str) -> None:
        for table in tables:
            self._lake.spark.sql(f"DROP TABLE IF EXISTS bronze.{table}")
