"""What changed since the last issue: the newest forecast beside the one before it, for the weeks that both cover.

Here: the figures of the section "What changed since last week", in total, by group and for the series that moved most.
Not here: what will sell (outlook.py), how totals come about (ml.totals). Nothing after `as_of` is read.

Totals are those that each issue gave, over all series that it forecast.

Tables: `revision_scope`, `revision_total` (row `all`), `revision_week` (target week), `revision_group` (group), `riser`
and `faller` (number).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import polars as pl

from assets.insights import formats, sold
from assets.insights.content import ALL, ReportContent, method_label
from assets.insights.figure import Figure, Section
from assets.insights.outlook import is_outside, level_rows, window_ranges
from ml.totals import LEVELS, MIN_TESTS

SECTION = Section("changes")
LISTED = 5
# A total that came within two percent of its forecast is no news.
NEWS = 0.02
_KEY = ("store_id", "product_group")
_TARGET = "target_week_start_date"
_ISSUE = "issue_week_start_date"


def figures(content: ReportContent) -> Iterator[Figure]:
    """All figures of the section, in the page's order."""
    before = previous_issue(content)
    reason = why_not_compared(content, before)
    if reason is not None:
        yield SECTION.words("revision_scope.all.reason", reason)
        return
    yield SECTION.day("revision_scope.all.previous", before[_ISSUE][0])
    yield SECTION.words("revision_scope.all.model", _model(content, before))
    total = revised_weeks(content, before, "total")
    series = revised_series(content, before)
    yield SECTION.count("revision_scope.all.series", series.height)
    yield SECTION.count("revision_scope.all.new_series", content.issued.select(_KEY).n_unique() - series.height)
    groups = _groups(revised_weeks(content, before, "product_group"), series)
    yield from _total(content, total, groups)
    for row in total.select(_TARGET, "now", "before").rows():
        yield SECTION.words(f"revision_week.{row[0]}.day", formats.short_day(row[0]))
        yield SECTION.estimate(f"revision_week.{row[0]}.now", row[1])
        yield SECTION.estimate(f"revision_week.{row[0]}.before", row[2])
    shown = set(sold.shown_groups(content))
    for row in groups.iter_rows(named=True):
        if row["product_group"] in shown:
            yield from _estimates(f"revision_group.{row['product_group']}", row)
            yield SECTION.words(f"revision_group.{row['product_group']}.why", _group_reason(content.issue_week, row))
    for table, wanted in (("riser", pl.col("difference") > 0), ("faller", pl.col("difference") < 0)):
        ranked = series.filter(wanted).sort(pl.col("difference").abs(), *_KEY, descending=[True, False, False])
        for number, row in enumerate(ranked.head(LISTED).iter_rows(named=True), start=1):
            yield SECTION.words(f"{table}.{number}.store", row["store_id"])
            yield SECTION.words(f"{table}.{number}.group", row["product_group"])
            yield from _estimates(f"{table}.{number}", row)
            yield SECTION.words(f"{table}.{number}.why", _series_reason(content.issue_week, row))


def previous_issue(content: ReportContent) -> pl.DataFrame:
    """The rows of the newest earlier issue; none at the first issue."""
    return content.earlier.filter(pl.col(_ISSUE) == pl.col(_ISSUE).max(), pl.col("measure") == content.measure)


def why_not_compared(content: ReportContent, before: pl.DataFrame) -> str | None:
    """Why an earlier issue is not compared with the newest, in a sentence; None when it is."""
    if content.earlier.is_empty():
        return "This is the first issue, so there is nothing to compare it with yet."
    newest = content.earlier[_ISSUE].max()
    assert isinstance(newest, date)
    issue = f"The issue before, of the week of {formats.day(newest)},"
    if before.join(content.issued, on=[*_KEY, _TARGET, "method"], how="semi").is_empty():
        return (
            f"{issue} has no forecast by the method that is shown now ({method_label(content.method)}) for the same "
            "series and weeks, so the two are not compared."
        )
    totals = earlier_totals(content, before)
    if totals.is_empty():
        return f"{issue} has no totals, so the two are not compared."
    if (totals["tests"][0] >= MIN_TESTS) != (content.totals["tests"][0] >= MIN_TESTS):
        return f"{issue} and the newest were not both scaled by tests, so the two are not compared."
    return None


def earlier_totals(content: ReportContent, before: pl.DataFrame) -> pl.DataFrame:
    """The totals of an earlier issue by the method that is shown now."""
    return content.earlier_totals.filter(
        pl.col(_ISSUE).is_in(before[_ISSUE].unique().to_list()), pl.col("method") == content.method
    )


