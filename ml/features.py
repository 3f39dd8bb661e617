"""The demand features: declared once, computed at every cutoff.

Belongs here: the list of features and `compute_features`. Does not belong here: what a declaration is
(ml.feature_declaration), kernels (ml.kernels), the frames they run on (ml.panels), labels, models.

To add a feature add one line to `DEMAND_FEATURES` and one column to the contract of gold.demand_features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import polars as pl

from ml.business_calendar import DAYS_PER_WEEK, UTC_INSTANT, calendar_frame
from ml.feature_declaration import POLARS_DTYPES, Feature, from_calendar, from_past, from_plans, set_version, static_key
from ml.frame_checks import SERIES_KEY, WEEK, BadFrame
from ml.panels import Panel, evaluate, pool_panel, require_inputs, series_panel, target_plans
from ml.surroundings import POOLS, Surroundings, surroundings

HORIZON = "horizon_weeks"
TARGET_WEEK = "target_week_start_date"
FEATURE_KEY: tuple[str, ...] = (*SERIES_KEY, WEEK, HORIZON)
DEMAND_FEATURES: tuple[Feature, ...] = (
    static_key("store_id", "STRING", "Store of the series."),
    static_key("product_group", "STRING", "Product group of the series."),
    static_key(HORIZON, "INT", "Weeks from the cutoff week to the target week."),
    # demand of the series itself
    *(
        from_past(
            f"transactions_lag_{k}", "transactions", "lag", (k,), f"Transactions {k} weeks before the cutoff week."
        )
        for k in (0, 1, 2, 3, 7, 12)
    ),
    *(
        from_past(f"transactions_mean_{w}", "transactions", "mean", (w,), f"Mean weekly transactions, last {w} weeks.")
        for w in (4, 8, 13, 26)
    ),
    *(
        from_past(
            f"transactions_std_{w}", "transactions", "std", (w,), f"Standard deviation of transactions, {w} weeks."
        )
        for w in (8, 26)
    ),
    from_past("transactions_max_13", "transactions", "max", (13,), "Largest weekly transactions of the last 13 weeks."),
    *(
        from_past(
            f"transactions_weighted_mean_{h}",
            "transactions",
            "weighted_mean",
            (h,),
            f"Mean weekly transactions with weights that halve every {h} weeks.",
        )
        for h in (3, 12)
    ),
    from_past("transactions_expanding_mean", "transactions", "expanding_mean", (), "Mean of all weeks since listing."),
    from_past(
        "transactions_ses",
        "transactions",
        "exponential_smoothing",
        (),
        "Weekly transactions by simple exponential smoothing, with the weight that has erred least in the series.",
    ),
    from_past("transactions_change_4_13", "transactions", "mean_change", (4, 13), "Mean of 4 weeks over mean of 13."),
    from_past("zero_week_share_8", "is_zero_week", "mean", (8,), "Share of weeks without a sale, last 8 weeks."),
    from_past("zero_week_share_26", "is_zero_week", "mean", (26,), "Share of weeks without a sale, last 26 weeks."),
    from_past("weeks_since_sale", "transactions", "weeks_since_positive", (), "Weeks since the last week with a sale."),
    from_past("weeks_since_listing", "transactions", "age", (), "Weeks since the first week with a sale."),
    # the other measures, for models of them and for their baselines
    *(
        feature
        for measure, unit in (("quantity_units", "units"), ("net_sales_usd", "net sales in USD"))
        for feature in (
            from_past(f"{measure}_lag_0", measure, "lag", (0,), f"Weekly {unit} in the cutoff week."),
            from_past(f"{measure}_mean_8", measure, "mean", (8,), f"Mean weekly {unit}, last 8 weeks."),
            from_past(f"{measure}_mean_26", measure, "mean", (26,), f"Mean weekly {unit}, last 26 weeks."),
            from_past(f"{measure}_expanding_mean", measure, "expanding_mean", (), f"Mean weekly {unit} since listing."),
            from_past(
                f"{measure}_ses",
                measure,
                "exponential_smoothing",
                (),
                f"Weekly {unit} by simple exponential smoothing, with the weight that has erred least in the series.",
            ),
        )
    ),
    from_past(
        "units_per_transaction_13", "quantity_units/transactions", "quotient", (13,), "Units a basket, 13 weeks."
    ),
    # price and discount paid
    from_past("unit_price_usd_13", "net_sales_usd/quantity_units", "quotient", (13,), "Net USD a unit, last 13 weeks."),
    from_past(
        "unit_price_change_4_13",
        "net_sales_usd/quantity_units",
        "quotient_change",
        (4, 13),
        "Net price of a unit in the last 4 weeks over that in the last 13.",
    ),
    from_past("discount_depth_4", "discount_usd/gross_sales_usd", "quotient", (4,), "Retail discount share, 4 weeks."),
    from_past(
        "discount_depth_13", "discount_usd/gross_sales_usd", "quotient", (13,), "Retail discount share, 13 weeks."
    ),
    # pooled demand: how the store, the group and the whole lake move
    from_past(
        "store_transactions_mean_4", "store.transactions", "mean", (4,), "Mean weekly sum over the store's series."
    ),
    from_past("store_change_1_8", "store.transactions", "mean_change", (1, 8), "Store sum: cutoff week over 8 weeks."),
    from_past("store_change_4_13", "store.transactions", "mean_change", (4, 13), "Store sum: 4 weeks over 13 weeks."),
    from_past(
        "group_transactions_mean_4", "group.transactions", "mean", (4,), "Mean weekly sum over the group's stores."
    ),
    from_past("group_change_1_8", "group.transactions", "mean_change", (1, 8), "Group sum: cutoff week over 8 weeks."),
    from_past("group_change_4_13", "group.transactions", "mean_change", (4, 13), "Group sum: 4 weeks over 13 weeks."),
    from_past("group_change_4_26", "group.transactions", "mean_change", (4, 26), "Group sum: 4 weeks over 26 weeks."),
    from_past(
        "all_change_1_8", "all.transactions", "mean_change", (1, 8), "Sum of all series: cutoff week over 8 weeks."
    ),
    from_past("all_change_4_13", "all.transactions", "mean_change", (4, 13), "Sum of all series: 4 weeks over 13."),
    # promotions as planned, before and in the target week
    from_past("display_share_lag_0", "plans.display_share", "lag", (0,), "Share of products on display, cutoff week."),
    from_past("mailer_share_lag_0", "plans.mailer_share", "lag", (0,), "Share of products in the mailer, cutoff week."),
    from_past(
        "display_share_mean_8", "plans.display_share", "mean", (8,), "Mean share of products on display, 8 weeks."
    ),
    from_past(
        "mailer_share_mean_8", "plans.mailer_share", "mean", (8,), "Mean share of products in the mailer, 8 weeks."
    ),
    from_plans("display_products_target", "plans.display_products", "target", (), "Products on display, target week."),
    from_plans("mailer_products_target", "plans.mailer_products", "target", (), "Products in the mailer, target week."),
    from_plans(
        "display_share_target", "plans.display_share", "target", (), "Share of products on display, target week."
    ),
    from_plans("mailer_share_target", "plans.mailer_share", "target", (), "Share of products in mailer, target week."),
    from_plans(
        "display_share_change", "plans.display_share", "target_less_mean", (8,), "On display: target less 8-week mean."
    ),
    from_plans(
        "mailer_share_change", "plans.mailer_share", "target_less_mean", (8,), "In mailer: target less 8-week mean."
    ),
    # calendar
    from_calendar("target_month", "target.month", "BIGINT", "Month of the target week's first day."),
    from_calendar("target_week_of_year", "target.week_of_year", "BIGINT", "ISO week of the target week's first day."),
    from_calendar(
        "target_day_of_month", "target.day_of_month", "BIGINT", "Day of month of the target week's first day."
    ),
    from_calendar("target_holiday", "target.holiday", "STRING", "Holiday in the target week, or none."),
    from_calendar(
        "target_days_to_holiday", "target.days_to_holiday", "BIGINT", "Days from target week to next holiday."
    ),
    from_calendar("cutoff_holiday", "cutoff.holiday", "STRING", "Holiday in the cutoff week, or none."),
)

# Models, training sets and forecasts name the set that they were made with.
FEATURE_SET = set_version("demand", DEMAND_FEATURES)


def feature_table_columns(features: Sequence[Feature] = DEMAND_FEATURES) -> dict[str, pl.DataType]:
    """Columns and types of gold.demand_features in order: keys, target week, features, both times."""
    columns: dict[str, pl.DataType] = {
        **{name: pl.String() for name in SERIES_KEY},
        WEEK: pl.Date(),
        HORIZON: pl.Int32(),
        TARGET_WEEK: pl.Date(),
    }
    columns |= {feature.name: POLARS_DTYPES[feature.dtype] for feature in features if feature.kernel != "key"}
    return columns | {"event_at": UTC_INSTANT, "known_at": UTC_INSTANT}


def compute_features(
    series: pl.DataFrame,
    plans: pl.DataFrame,
    cutoffs: Sequence[date],
    horizons: Sequence[int],
    *,
    as_of: datetime | None = None,
    features: Sequence[Feature] = DEMAND_FEATURES,
    around: Surroundings | None = None,
) -> pl.DataFrame:
    """Features of every listed series at each cutoff and horizon.

    A value at cutoff week c uses rows of weeks <= c that are known by the end of c, and plans for the
    target week that are known by then. Windows longer than the series are null, not zero.

    Args:
        series: gold.demand_series, one row per (store_id, product_group, week_start_date), dense.
        plans: one row per (store_id, product_group, week_start_date) with a promotion, past or future:
            display_products, mailer_products, display_share, mailer_share, known_at. A row that is absent
            from a week with plans means no promotion; a week without any plan is unknown (null).
        cutoffs: cutoff weeks, each present in the series.
        horizons: weeks ahead, each at least 1.
        as_of: rows that became known later are ignored; None takes all rows as they are.
        features: the feature set.
        around: what the series take from all series, where `series` and `plans` hold only some stores; None computes
            it of what is given.

    Returns:
        One row per (store_id, product_group, week_start_date = cutoff week, horizon_weeks), sorted by it,
        with the columns of `feature_table_columns`; event_at = known_at = end of the cutoff week.

    Raises:
        BadFrame: columns are missing, keys repeat, a series has holes, a cutoff or horizon does not exist.
        LateRows: a used row became known only after the end of its week.
    """
    if not cutoffs or not horizons or min(horizons) < 1:
        raise BadFrame(f"Features need cutoffs and horizons of at least 1 week; got {cutoffs} and {horizons}.")
    require_inputs(series, plans)
    past, plans = _known(series, as_of).filter(pl.col(WEEK) <= max(cutoffs)), _known(plans, as_of)
    shared = surroundings(past, plans) if around is None else around
    panel = series_panel(past, plans, shared.planned_weeks)
    rows = _cutoff_rows(panel, shared.pools, cutoffs, features).join(_grid(horizons), how="cross")
    rows = rows.with_columns(
        (pl.col(WEEK) + pl.duration(days=DAYS_PER_WEEK) * pl.col(HORIZON).cast(pl.Int64)).alias(TARGET_WEEK)
    )
    rows = _with_calendar(target_plans(rows, plans, shared.planned_weeks), features)
    rows = rows.with_columns(
        (pl.col(_target_column(feature)) - pl.col(_mean_column(feature))).alias(feature.name)
        if feature.kernel == "target_less_mean"
        else pl.col(_target_column(feature)).alias(feature.name)
        for feature in features
        if feature.kernel in ("target", "target_less_mean")
    )
    columns = feature_table_columns(features)
    return rows.select(pl.col(name).cast(dtype) for name, dtype in columns.items()).sort(FEATURE_KEY)


def _known(frame: pl.DataFrame, as_of: datetime | None) -> pl.DataFrame:
    return frame if as_of is None else frame.filter(pl.col("known_at") <= as_of)


def _cutoff_rows(
    panel: Panel, sums: Mapping[str, pl.DataFrame], cutoffs: Sequence[date], features: Sequence[Feature]
) -> pl.DataFrame:
    """All past features at the cutoff weeks, plus the past half of the planned ones."""
    absent = sorted(set(cutoffs) - set(sums["all"][WEEK]))
    if absent:
        raise BadFrame(f"The series has no rows for the cutoff weeks {absent}.")
    pools = {prefix: pool_panel(sums[prefix], key) for prefix, key in POOLS.items()}
    own: dict[str, pl.Series] = {}
    pooled: dict[str, dict[str, pl.Series]] = {prefix: {} for prefix in pools}
    for feature in features:
        if feature.kernel == "target_less_mean":
            name = _mean_column(feature)
            own[name] = evaluate(panel, name, feature.source, "mean", feature.window)
        elif feature.availability == "past":
            prefix, _, column = feature.source.rpartition(".")
            home = pools.get(prefix, panel)
            source = column if prefix in pools else feature.source
            target = pooled[prefix] if prefix in pools else own
            target[feature.name] = evaluate(home, feature.name, source, feature.kernel, feature.window)
    frame = panel.frame.with_columns(own.values()).filter(pl.col(WEEK).is_in(list(cutoffs)))
    for prefix, columns in pooled.items():
        key = [*POOLS[prefix], WEEK]
        frame = frame.join(pools[prefix].frame.select(key).with_columns(columns.values()), on=key, how="left")
    return frame


def _with_calendar(rows: pl.DataFrame, features: Sequence[Feature]) -> pl.DataFrame:
    weeks = {"cutoff": WEEK, "target": TARGET_WEEK}
    for side, column in weeks.items():
        wanted = [
            pl.col(feature.source.removeprefix(f"{side}.")).alias(feature.name)
            for feature in features
            if feature.kernel == "calendar" and feature.source.startswith(f"{side}.")
        ]
        facts = calendar_frame(rows[column].unique().to_list(), column).select(column, *wanted)
        rows = rows.join(facts, on=column, how="left")
    return rows


def _grid(horizons: Sequence[int]) -> pl.DataFrame:
    return pl.DataFrame({HORIZON: sorted(set(horizons))}, schema={HORIZON: pl.Int32})


def _target_column(feature: Feature) -> str:
    return f"_target.{feature.source}"


def _mean_column(feature: Feature) -> str:
    return f"_mean.{feature.name}"
