"""Where the model was wrong, and what the data say about why.

Here: the figures of the section "Where the model was wrong and why": misses by rule, the series with most error, and
the same weeks forecast from further away and from nearer.
Not here: the rules (ml.misses), errors by slice and method (accuracy.py). Nothing after `as_of` is read.

Issued forecasts are analysed once enough issues have matured; until then the back-test stands in, and the page says so.

Tables: `miss_scope` and `waiting` (row `all`), `miss` (rule), `miss_series` (number), `vintage` (far>near weeks ahead).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import polars as pl

from assets.insights import formats
from assets.insights.accuracy import pooled
from assets.insights.content import ALL, ReportContent
from assets.insights.figure import Figure, Section
from ml.backtest import CUTOFF
from ml.features import TARGET_WEEK
from ml.frame_checks import SERIES_KEY
from ml.misses import RULES, UNEXPLAINED, WITHIN_BAND, classified, miss_summary, with_circumstances

SECTION = Section("misses")
MIN_MATURED_ISSUES = 4
LISTED = 10
# A circumstance is called more frequent among the misses from a fifth more on.
CLEARLY = 1.2
LABELS: Mapping[str, str] = {
    WITHIN_BAND: "Inside the band",
    "closed_store": "Store sold nothing",
    "censored_week": "Out of stock or delisted",
    "new_series": "New store or product",
    "holiday_week": "Holiday week",
    "promotion_week": "Promotion peak",
    "level_shift": "Level shift",
    UNEXPLAINED: "None of these",
}
ADVICE: Mapping[str, str] = {
    WITHIN_BAND: "Ordinary spread that the band announced: plan stock by the band, not by the median.",
    "closed_store": "The whole store is silent: a closure or missing receipts. Tell the lake of closed days.",
    "censored_week": "Check the shelf and the range: forecasts learn nothing from these weeks.",
    "new_series": "Little history: treat these forecasts as guesses until a quarter has passed.",
    "holiday_week": "One holiday of a kind a year: overrule the forecast where you know the calendar better.",
    "promotion_week": "The plan was larger than the weeks the model has seen of this store.",
    "level_shift": "The level moved after the forecast was made; the next issues follow it.",
    UNEXPLAINED: "The data name no reason; one outcome in five is meant to fall outside.",
}
ROWS = (CUTOFF, *SERIES_KEY, "horizon_weeks", TARGET_WEEK, "actual", "p10", "p50", "p90")


def figures(content: ReportContent) -> Iterator[Figure]:
    """All figures of the section, in the page's order."""
    rows, basis = analysed_rows(content)
    if rows.height:
        past = content.series.filter(pl.col("known_at") <= content.as_of)
        found = classified(with_circumstances(rows, past, content.measure))
        yield from _scope(found, basis)
        for row in miss_summary(found).iter_rows(named=True):
            yield from _rule(row)
        yield from _series(found)
    yield from _vintages(content)


def analysed_rows(content: ReportContent) -> tuple[pl.DataFrame, str]:
    """Rows of the shown method with a known outcome, columns ROWS, and where they come from in words."""
    issued = matured_rows(content)
    issues = issued[CUTOFF].n_unique()
    if issues >= MIN_MATURED_ISSUES:
        return issued, f"the {issues:,} issues that have matured"
    tested = content.scored.filter(pl.col("method") == content.method).select(ROWS)
    return tested, f"the {tested[CUTOFF].n_unique():,} test issues of the back-test"


def matured_rows(content: ReportContent) -> pl.DataFrame:
    """Issued forecasts of the shown method whose week was known at `as_of`; columns ROWS."""
    known = content.known.select(
        *SERIES_KEY,
        pl.col("week_start_date").alias(TARGET_WEEK),
        pl.col(content.measure).cast(pl.Float64).alias("actual"),
    )
    mine = content.earlier.filter(pl.col("method") == content.method, pl.col("measure") == content.measure)
    return (
        mine.rename({"issue_week_start_date": CUTOFF})
        .join(known, on=[*SERIES_KEY, TARGET_WEEK], how="inner")
        .select(ROWS)
    )


def _scope(found: pl.DataFrame, basis: str) -> Iterator[Figure]:
    outside = found.filter(pl.col("rule") != WITHIN_BAND)
    weeks = found[TARGET_WEEK].sort().to_list()
    key = "miss_scope.all"
    yield SECTION.words(f"{key}.basis", basis)
    yield SECTION.words(f"{key}.period", formats.period(weeks[0], weeks[-1] + timedelta(days=6)))
    yield SECTION.count(f"{key}.rows", found.height)
    yield SECTION.count(f"{key}.outside", outside.height)
    yield SECTION.percent(f"{key}.outside_share", outside.height / found.height, 0)
    yield SECTION.count(f"{key}.error", float(found["error"].sum()))


def _rule(row: Mapping[str, Any]) -> Iterator[Figure]:
    key, rule = f"miss.{row['rule']}", next(item for item in RULES if item.name == row["rule"])
    yield SECTION.words(f"{key}.label", LABELS[rule.name])
    yield SECTION.words(f"{key}.meaning", rule.meaning)
    yield SECTION.count(f"{key}.count", row["row_count"])
    yield SECTION.percent(f"{key}.error_share", row["error_share"], 0)
    yield SECTION.percent(f"{key}.share_of_misses", row["share_of_misses"], 0)
    yield SECTION.percent(f"{key}.share_of_forecasts", row["share_of_forecasts"], 0)
    yield SECTION.words(f"{key}.says", _says(row))


