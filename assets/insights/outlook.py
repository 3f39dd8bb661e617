"""What will sell: the newest issue in total, by group and for example series, beside what then happened.

Here: the figures of the section "What will sell".
Not here: the scaling of sums (totals.py), the history (sold.py), or test errors (accuracy.py).

Tables: `ahead_total` (row `window`), `ahead_week` (target week), `ahead_group` (group),
`ahead_group_week` (group@week), `sure` (row `all`), `example` (number), `example_week` (number@week),
`example_history` (number@week).
Rows with an outcome also carry `actual`; it was unknown when the forecast was issued.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import polars as pl

from assets.insights import formats, sold
from assets.insights.content import ALL, ReportContent, method_label
from assets.insights.figure import Figure, Section
from assets.insights.totals import WHOLE_WINDOW, Range, Scaling, scaling
from ml.baselines import SIMPLE_RULE

SECTION = Section("outlook")
EXAMPLES = 6
EXAMPLE_HISTORY_WEEKS = 12
_KEY = ("store_id", "product_group")


def figures(content: ReportContent) -> Iterator[Figure]:
    """All figures of the section, in the page's order."""
    scale = scaling_of(content)
    yield SECTION.count("scaling.all.issues", scale.issues)
    sums = group_week_sums(content, scale)
    yield from _total(content, sums, scale)
    yield from _weeks(sums, scale)
    shown = sold.shown_groups(content)
    listed = sums.filter(pl.col("product_group").is_in(shown))
    yield from _groups(content, listed, scale, shown)
    yield from _sure(scale, shown)
    for row in listed.iter_rows(named=True):
        key = f"ahead_group_week.{row['product_group']}@{row['target_week_start_date']}"
        span = scale.ranges.get((row["product_group"], row["horizon_weeks"]))
        yield from _estimate(key, row["p50_sum"], row["expected"], span, row["actual"])
    yield from _examples(content)


def scaling_of(content: ReportContent) -> Scaling:
    """The scaling of the issue's groups. The simple rule can only stand in where its forecasts were issued too."""
    issued = SIMPLE_RULE in content.forecasts["method"]
    groups = content.issued["product_group"].unique().sort().to_list()
    return scaling(content.backtest, content.method, SIMPLE_RULE if issued else content.method, groups)


def with_outcomes(content: ReportContent) -> pl.DataFrame:
    """The issued rows with `actual`: the outcome where its week is known by now, else null."""
    outcome = content.outcomes.select(
        *_KEY,
        pl.col("week_start_date").alias("target_week_start_date"),
        pl.col(content.measure).cast(pl.Float64).alias("actual"),
    )
    return content.forecasts.join(outcome, on=[*_KEY, "target_week_start_date"], how="left")


def group_week_sums(content: ReportContent, scale: Scaling) -> pl.DataFrame:
    """One row per product group and target week.

    Columns `product_group, target_week_start_date, horizon_weeks, p50_sum, expected, actual`; `actual` is null
    unless the outcome of every forecast series is known.
    """
    basis = pl.DataFrame(
        [(group, method, scale.factors.get(group, 1.0)) for group, method in scale.methods.items()],
        schema={"product_group": pl.String, "basis": pl.String, "factor": pl.Float64},
        orient="row",
    )
    is_basis, is_shown = pl.col("method") == pl.col("basis"), pl.col("method") == content.method
    return (
        with_outcomes(content)
        .join(basis, on="product_group", how="inner")
        .group_by("product_group", "target_week_start_date", pl.col("horizon_weeks").cast(pl.Int64))
        .agg(
            pl.col("p50").filter(is_shown).sum().alias("p50_sum"),
            (pl.col("p50").filter(is_basis).sum() * pl.col("factor").first()).alias("expected"),
            pl.when(pl.col("actual").filter(is_shown).is_not_null().all())
            .then(pl.col("actual").filter(is_shown).sum())
            .alias("actual"),
        )
        .sort("product_group", "target_week_start_date")
    )