def _model(content: ReportContent, before: pl.DataFrame) -> str:
    old = before.filter(pl.col("method") == content.method)["model_version"][0]
    if old == content.issued["model_version"][0]:
        return "Both issues come from the same model, so every change comes from newer data, tests or plans."
    return (
        "Another model version has issued since, so a change can come from the model, from newer data, tests or plans."
    )


def revised_weeks(content: ReportContent, before: pl.DataFrame, level: str) -> pl.DataFrame:
    """What both issues expect of the sums of a level; one row per product group (`all` for the total) and target week.

    Columns `product_group, target_week_start_date, now*, before*, is_common, actual*`: `now` is null for the newest
    known week, which only the earlier issue forecast and whose `actual` is known; `is_common` marks the weeks of both.
    What an issue does not forecast is null and adds nothing to its sums.
    """
    key = ["product_group", _TARGET]
    old = level_rows(earlier_totals(content, before), level).select(*key, before="expected")
    new = level_rows(content.totals, level).select(*key, now="expected")
    is_common = pl.col(_TARGET).is_in(old[_TARGET].unique().to_list()) & pl.col(_TARGET).is_in(
        new[_TARGET].unique().to_list()
    )
    return (
        old.join(new, on=key, how="full", coalesce=True)
        .join(_newest_actual(content, before, level), on=key, how="left")
        .with_columns(is_common=is_common)
        .filter(pl.col("is_common") | pl.col("actual").is_not_null())
        .select(*key, "now", "before", "is_common", "actual")
        .sort(key)
    )


def _newest_actual(content: ReportContent, before: pl.DataFrame, level: str) -> pl.DataFrame:
    """What the newest known week sold, of the series that the earlier issue forecast for it."""
    asked = before.filter(pl.col("method") == content.method, pl.col(_TARGET) == content.issue_week).select(_KEY)
    known = content.known.filter(pl.col("week_start_date") == content.issue_week)
    rows = asked.join(known.select(*_KEY, _sold(content).alias("actual")), on=_KEY, how="left")
    return (
        rows.with_columns(pl.col(name) if name in LEVELS[level] else pl.lit(ALL).alias(name) for name in _KEY)
        .group_by("product_group")
        .agg(pl.when(pl.col("actual").is_not_null().all()).then(pl.col("actual").sum()).alias("actual"))
        .with_columns(pl.lit(content.issue_week).alias(_TARGET))
    )


def revised_series(content: ReportContent, before: pl.DataFrame) -> pl.DataFrame:
    """One row per series that both issues hold, by the shown method.

    Columns `store_id, product_group, now, before, difference, change*` (sums of P50 over the weeks of both issues),
    `plan_now*, plan_before*` (products planned for those weeks, as known at each issue), `p10*, p50*, p90*` (the
    earlier issue's forecast of the newest known week), `actual*` (what that week sold), `is_other_model`.
    """
    own = pl.col("method") == content.method
    key = [*_KEY, _TARGET]
    old, new = before.filter(own), content.issued
    both = new.select(*key, now="p50").join(old.select(*key, before="p50"), on=key, how="inner").sort(key)
    summed = both.group_by(_KEY, maintain_order=True).agg(pl.col("now", "before").sum())
    planned = [
        both.join(content.plans.filter(pl.col(_ISSUE) == issue), on=key, how="left")
        .group_by(_KEY)
        .agg(pl.when(pl.col("planned_products").is_not_null().all()).then(pl.col("planned_products").sum()).alias(name))
        for name, issue in (("plan_now", content.issue_week), ("plan_before", before[_ISSUE][0]))
    ]
    newest = old.filter(pl.col(_TARGET) == content.issue_week).select(*_KEY, "p10", "p50", "p90")
    known = content.known.filter(pl.col("week_start_date") == content.issue_week)
    for frame in (*planned, newest, known.select(*_KEY, actual=_sold(content))):
        summed = summed.join(frame, on=_KEY, how="left")
    return summed.with_columns(
        difference=pl.col("now") - pl.col("before"),
        change=pl.when(pl.col("before") > 0).then(pl.col("now") / pl.col("before") - 1),
        is_other_model=pl.lit(old["model_version"][0] != new["model_version"][0]),
    ).sort(_KEY)


def _sold(content: ReportContent) -> pl.Expr:
    return pl.col(content.measure).cast(pl.Float64)


