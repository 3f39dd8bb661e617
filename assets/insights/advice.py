"""What to do next: the activities that are worth most under the limits, and what became of those approved before.

Here: the figures of the sections "What to do next" and "What became of earlier advice".
Not here: the choice (ml.actions), the comparison (ml.action_outcomes). Nothing is made where the lake has no advice.

Tables: `advice_sum` (row `all`), `advice` (number), `advice_assumed` (number), `advice_outcome` (week or `to_date`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from assets.insights import formats
from assets.insights.content import ALL, ReportContent
from assets.insights.figure import Figure, Section
from ml.action_outcomes import ONE_WEEK, TO_DATE
from ml.actions_optimizer import TARGET_WEEK

SECTION = Section("advice")
LISTED, OUTCOME_WEEKS = 20, 8
VALUE = "incremental_transactions"
_HOLD_OUT = "hold_out"


def figures(content: ReportContent) -> Iterator[Figure]:
    """All figures of both sections, in the page's order."""
    yield from _advice(content.advice)
    yield from _outcomes(content.advice_outcomes)


def _advice(rows: pl.DataFrame) -> Iterator[Figure]:
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


def _outcomes(rows: pl.DataFrame) -> Iterator[Figure]:
    """The newest weeks and all of them together, over all product groups and kinds."""
    overall = rows.filter(pl.col("kind") == ALL).sort(TARGET_WEEK)
    weekly, newest = overall.filter(pl.col("period") == ONE_WEEK), overall.filter(pl.col("period") == TO_DATE).tail(1)
    for row in weekly.tail(OUTCOME_WEEKS).iter_rows(named=True):
        yield from _outcome(f"advice_outcome.{row[TARGET_WEEK]}", f"Week of {formats.day(row[TARGET_WEEK])}", row)
    for row in newest.iter_rows(named=True):
        yield from _outcome(f"advice_outcome.{TO_DATE}", "All weeks so far", row)


def _outcome(key: str, label: str, row: Mapping[str, Any]) -> Iterator[Figure]:
    yield SECTION.words(f"{key}.label", label)
    yield SECTION.count(f"{key}.treated", row["treated_cells"])
    yield SECTION.count(f"{key}.hold_out", row["hold_out_cells"])
    yield SECTION.estimate(f"{key}.expected", row["expected_incremental_transactions"])
    yield SECTION.words(f"{key}.expected_range", _ends(row["expected_lower"], row["expected_upper"]))
    yield SECTION.estimate(f"{key}.measured", row["measured_incremental_transactions"])
    yield SECTION.words(f"{key}.measured_range", row["reason"] or _ends(row["measured_lower"], row["measured_upper"]))
    yield SECTION.yes(f"{key}.is_within", row["is_expected_within"])


def _ends(lower: float, upper: float) -> str:
    return f"{formats.estimate(lower)} to {formats.estimate(upper)}"


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
