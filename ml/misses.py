"""Where a forecast missed, and what the data say about why: naive rules, the first that holds.

Belongs here: the rules, in one table, and the classification of scored rows by them. Does not belong here: metrics
(ml.evaluation), the wording of a page.

A rule names a circumstance, not a proven cause: one outcome in five lies outside an 80 % band by design, so a
circumstance says something only where it is more frequent among the misses than among all forecasts. Rules whose
circumstance is known before the outcome (`is_known_before`) allow that comparison; the others read the outcome itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ml.backtest import CUTOFF
from ml.business_calendar import DAYS_PER_WEEK, NO_HOLIDAY, calendar_frame
from ml.censoring import CENSORING, censored_weeks, is_believed
from ml.evaluation import absolute_error
from ml.features import TARGET_WEEK
from ml.frame_checks import SERIES_KEY, WEEK, BadFrame, require_columns

NEW_WEEKS = 13
PLAN_WEEKS = 8
PLAN_PEAK = 2.0
SHIFT_WEEKS, SHIFT_SHARE = 3, 0.75


@dataclass(frozen=True)
class Rule:
    """One circumstance of a miss.

    Attributes:
        name: of the class.
        condition: on the rows of `with_circumstances`.
        meaning: the rule in plain words.
        is_known_before: the condition does not read the outcome.
    """

    name: str
    condition: pl.Expr
    meaning: str
    is_known_before: bool


_IS_INSIDE = pl.col("actual").is_between("p10", "p90")
WITHIN_BAND, UNEXPLAINED = "within_band", "unexplained"
RULES: tuple[Rule, ...] = (
    Rule(WITHIN_BAND, _IS_INSIDE, "The outcome lies inside the 80% band that was issued.", False),
    Rule(
        "closed_store",
        (pl.col("actual") == 0) & (pl.col("store_sold") == 0),
        "Nothing sold, and no other product group of the store sold anything either.",
        False,
    ),
    Rule(
        "censored_week",
        ~is_believed(),
        "A run of weeks without a sale that is too improbable for the series to be demand (ml.censoring).",
        False,
    ),
    Rule(
        "new_series",
        (pl.col("weeks_since_first_sale") < NEW_WEEKS) & (pl.col("weeks_of_lake") >= NEW_WEEKS),
        f"The first sale of the product group in the store was fewer than {NEW_WEEKS} weeks before the cutoff, in an "
        "older lake.",
        True,
    ),
    Rule("holiday_week", pl.col("holiday") != NO_HOLIDAY, "The target week holds a holiday.", True),
    Rule(
        "promotion_week",
        pl.col("planned_products") > PLAN_PEAK * pl.max_horizontal("usual_products", pl.lit(1.0)),
        "More than twice as many products were planned on display or in the mailer as in the mean of the "
        f"{PLAN_WEEKS} weeks up to the cutoff.",
        True,
    ),
    Rule(
        "level_shift",
        (pl.max_horizontal("weeks_above", "weeks_below") >= SHIFT_WEEKS)
        & (pl.max_horizontal("weeks_above", "weeks_below") >= SHIFT_SHARE * pl.col("weeks_known")),
        f"At least {SHIFT_WEEKS} weeks of the issue, and three in four, lie outside the band on the same side.",
        False,
    ),
    Rule(UNEXPLAINED, pl.lit(value=True), "Outside the band, and none of the rules above holds.", False),
)


def with_circumstances(rows: pl.DataFrame, series: pl.DataFrame, measure: str) -> pl.DataFrame:
    """Scored rows with what the rules read.

    Args:
        rows: cutoff_week_start_date, store_id, product_group, target_week_start_date, actual, p10, p50, p90 of one
            method; one row per cutoff, series and target week.
        series: gold.demand_series of the weeks that may be used, from each series' first week on.
        measure: what is forecast.

    Returns:
        The rows, sorted, with censoring STRING* (of the target week, by ml.censoring), store_sold DOUBLE* (all groups
        of the store in the target week), weeks_since_first_sale BIGINT*, weeks_of_lake BIGINT* (from the first week of
        all series to the cutoff), holiday STRING, planned_products DOUBLE* (target week), usual_products DOUBLE* (mean
        of the last 8 weeks up to the cutoff), weeks_known, weeks_above, weeks_below BIGINT (target weeks of the same
        issue and series: all, above P90, below P10).

    Raises:
        BadFrame: columns are missing, a key repeats, or a series skips a week.
    """
    key = [CUTOFF, *SERIES_KEY, TARGET_WEEK]
    require_columns(rows, (*key, "actual", "p10", "p50", "p90"), "scored rows")
    require_columns(series, (*SERIES_KEY, WEEK, measure, "display_products", "mailer_products"), "series")
    if rows.select(key).is_duplicated().any():
        raise BadFrame("The rows hold a cutoff, series and target week twice: give the rows of one method.")
    keys = list(SERIES_KEY)
    rows = rows.drop(CENSORING, strict=False)
    first = series.filter(pl.col(measure) > 0).group_by(keys).agg(_first=pl.col(WEEK).min())
    plans = series.sort(*keys, WEEK).select(
        *keys, WEEK, _planned=(pl.col("display_products") + pl.col("mailer_products")).cast(pl.Float64)
    )
    usual = plans.with_columns(usual_products=pl.col("_planned").rolling_mean(PLAN_WEEKS, min_samples=1).over(keys))
    stores = series.group_by("store_id", pl.col(WEEK).alias(TARGET_WEEK)).agg(
        store_sold=pl.col(measure).cast(pl.Float64).sum()
    )
    targets = calendar_frame(rows[TARGET_WEEK].unique().to_list(), TARGET_WEEK).select(TARGET_WEEK, "holiday")
    same_issue = [CUTOFF, *keys]
    return (
        rows.join(first, on=keys, how="left")
        .join(plans.rename({WEEK: TARGET_WEEK, "_planned": "planned_products"}), on=[*keys, TARGET_WEEK], how="left")
        .join(usual.drop("_planned").rename({WEEK: CUTOFF}), on=[*keys, CUTOFF], how="left")
        .join(censored_weeks(series).rename({WEEK: TARGET_WEEK}), on=[*keys, TARGET_WEEK], how="left")
        .join(targets, on=TARGET_WEEK, how="left")
        .join(stores, on=["store_id", TARGET_WEEK], how="left")
        .with_columns(
            weeks_since_first_sale=(pl.col(CUTOFF) - pl.col("_first")).dt.total_days() // DAYS_PER_WEEK,
            weeks_of_lake=(pl.col(CUTOFF) - pl.lit(series[WEEK].min(), dtype=pl.Date)).dt.total_days() // DAYS_PER_WEEK,
            weeks_known=pl.len().over(same_issue).cast(pl.Int64),
            weeks_above=(pl.col("actual") > pl.col("p90")).sum().over(same_issue).cast(pl.Int64),
            weeks_below=(pl.col("actual") < pl.col("p10")).sum().over(same_issue).cast(pl.Int64),
        )
        .drop("_first")
        .sort(key)
    )


def classified(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of `with_circumstances` with `error` DOUBLE (absolute, of the P50) and `rule` STRING: the first to hold."""
    rule = pl.coalesce(pl.when(item.condition).then(pl.lit(item.name)) for item in RULES)
    return rows.with_columns(error=absolute_error(), rule=rule)


