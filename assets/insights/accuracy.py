"""How good the forecasts are: back-tests, matured issues, the newest outcome, and the slices that fare worst.

Here: the figures of the section "Accuracy" and of the slices in "Where the model was wrong".
Not here: how a measure is defined (ml.evaluation). Only the newest outcome, which no table holds yet at `as_of`, is
measured here; all else is pooled.

Every mean over issues and horizons weighs as the measure is defined: WAPE and bias by the actual sum (so that the
pooled value equals the one over all rows), pinball, coverage and width by the number of rows.

Tables: `backtest`, `realised`, `outcome` (method), the same with `_horizon` (method@h), `fallback` (row `all`), `added`
(rival), `slice` (slice). Measures: wape, bias, pinball, coverage_80, width, rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from assets.insights import formats
from assets.insights.content import ALL, PERCENT, ReportContent, method_label, slice_label
from assets.insights.figure import Figure, Section
from assets.insights.outlook import with_outcomes
from ml.evaluation import metrics

SECTION = Section("accuracy")
SLICES = Section("slices")
MAX_SLICES = 20
NOMINAL_COVERAGE, BAND_TOLERANCE = 0.8, 0.03
# Medians that add up to less than a tenth of what sold are zero nearly everywhere.
SILENT_BIAS = -0.9


def figures(content: ReportContent) -> Iterator[Figure]:
    """All figures of the two sections, in the page's order."""
    yield from _backtest(content)
    if content.fallback:
        yield SECTION.words("fallback.all.text", _fallback(content.fallback))
    yield from _added(content)
    yield from _realised(content)
    yield from _outcome(content)
    yield from _slices(content)