def _says(row: Mapping[str, Any]) -> str:
    """What to make of a class, in one sentence."""
    if not row["row_count"]:
        return "No such case."
    misses, all_rows = row["share_of_misses"], row["share_of_forecasts"]
    if misses is None or all_rows is None:
        return ADVICE[row["rule"]]
    if misses < CLEARLY * all_rows:
        return "No more frequent among the misses than among all forecasts: not what goes wrong."
    return f"{formats.number(misses / all_rows, 1)} times as frequent among the misses. {ADVICE[row['rule']]}"


def _series(found: pl.DataFrame) -> Iterator[Figure]:
    """The series with the largest share of all error, each with the rule that accounts for most of its own."""
    total = float(found["error"].sum())
    keys = list(SERIES_KEY)
    leading = (
        found.group_by(*keys, "rule")
        .agg(pl.col("error").sum())
        .sort("error", "rule", descending=[True, False])
        .group_by(keys, maintain_order=True)
        .agg(pl.col("rule").first())
    )
    ranked = (
        found.sort(CUTOFF, TARGET_WEEK)
        .group_by(keys, maintain_order=True)
        .agg(
            pl.col("error", "actual", "p50").sum(),
            outside=(pl.col("rule") != WITHIN_BAND).sum(),
            row_count=pl.len(),
        )
        .join(leading, on=keys)
        .sort("error", *keys, descending=[True, False, False])
    )
    yield SECTION.percent("miss_scope.all.listed_share", _share(float(ranked.head(LISTED)["error"].sum()), total), 0)
    for number, row in enumerate(ranked.head(LISTED).iter_rows(named=True), start=1):
        key = f"miss_series.{number}"
        yield SECTION.words(f"{key}.store", row["store_id"])
        yield SECTION.words(f"{key}.group", row["product_group"])
        yield SECTION.percent(f"{key}.error_share", _share(row["error"], total), 1)
        yield SECTION.percent(f"{key}.wape", _share(row["error"], row["actual"]), 0)
        yield SECTION.change(f"{key}.bias", _share(row["p50"] - row["actual"], row["actual"]), 0)
        yield SECTION.count(f"{key}.outside", row["outside"])
        yield SECTION.count(f"{key}.row_count", row["row_count"])
        yield SECTION.words(f"{key}.rule", LABELS[row["rule"]])


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def vintages(content: ReportContent) -> pl.DataFrame:
    """The same target weeks forecast from further away and from nearer, by the shown method.

    Columns `far, near` (weeks ahead), `weeks, far_wape, near_wape, far_coverage, near_coverage`; one row per number of
    weeks ahead that shares target weeks with a smaller one (the largest such). From matured issues where they share
    any, else from the back-test.
    """
    tested = content.backtest.with_columns(
        (pl.col(CUTOFF) + pl.duration(weeks=pl.col("horizon_weeks").cast(pl.Int64))).alias(TARGET_WEEK)
    )
    for measured in (content.accuracy, tested):
        rows = measured.filter(pl.col("slice") == ALL, pl.col("method") == content.method)
        found = [row for far in sorted(set(rows["horizon_weeks"])) if (row := _vintage(rows, int(far))) is not None]
        if found:
            return pl.DataFrame(found)
    return pl.DataFrame()


def _vintage(rows: pl.DataFrame, far: int) -> dict[str, Any] | None:
    """The pair of `far` and the largest smaller number of weeks ahead that has target weeks in common with it."""
    targets = set(rows.filter(pl.col("horizon_weeks") == far)[TARGET_WEEK])
    for near in range(far - 1, 0, -1):
        shared = targets & set(rows.filter(pl.col("horizon_weeks") == near)[TARGET_WEEK])
        if not shared:
            continue
        same = rows.filter(pl.col(TARGET_WEEK).is_in(list(shared)), pl.col("horizon_weeks").is_in([far, near]))
        measures = {row["horizon_weeks"]: row for row in pooled(same, "horizon_weeks").iter_rows(named=True)}
        return {
            "far": far,
            "near": near,
            "weeks": len(shared),
            **{f"{name}_wape": measures[lead]["wape"] for name, lead in (("far", far), ("near", near))},
            **{f"{name}_coverage": measures[lead]["coverage_80"] for name, lead in (("far", far), ("near", near))},
        }
    return None


def _waiting(gain: float) -> str:
    if round(100 * gain, 1) <= 0:
        return "No: made nearer to their week, the forecasts missed by no less."
    return f"Made nearer to their week, the forecasts missed by at most {100 * gain:.1f} points of WAPE less."


def _vintages(content: ReportContent) -> Iterator[Figure]:
    pairs = vintages(content)
    gains = [] if pairs.is_empty() else (pairs["far_wape"] - pairs["near_wape"]).drop_nulls().to_list()
    if gains:
        yield SECTION.words("waiting.all.text", _waiting(max(gains)))
    for row in pairs.iter_rows(named=True):
        key = f"vintage.{row['far']}>{row['near']}"
        for name in ("far", "near", "weeks"):
            yield SECTION.count(f"{key}.{name}", row[name])
        for name in ("far", "near"):
            yield SECTION.percent(f"{key}.{name}_wape", row[f"{name}_wape"])
            yield SECTION.percent(f"{key}.{name}_coverage", row[f"{name}_coverage"])
        gap = None if None in (row["far_wape"], row["near_wape"]) else row["far_wape"] - row["near_wape"]
        yield SECTION.number(f"{key}.gain_points", None if gap is None else 100 * gap, 1)