def miss_summary(rows: pl.DataFrame) -> pl.DataFrame:
    """How much each rule accounts for.

    Args:
        rows: from `classified`.

    Returns:
        One row per rule, in the order of RULES: rule STRING, row_count BIGINT, error DOUBLE, error_share DOUBLE* (of
        the sum of all absolute errors); share_of_misses, share_of_forecasts DOUBLE*: how often the circumstance holds
        among the rows outside their band and among all rows, whatever rule they are counted under; null where the rule
        reads the outcome.
    """
    total, outside = float(rows["error"].sum()), rows.filter(~_IS_INSIDE)
    found = []
    for item in RULES:
        mine = rows.filter(pl.col("rule") == item.name)
        error = float(mine["error"].sum())
        frequency = [_share(part, item.condition) if item.is_known_before else None for part in (outside, rows)]
        found.append((item.name, mine.height, error, error / total if total else None, *frequency))
    names = ("rule", "row_count", "error", "error_share", "share_of_misses", "share_of_forecasts")
    types = (pl.String, pl.Int64, pl.Float64, pl.Float64, pl.Float64, pl.Float64)
    return pl.DataFrame(found, schema=dict(zip(names, types, strict=True)), orient="row")


def _share(rows: pl.DataFrame, condition: pl.Expr) -> float | None:
    return float(rows.select(condition.fill_null(value=False).mean()).item()) if rows.height else None
