"""What to do next: the activities that are worth most under the limits, what each should add, and the hold-out.

Here: the figures of the section "What to do next".
Not here: the choice (ml.actions). Nothing is made where the lake has no advice.

Tables: `advice_sum` (row `all`), `advice` (number), `advice_assumed` (number).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from assets.insights import formats
from assets.insights.content import ReportContent
from assets.insights.figure import Figure, Section

SECTION = Section("advice")
LISTED = 20
VALUE = "incremental_transactions"
_HOLD_OUT = "hold_out"


def figures(content: ReportContent) -> Iterator[Figure]:
    """All figures of the section, in the page's order."""
    rows = content.advice
    if rows.is_empty():
        return
    ranked = rows.sort(
        VALUE, "target_week_start_date", "store_id", "product_group", descending=[True, False, False, False]
    )
    yield from _sum(ranked)
    for number, row in enumerate(ranked.head(LISTED).iter_rows(named=True), start=1):
        yield from _row(f"advice.{number}", row)
    for number, words in enumerate(sorted(set(rows["assumed"])), start=1):
        yield SECTION.words(f"advice_assumed.{number}.text", words)


def _sum(rows: pl.DataFrame) -> Iterator[Figure]:
    key, treated = "advice_sum.all", rows.filter(pl.col("cell") != _HOLD_OUT)
    yield SECTION.count(f"{key}.treated", treated.height)
    yield SECTION.count(f"{key}.hold_out", rows.height - treated.height)
    yield SECTION.estimate(f"{key}.transactions", float(treated[VALUE].sum()))
    yield SECTION.number(f"{key}.cost_usd", float(treated["assumed_cost_usd"].cast(pl.Float64).sum()))
    yield SECTION.number(f"{key}.gap_percent", rows["optimality_gap_percent"][0])


def _row(key: str, row: Mapping[str, Any]) -> Iterator[Figure]:
    ends = (formats.number(row[f"{VALUE}_{end}"], 1) for end in ("lower", "upper"))
    yield SECTION.day(f"{key}.week", row["target_week_start_date"])
    yield SECTION.words(f"{key}.store", row["store_id"])
    yield SECTION.words(f"{key}.group", row["product_group"])
    yield SECTION.words(f"{key}.kind", row["kind"])
    yield SECTION.words(f"{key}.cell", "leave out, to measure" if row["cell"] == _HOLD_OUT else "do")
    yield SECTION.number(f"{key}.adds", row[VALUE], 1)
    yield SECTION.words(f"{key}.range", " to ".join(ends))
    yield SECTION.number(f"{key}.cost_usd", float(row["assumed_cost_usd"]))
    yield SECTION.words(f"{key}.reason", row["reason"])