def _estimate(key: str, p50_sum: float, expected: float, span: Range | None, actual: float | None) -> Iterator[Figure]:
    """A total, its range where one was observed, and the outcome where it is known."""
    low = None if span is None else expected * span.low
    high = None if span is None else expected * span.high
    yield SECTION.estimate(f"{key}.p50_sum", p50_sum)
    yield SECTION.estimate(f"{key}.expected", expected)
    yield SECTION.estimate(f"{key}.low", low)
    yield SECTION.estimate(f"{key}.high", high)
    yield SECTION.count(f"{key}.actual", actual)
    yield SECTION.change(f"{key}.actual_over_expected", sold.ratio_change(actual, expected))
    is_inside = None if actual is None or low is None or high is None else low <= actual <= high
    yield SECTION.yes(f"{key}.is_inside", is_inside)


def _total(content: ReportContent, sums: pl.DataFrame, scale: Scaling) -> Iterator[Figure]:
    key = "ahead_total.window"
    targets = sums["target_week_start_date"].unique().sort().to_list()
    yield SECTION.count(f"{key}.weeks", len(targets))
    yield SECTION.words(f"{key}.period", formats.period(targets[0], targets[-1] + timedelta(days=6)))
    span = scale.ranges.get((ALL, WHOLE_WINDOW))
    expected, actual = float(sums["expected"].sum()), _sum_if_known(sums["actual"])
    yield from _estimate(key, float(sums["p50_sum"].sum()), expected, span, actual)
    yield SECTION.change(f"{key}.lowest_test", None if span is None else span.low - 1)
    yield SECTION.change(f"{key}.highest_test", None if span is None else span.high - 1)
    yield SECTION.percent(f"{key}.range_chance", None if span is None else span.coverage, 0)
    p50_sum = float(sums["p50_sum"].sum())
    yield SECTION.change(f"{key}.scale", expected / p50_sum - 1 if scale.factors and p50_sum else None)
    recent, _ = sold.recent_weeks(content)
    known = sold.weekly(content.known, content.measure).filter(pl.col("week_start_date").is_in(recent))
    last = float(known["measure"].sum())
    is_like = len(recent) == content.window_weeks
    yield SECTION.change(f"{key}.change", sold.ratio_change(expected, last) if is_like else None)
    yield SECTION.yes(f"{key}.is_clear_change", _is_outside(last, expected, span) if is_like else None)
    yield SECTION.count(f"{key}.groups_by_rule", sum(method != content.method for method in scale.methods.values()))
    year_ago = sold.year_ago_sum(content, targets)
    yield SECTION.count(f"{key}.year_ago", year_ago)
    yield SECTION.change(f"{key}.year_change", sold.ratio_change(expected, year_ago))


def _weeks(sums: pl.DataFrame, scale: Scaling) -> Iterator[Figure]:
    for week in sums["target_week_start_date"].unique().sort():
        rows = sums.filter(pl.col("target_week_start_date") == week)
        span = scale.ranges.get((ALL, int(rows["horizon_weeks"][0])))
        actual = _sum_if_known(rows["actual"])
        expected = float(rows["expected"].sum())
        yield SECTION.words(f"ahead_week.{week}.day", formats.short_day(week))
        yield from _estimate(f"ahead_week.{week}", float(rows["p50_sum"].sum()), expected, span, actual)