def pooled(measured: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Back-test or accuracy rows pooled to `*keys`, one row per key.

    Columns `*keys, wape, bias, pinball, coverage_80, width, rows, actual_sum`; wape, bias (fractions) and width may
    be null.
    """
    has_width = "interval_width" in measured.columns
    width = pl.col("interval_width") if has_width else pl.lit(None, dtype=pl.Float64)
    return (
        measured.with_columns(width.alias("width"))
        .group_by(*keys)
        .agg(
            *((_weighted(name, "actual_sum") / PERCENT).alias(name) for name in ("wape", "bias")),
            *(_weighted(name, "row_count").alias(name) for name in ("pinball", "coverage_80", "width")),
            pl.col("row_count").sum().alias("rows"),
            pl.col("actual_sum").sum(),
        )
        .sort(*keys)
    )


def _weighted(name: str, weight: str) -> pl.Expr:
    """The weighted mean over the rows where the measure exists; null where the weights are 0."""
    weights = pl.col(weight).filter(pl.col(name).is_not_null())
    return pl.when(weights.sum() > 0).then((pl.col(name) * pl.col(weight)).sum() / weights.sum())


def band_verdict(coverage: float) -> str:
    """Bands whose coverage is within three points of 80 % are about right."""
    if abs(coverage - NOMINAL_COVERAGE) <= BAND_TOLERANCE:
        return "about right"
    return "too narrow" if coverage < NOMINAL_COVERAGE else "too wide"


def methods_in_order(content: ReportContent, present: pl.Series) -> list[str]:
    """The shown method first, then the others by name."""
    others = sorted(set(present.to_list()) - {content.method})
    return [content.method, *others] if content.method in present else others


def _measures(section: Section, key: str, row: Mapping[str, Any]) -> Iterator[Figure]:
    yield section.percent(f"{key}.wape", row["wape"])
    yield section.change(f"{key}.bias", row["bias"])
    yield section.number(f"{key}.pinball", row["pinball"], 3)
    yield section.percent(f"{key}.coverage_80", row["coverage_80"])
    yield section.number(f"{key}.width", row["width"], 2)
    yield section.count(f"{key}.rows", row["rows"])


def _backtest(content: ReportContent) -> Iterator[Figure]:
    rows = content.backtest.filter(pl.col("slice") == ALL)
    cutoffs = rows["cutoff_week_start_date"].unique().sort().to_list()
    yield SECTION.count("backtest_scope.all.issues", len(cutoffs))
    yield SECTION.day("backtest_scope.all.first_cutoff", cutoffs[0])
    yield SECTION.day("backtest_scope.all.last_cutoff", cutoffs[-1])
    by_method = pooled(rows, "method")
    shown = by_method.filter(pl.col("method") == content.method)
    if shown.height:
        yield SECTION.words("backtest_scope.all.bands", band_verdict(float(shown["coverage_80"][0])))
    yield from _value_added(content.method, {row["method"]: row for row in by_method.iter_rows(named=True)})
    yield from _both_ways(content, "backtest", by_method, pooled(rows, "method", "horizon_weeks"))


def _value_added(method: str, by_method: Mapping[str, Mapping[str, Any]]) -> Iterator[Figure]:
    """1 - WAPE of the model / WAPE of the best simple rule; nothing when there is no rule to compare with."""
    rules = {name: row["wape"] for name, row in by_method.items() if name != method and row["wape"]}
    mine = by_method.get(method, {}).get("wape")
    if not rules or mine is None:
        return
    best = min(rules, key=lambda name: (rules[name], name))
    yield SECTION.words("value_added.all.rule", best)
    yield SECTION.percent("value_added.all.rule_wape", rules[best])
    gain = 1 - mine / rules[best]
    yield SECTION.change("value_added.all.fraction", gain)
    yield SECTION.words(
        "value_added.all.verdict", f"{formats.percent(abs(gain), 0)} {'lower' if gain > 0 else 'higher'}"
    )


def _fallback(fallback: Mapping[str, str]) -> str:
    """Which groups the model leaves to a simple rule, and what that does to the figures."""
    groups = [f"{group} ({method_label(rule).lower()})" for group, rule in sorted(fallback.items())]
    return (
        f"In {formats.plural(len(groups), 'product group')} a simple rule was surely better than the model in the "
        f"back-test, so that the forecast takes the rule there: {', '.join(groups)}. The back-test's figures are those "
        "of the forecast with the rule, which was chosen on the same weeks and looks a little better there than it is."
    )


def _realised(content: ReportContent) -> Iterator[Figure]:
    """Forecasts that were issued and have matured."""
    rows = content.accuracy.filter(pl.col("slice") == ALL)
    yield SECTION.count("realised_scope.all.issues", rows["issue_week_start_date"].n_unique())
    yield from _both_ways(content, "realised", pooled(rows, "method"), pooled(rows, "method", "horizon_weeks"))


def _outcome(content: ReportContent) -> Iterator[Figure]:
    """The newest issue judged by what then happened."""
    known = with_outcomes(content).filter(pl.col("actual").is_not_null())
    yield SECTION.count("outcome_scope.all.weeks", known["target_week_start_date"].n_unique())
    yield SECTION.count("outcome_scope.all.rows", known.filter(pl.col("method") == content.method).height)
    if known.height:
        yield from _both_ways(content, "outcome", judge(known, "method"), judge(known, "method", "horizon_weeks"))


def _both_ways(
    content: ReportContent, table: str, by_method: pl.DataFrame, by_horizon: pl.DataFrame
) -> Iterator[Figure]:
    """Measures per method, then per method and horizon; the shown method first."""
    order = methods_in_order(content, by_method["method"])
    for method in order:
        for row in by_method.filter(pl.col("method") == method).iter_rows(named=True):
            yield from _measures(SECTION, f"{table}.{method}", row)
    for method in order:
        for row in by_horizon.filter(pl.col("method") == method).iter_rows(named=True):
            yield from _measures(SECTION, f"{table}_horizon.{method}@{row['horizon_weeks']}", row)


def judge(rows: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Measures of forecast rows with `actual, p10, p50, p90`; one row per key, columns as in `pooled`."""
    return pooled(metrics(rows, keys), *keys)


def _slices(content: ReportContent) -> Iterator[Figure]:
    """Slices by falling share of the shown method's error, each beside its best simple rule."""
    by_slice = pooled(content.backtest.filter(pl.col("slice") != ALL), "slice", "method")
    mine = by_slice.filter(pl.col("method") == content.method, pl.col("wape").is_not_null())
    rules = (
        by_slice.filter(pl.col("method") != content.method, pl.col("wape").is_not_null())
        .sort("slice", "wape", "method")
        .group_by("slice", maintain_order=True)
        .agg(pl.col("wape").first().alias("rule_wape"), pl.col("method").first().alias("rule"))
    )
    everything = pooled(content.backtest.filter(pl.col("slice") == ALL), "method")
    missed = everything.filter(pl.col("method") == content.method).select(pl.col("wape") * pl.col("actual_sum"))
    against = content.comparisons.filter(pl.col("method") == content.method).select(
        "slice", pl.col("rival").alias("rule"), "difference", "lower", "upper", "is_sure"
    )
    ranked = (
        mine.join(rules, on="slice", how="left")
        .join(against, on=["slice", "rule"], how="left")
        .with_columns(
            (pl.col("wape") * pl.col("actual_sum") / pl.lit(missed.item())).alias("error_share"),
            pl.col("slice").is_in(list(content.scope.product_groups)).alias("is_group"),
        )
        .sort(["error_share", "slice"], descending=[True, False])
    )
    listed = pl.concat([ranked.filter(~pl.col("is_group")), ranked.filter("is_group").head(MAX_SLICES)])
    yield SLICES.count("slices.all.known", ranked.height)
    # A group that falls back equals its rule: there is no model to be behind.
    is_left = pl.col("slice").is_in(list(content.fallback))
    yield SLICES.count("slices.all.behind", ranked.filter(~is_left, pl.col("wape") >= pl.col("rule_wape")).height)
    yield SLICES.count("slices.all.not_listed", ranked.height - listed.height)
    for row in listed.iter_rows(named=True):
        key = f"slice.{row['slice']}"
        yield from _measures(SLICES, key, row)
        yield SLICES.estimate(f"{key}.actual_sum", row["actual_sum"])
        yield SLICES.words(f"{key}.label", slice_label(row["slice"]))
        yield SLICES.yes(f"{key}.is_group", row["is_group"])
        yield SLICES.percent(f"{key}.error_share", row["error_share"], 0)
        yield SLICES.percent(f"{key}.rule_wape", row["rule_wape"])
        yield SLICES.words(f"{key}.rule", row["rule"] or formats.NOT_KNOWN)
        falls_back = row["slice"] in content.fallback
        is_behind = None if row["rule_wape"] is None else row["wape"] >= row["rule_wape"] and not falls_back
        yield SLICES.yes(f"{key}.is_behind", is_behind)
        yield SLICES.yes(f"{key}.is_silent", None if row["bias"] is None else row["bias"] <= SILENT_BIAS)
        yield from _difference(SLICES, key, row, "falls back" if falls_back else None)


def _added(content: ReportContent) -> Iterator[Figure]:
    """The model beside each rival over all rows, and in how many slices the difference is sure."""
    mine = content.comparisons.filter(pl.col("method") == content.method)
    for row in mine.filter(pl.col("slice") == ALL).sort("rival").iter_rows(named=True):
        key = f"added.{row['rival']}"
        yield SECTION.words(f"{key}.label", method_label(row["rival"]))
        yield from _difference(SECTION, key, row)
        slices = mine.filter(pl.col("rival") == row["rival"], pl.col("slice") != ALL)
        sure = slices.filter("is_sure")
        yield SECTION.count(f"{key}.slices", slices.height)
        yield SECTION.count(f"{key}.surely_better", sure.filter(pl.col("difference") < 0).height)
        yield SECTION.count(f"{key}.surely_worse", sure.filter(pl.col("difference") > 0).height)


def _difference(section: Section, key: str, row: Mapping[str, Any], instead: str | None = None) -> Iterator[Figure]:
    """A difference of WAPE in points, its interval, and what it comes to in a word: `instead` where it is given."""
    for name in ("difference", "lower", "upper"):
        yield Figure(section.name, f"{key}.{name}", row[name], _signed(row[name]))
    if row["lower"] is None:
        verdict = formats.NOT_KNOWN
    elif row["is_sure"]:
        verdict = "surely better" if row["difference"] < 0 else "surely worse"
    else:
        verdict = "open"
    yield section.words(f"{key}.verdict", instead or verdict)
    bounds = formats.NOT_KNOWN if row["lower"] is None else f"{_signed(row['lower'])} to {_signed(row['upper'])}"
    yield section.words(f"{key}.interval", bounds)


def _signed(points: float | None) -> str:
    return f"{'+' if points is not None and points > 0 else ''}{formats.number(points, 1)}"
