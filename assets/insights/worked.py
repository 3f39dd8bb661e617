"""What worked: what promotions added at the point of sale, net of what they borrowed, or why nothing can be said.

Here: the figures of the section "What worked".
Not here: the measurement (ml.lift). Nothing is made where the source plans no promotions.

Tables: `lift_scope` (row `all`), `lift_group` (kind:group), `lift_event` (number), `lift_refused` (verdict).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from assets.insights import formats
from assets.insights.content import ALL, ReportContent
from assets.insights.figure import Figure, Section
from ml.lift import NET
from ml.lift_parts import PROMOTED

SECTION = Section("worked")
LISTED = 10
VALUE = "incremental_transactions"
VERDICTS: Mapping[str, str] = {
    "measured": "measured",
    "designs_disagree": "two designs disagree",
    "placebo_failed": "an effect before it began, too",
    "busier_stores": "the stores were busier anyway",
    "planned_after_outcome": "planned after it began",
    "outcome_not_over": "its weeks after are not over",
    "nothing_before": "too few weeks before it",
    "standing_promotion": "stands for months",
    "no_untreated_store": "ran everywhere at once",
    "no_overlap": "no store alike without it",
    "conflicting_promotion": "another promotion at the same time",
    "too_small": "sells too little to tell",
}


def figures(content: ReportContent) -> Iterator[Figure]:
    """All figures of the section, in the page's order."""
    if content.lift.is_empty():
        return
    net = content.lift.filter(pl.col("part") == NET)
    line = dict(content.lift.filter(pl.col("part") == PROMOTED).select("event_id", VALUE).iter_rows())
    events = net.filter(pl.col("level") == "event")
    measured = events.drop_nulls(VALUE)
    yield from _scope(events, measured, net.filter(pl.col("level") == ALL), line.get(ALL))
    for row in _best_first(net.filter(pl.col("level") == "group").drop_nulls(VALUE)):
        name = f"{row['product_group']}, {row['kind']}s"
        yield from _lift(f"lift_group.{row['event_id']}", name, row, line[row["event_id"]])
    ranked = _best_first(measured)
    for number, row in enumerate(_ends(ranked), start=1):
        name = f"{row['product_line']}, {row['kind']}, {formats.day(row['first_week_start_date'])}"
        yield from _lift(f"lift_event.{number}", name, row, line[row["event_id"]])
    refused = events.filter(pl.col(VALUE).is_null())["verdict"].value_counts().sort("count", "verdict", descending=True)
    for verdict, count in refused.iter_rows():
        yield SECTION.words(f"lift_refused.{verdict}.label", VERDICTS[verdict])
        yield SECTION.count(f"lift_refused.{verdict}.count", count)


def _scope(events: pl.DataFrame, measured: pl.DataFrame, total: pl.DataFrame, line: float | None) -> Iterator[Figure]:
    key = "lift_scope.all"
    yield SECTION.count(f"{key}.events", events.height)
    yield SECTION.count(f"{key}.measured", measured.height)
    yield SECTION.count(f"{key}.added", measured.filter(pl.col(f"{VALUE}_lower") > 0).height)
    yield SECTION.count(f"{key}.lost", measured.filter(pl.col(f"{VALUE}_upper") < 0).height)
    for row in total.drop_nulls(VALUE).iter_rows(named=True):
        yield SECTION.estimate(f"{key}.net", row[VALUE])
        yield SECTION.estimate(f"{key}.line", line)
        yield SECTION.words(f"{key}.range", _range(row))
        yield SECTION.yes(f"{key}.is_sure", _is_sure(row))


def _lift(key: str, name: str, row: Mapping[str, Any], line: float) -> Iterator[Figure]:
    yield SECTION.words(f"{key}.label", name)
    yield SECTION.estimate(f"{key}.net", row[VALUE])
    yield SECTION.words(f"{key}.range", _range(row))
    yield SECTION.yes(f"{key}.is_sure", _is_sure(row))
    yield SECTION.estimate(f"{key}.line", line)
    yield SECTION.estimate(f"{key}.naive", row["naive_transactions"])
    yield SECTION.count(f"{key}.stores", row["measured_stores"])
    yield SECTION.words(f"{key}.verdict", VERDICTS[row["verdict"]])


def _best_first(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return rows.sort(VALUE, "event_id", descending=[True, False]).to_dicts()


def _ends(ranked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best and the worst, each once."""
    return ranked if len(ranked) <= LISTED else [*ranked[: LISTED // 2], *ranked[-(LISTED // 2) :]]


def _is_sure(row: Mapping[str, Any]) -> bool:
    return bool(row[f"{VALUE}_lower"] > 0 or row[f"{VALUE}_upper"] < 0)


def _range(row: Mapping[str, Any]) -> str:
    return f"{formats.estimate(row[f'{VALUE}_lower'])} to {formats.estimate(row[f'{VALUE}_upper'])}"