def _groups(content: ReportContent, sums: pl.DataFrame, scale: Scaling, shown: list[str]) -> Iterator[Figure]:
    recent = dict(sold.group_totals(content).select("product_group", "recent").iter_rows())
    # A window that is longer than the known weeks is compared with nothing.
    is_like = len(sold.recent_weeks(content)[0]) == content.window_weeks
    by_group = {str(name): rows for (name,), rows in sums.group_by("product_group")}
    for group in (name for name in shown if name in by_group):
        rows, key = by_group[group], f"ahead_group.{group}"
        expected = float(rows["expected"].sum())
        span = scale.ranges.get((group, WHOLE_WINDOW))
        yield from _estimate(key, float(rows["p50_sum"].sum()), expected, span, _sum_if_known(rows["actual"]))
        yield SECTION.change(f"{key}.low_share", None if span is None else span.low - 1, 0)
        yield SECTION.change(f"{key}.high_share", None if span is None else span.high - 1, 0)
        yield SECTION.number(f"{key}.scale", scale.factors.get(group))
        yield SECTION.words(f"{key}.basis", method_label(scale.methods[group]))
        yield SECTION.yes(f"{key}.is_by_rule", scale.methods[group] != content.method)
        last = float(recent.get(group, 0.0))
        yield SECTION.count(f"{key}.recent", last)
        yield SECTION.change(f"{key}.change", sold.ratio_change(expected, last) if is_like else None)
        yield SECTION.yes(f"{key}.is_clear_change", _is_outside(last, expected, span) if is_like else None)


def _sure(scale: Scaling, shown: list[str]) -> Iterator[Figure]:
    """How far totals of the window may lie from their estimate, in words: all groups, the surest, the least sure."""
    spans = {group: scale.ranges[group, WHOLE_WINDOW] for group in shown if (group, WHOLE_WINDOW) in scale.ranges}
    total = scale.ranges.get((ALL, WHOLE_WINDOW))
    if total is None or not spans:
        return
    ranked = sorted(spans, key=lambda group: (spans[group].high - spans[group].low, group))
    text = f"The total may end {_around(total)} what is expected, if the coming weeks are like the tested ones."
    if len(ranked) > 1:
        text += f" Surest is {ranked[0]}, {_around(spans[ranked[0]])}; least sure is {ranked[-1]}, "
        text += f"{_around(spans[ranked[-1]])}."
    yield SECTION.words("sure.all.text", text)


def _around(span: Range) -> str:
    return f"between {formats.percent(1 - span.low, 0)} below and {formats.percent(span.high - 1, 0)} above"


def _is_outside(value: float, expected: float, span: Range | None) -> bool | None:
    """Whether a change is larger than what the tests missed by; None without a range."""
    return None if span is None else not expected * span.low <= value <= expected * span.high


def _sum_if_known(values: pl.Series) -> float | None:
    return None if values.null_count() else float(values.sum())


def _examples(content: ReportContent) -> Iterator[Figure]:
    """The largest series, each of another group and another store, with the model's own 80 % band."""
    rows = with_outcomes(content).filter(pl.col("method") == content.method)
    for number, (store, group) in enumerate(_largest(rows), start=1):
        mine = [pl.col("store_id") == store, pl.col("product_group") == group]
        yield SECTION.words(f"example.{number}.store", store)
        yield SECTION.words(f"example.{number}.group", group)
        history = sold.weekly(content.known.filter(*mine), content.measure).tail(EXAMPLE_HISTORY_WEEKS)
        for week, value in history.select("week_start_date", "measure").iter_rows():
            yield SECTION.count(f"example_history.{number}@{week}.measure", value)
        for row in rows.filter(*mine).sort("target_week_start_date").iter_rows(named=True):
            yield from _example_week(f"example_week.{number}@{row['target_week_start_date']}", row)


def _largest(rows: pl.DataFrame) -> list[tuple[str, str]]:
    """Store and group of the example series, by falling median forecast."""
    size = rows.group_by(_KEY).agg(pl.col("p50").sum().alias("size"))
    ranked = size.sort("size", *_KEY, descending=[True, False, False])
    chosen: dict[str, str] = {}
    for store, group in ranked.select(_KEY).iter_rows():
        if len(chosen) < EXAMPLES and store not in chosen and group not in chosen.values():
            chosen[store] = group
    return list(chosen.items())


def _example_week(key: str, row: Mapping[str, Any]) -> Iterator[Figure]:
    for quantile in ("p10", "p50", "p90"):
        yield SECTION.number(f"{key}.{quantile}", row[quantile], 1)
    yield SECTION.count(f"{key}.actual", row["actual"])