def _groups(weeks: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """One row per group, by falling absolute difference: both sums, the newest known week, how many stores moved."""
    common, newest = weeks.filter("is_common"), weeks.filter(~pl.col("is_common"))
    counts = series.group_by("product_group").agg(
        stores=pl.len(),
        above=(pl.col("actual") > pl.col("p90")).sum(),
        below=(pl.col("actual") < pl.col("p10")).sum(),
        plan_changes=_is_plan_changed().sum(),
    )
    return (
        common.group_by("product_group")
        .agg(pl.col("now", "before").sum())
        .join(newest.select("product_group", "actual", expected="before"), on="product_group", how="left")
        .join(counts, on="product_group", how="left")
        .with_columns(
            difference=pl.col("now") - pl.col("before"),
            change=pl.when(pl.col("before") > 0).then(pl.col("now") / pl.col("before") - 1),
        )
        .sort(pl.col("difference").abs(), "product_group", descending=[True, False])
    )


def _is_plan_changed() -> pl.Expr:
    return (pl.col("plan_now") != pl.col("plan_before")).fill_null(value=False)


def _estimates(key: str, row: Mapping[str, Any]) -> Iterator[Figure]:
    yield SECTION.estimate(f"{key}.before", row["before"])
    yield SECTION.estimate(f"{key}.now", row["now"])
    yield SECTION.estimate(f"{key}.difference", row["difference"])
    yield SECTION.change(f"{key}.change", row["change"])


def _total(content: ReportContent, weeks: pl.DataFrame, groups: pl.DataFrame) -> Iterator[Figure]:
    common, newest = weeks.filter("is_common"), weeks.filter(~pl.col("is_common"))
    targets = common[_TARGET].to_list()
    before, now = float(common["before"].sum()), float(common["now"].sum())
    change = sold.ratio_change(now, before)
    key = "revision_total.all"
    yield SECTION.words(f"{key}.period", formats.period(targets[0], targets[-1] + timedelta(days=6)))
    yield SECTION.count(f"{key}.weeks", len(targets))
    yield from _estimates(key, {"before": before, "now": now, "difference": now - before, "change": change})
    span = window_ranges(content).get(ALL)
    bounds = {"low": None, "high": None} if span is None else {"low": now * span.low, "high": now * span.high}
    yield SECTION.yes(f"{key}.is_clear", is_outside(before, bounds))
    expected, actual = (None if newest.is_empty() else newest[name][0] for name in ("before", "actual"))
    yield SECTION.estimate(f"{key}.newest_expected", expected)
    yield SECTION.count(f"{key}.newest_actual", actual)
    yield SECTION.change(f"{key}.newest_over_expected", sold.ratio_change(actual, expected))
    stores = int(groups["stores"].sum())
    for name in ("above", "below", "plan_changes"):
        yield SECTION.count(f"{key}.{name}", int(groups[name].sum()))
        yield SECTION.percent(f"{key}.{name}_share", int(groups[name].sum()) / stores if stores else None, 0)


def _group_reason(newest: date, row: Mapping[str, Any]) -> str:
    """One sentence on what the data say about the change of a group."""
    if not row["stores"]:
        return "Only one of the two issues forecasts it."
    if row["change"] is not None and abs(row["change"]) < NEWS:
        return "Hardly moved."
    parts = []
    if row["plan_changes"]:
        parts.append(f"the promotion plan changed in {formats.plural(row['plan_changes'], 'store')}")
    miss = sold.ratio_change(row["actual"], row["expected"])
    if miss is not None and abs(miss) >= NEWS:
        text = (
            f"the week of {formats.short_day(newest)} sold {formats.percent(abs(miss), 0)} "
            f"{'above' if miss > 0 else 'below'} its forecast"
        )
        if miss * row["difference"] > 0:
            of_stores = f"of {formats.plural(row['stores'], 'store')}"
            parts.append(f"{text} ({row['above']:,} {of_stores} above their band, {row['below']:,} below)")
        else:
            parts.append(f"{text}, which does not explain the change")
    if not parts:
        return "No reason in the data: the newest week came in as forecast and no plan changed."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _series_reason(newest: date, row: Mapping[str, Any]) -> str:
    """One sentence on what the data say about the change of a series; the first that applies."""
    week, rises = formats.short_day(newest), row["difference"] > 0
    if None not in (row["plan_now"], row["plan_before"]) and row["plan_now"] != row["plan_before"]:
        return (
            f"The promotion plan for these weeks changed: {row['plan_now']:,.0f} products instead of "
            f"{row['plan_before']:,.0f}."
        )
    if row["actual"] is not None and row["p50"] is not None:
        band = f"{formats.number(row['p10'], 1)} to {formats.number(row['p90'], 1)}"
        sold_text = f"The week of {week} sold {formats.count(row['actual'])}"
        if rises and row["actual"] > row["p90"]:
            return f"{sold_text}, above the band of {band} that was issued for it."
        if not rises and row["actual"] < row["p10"]:
            return f"{sold_text}, below the band of {band} that was issued for it."
        if (row["actual"] - row["p50"]) * row["difference"] > 0:
            side = "more" if rises else "less"
            return (
                f"{sold_text}, {side} than the median forecast of {formats.number(row['p50'], 1)} but inside its band."
            )
    if row["is_other_model"]:
        return "Another model version has issued since; the newest week does not explain the change."
    return "No single reason in the data: the newest week and the plan do not point this way."
