"""Every feature against a loop that filters on both times, and the rules of absent windows and wrong frames."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from ml.business_calendar import days_to_holiday, holiday_in_week
from ml.features import (
    DEMAND_FEATURES,
    FEATURE_KEY,
    Feature,
    compute_features,
    feature_table_columns,
)
from ml.frame_checks import BadFrame, LateRows
from tests.unit.ml import feature_oracle as oracle
from tests.unit.ml.demand_data import Demand, business_weeks, make_demand

HORIZONS = (1, 2, 4)


@pytest.fixture(scope="module")
def demand() -> Demand:
    return make_demand(seed=3, weeks=34, stores=3, groups=2)


def expected(feature: Feature, eyes: oracle.Oracle, key: tuple[str, str], horizon: int) -> object:
    """The value of one feature for one series, from its declaration."""
    prefix, _, column = feature.source.rpartition(".")
    target = eyes.cutoff + timedelta(days=7 * horizon)
    if feature.kernel == "key":
        return {"store_id": key[0], "product_group": key[1], "horizon_weeks": horizon}[feature.name]
    if feature.kernel == "calendar":
        week = target if prefix == "target" else eyes.cutoff
        facts = {
            "month": week.month,
            "week_of_year": week.isocalendar().week,
            "day_of_month": week.day,
            "holiday": holiday_in_week(week),
            "days_to_holiday": days_to_holiday(week),
        }
        return facts[column]
    if feature.kernel == "target":
        return eyes.plan(key, target, column)
    if feature.kernel == "target_less_mean":
        planned, usual = eyes.plan(key, target, column), oracle.mean(eyes.plan_history(key, column), feature.window[0])
        return None if planned is None or usual is None else planned - usual
    return past(feature, source_values(feature, eyes, key))


def source_values(feature: Feature, eyes: oracle.Oracle, key: tuple[str, str]) -> list[list]:
    prefix, _, column = feature.source.rpartition(".")
    if prefix == "plans":
        return [eyes.plan_history(key, column)]
    histories = {
        "": eyes.histories[key],
        "store": eyes.pool(lambda other: other[0] == key[0]),
        "group": eyes.pool(lambda other: other[1] == key[1]),
        "all": eyes.pool(lambda _: True),
    }
    return [oracle.values(histories[prefix], part) for part in column.split("/")]


def past(feature: Feature, sources: list[list]) -> float | None:
    series, weeks = sources[0], feature.window
    results = {
        "lag": lambda: oracle.lag(series, weeks[0]),
        "mean": lambda: oracle.mean(series, weeks[0]),
        "std": lambda: oracle.std(series, weeks[0]),
        "max": lambda: oracle.largest(series, weeks[0]),
        "weighted_mean": lambda: oracle.weighted_mean(series, weeks[0]),
        "exponential_smoothing": lambda: oracle.exponential_smoothing(series),
        "expanding_mean": lambda: oracle.expanding_mean(series),
        "mean_change": lambda: oracle.ratio(oracle.mean(series, weeks[0]), oracle.mean(series, weeks[1])),
        "quotient": lambda: oracle.quotient(*sources, weeks[0]),
        "quotient_change": lambda: oracle.ratio(*(oracle.quotient(*sources, each) for each in weeks)),
        "weeks_since_positive": lambda: oracle.weeks_since_positive(series),
        "age": lambda: float(len(series) - 1),
    }
    return results[feature.kernel]()


@pytest.mark.parametrize("at", [0, 1, 7, 12, 33], ids=lambda at: f"week_{at}")
def test_every_feature_equals_the_loop(demand: Demand, at: int) -> None:
    cutoff = demand.weeks[at]
    eyes = oracle.Oracle(demand.series, demand.plans, cutoff)

    rows = compute_features(demand.series, demand.plans, [cutoff], HORIZONS)

    keys = sorted((*key, cutoff, horizon) for key in eyes.histories for horizon in HORIZONS)
    assert rows.select(FEATURE_KEY).rows() == keys
    for feature in DEMAND_FEATURES:
        wanted = [expected(feature, eyes, key[:2], key[3]) for key in keys]
        found = rows[feature.name].to_list()
        if feature.dtype == "DOUBLE":
            # coreforecast updates its sums; 1e-9 leaves room for that and for nothing else
            assert found == [
                value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9) for value in wanted
            ], feature.name
        else:
            assert found == wanted, feature.name


def test_many_cutoffs_at_once_give_the_rows_of_each_alone(demand: Demand) -> None:
    cutoffs = demand.weeks[20:24]
    together = compute_features(demand.series, demand.plans, cutoffs, HORIZONS)
    alone = [compute_features(demand.series, demand.plans, [cutoff], HORIZONS) for cutoff in cutoffs]
    assert together.equals(pl.concat(alone).sort(FEATURE_KEY))


def test_table_has_the_declared_columns_in_order(demand: Demand) -> None:
    rows = compute_features(demand.series, demand.plans, demand.weeks[-1:], HORIZONS)
    assert dict(rows.schema) == feature_table_columns()
    assert rows["event_at"].unique().to_list() == [demand.series["event_at"].max()]
    assert rows["known_at"].equals(rows["event_at"])


def test_names_are_unique_and_every_feature_is_described() -> None:
    names = [feature.name for feature in DEMAND_FEATURES]
    assert len(names) == len(set(names))
    assert all(feature.description.endswith((".", "none.")) for feature in DEMAND_FEATURES)


def test_windows_of_a_young_series_are_null_not_zero() -> None:
    young = make_demand(seed=5, weeks=3, stores=1, groups=1, partial_first=False)
    listed = young.series["week_start_date"].min()
    row = compute_features(young.series, young.plans, [listed], [1]).row(0, named=True)
    assert row["transactions_lag_0"] > 0
    assert row["weeks_since_listing"] == 0
    assert [row[name] for name in ("transactions_lag_1", "transactions_mean_4", "unit_price_usd_13")] == [None] * 3


def test_order_of_rows_does_not_matter(demand: Demand) -> None:
    cutoffs = demand.weeks[-2:]
    shuffled = demand.series.sample(fraction=1, shuffle=True, seed=1)
    plans = demand.plans.sample(fraction=1, shuffle=True, seed=2)
    expected_rows = compute_features(demand.series, demand.plans, cutoffs, HORIZONS)
    assert compute_features(shuffled, plans, cutoffs[::-1], HORIZONS[::-1]).equals(expected_rows)


def test_a_plan_counts_from_the_moment_it_is_known(demand: Demand) -> None:
    cutoff, target = demand.weeks[20], demand.weeks[22]
    end = demand.series.filter(pl.col("week_start_date") == cutoff)["event_at"][0]
    key = demand.series.filter(pl.col("week_start_date") == cutoff).row(0)[:2]
    moved = {"display_products": 3, "mailer_products": 0, "display_share": 0.3, "mailer_share": 0.0}

    def target_displays(known_at: object) -> float | None:
        plan = pl.DataFrame(
            [dict(zip(("store_id", "product_group"), key, strict=True)) | {"week_start_date": target} | moved]
        ).with_columns(pl.lit(known_at).cast(demand.plans.schema["known_at"]).alias("known_at"))
        rest = demand.plans.filter((pl.col("week_start_date") != target) | (pl.col("store_id") != key[0]))
        plans = pl.concat([rest, plan.cast(demand.plans.schema)])
        rows = compute_features(demand.series, plans, [cutoff], [2])
        return rows.filter(pl.col("store_id") == key[0], pl.col("product_group") == key[1])["display_products_target"][
            0
        ]

    assert target_displays(end) == 3
    assert target_displays(end + timedelta(microseconds=1)) == 0


def test_a_week_that_nobody_planned_is_unknown(demand: Demand) -> None:
    cutoff = demand.weeks[20]
    plans = demand.plans.filter(pl.col("week_start_date") != demand.weeks[21])
    rows = compute_features(demand.series, plans, [cutoff], [1, 2])
    per_horizon = rows.group_by("horizon_weeks").agg(pl.col("mailer_share_target").null_count()).sort("horizon_weeks")
    assert per_horizon["mailer_share_target"].to_list() == [rows.height / 2, 0]


def test_as_of_hides_what_became_known_later(demand: Demand) -> None:
    cutoff = demand.weeks[20]
    end = demand.series.filter(pl.col("week_start_date") == cutoff)["event_at"][0]
    seen = demand.series.filter(pl.col("week_start_date") <= cutoff)
    rows = compute_features(demand.series, demand.plans, [cutoff], HORIZONS, as_of=end)
    assert rows.equals(compute_features(seen, demand.plans.filter(pl.col("known_at") <= end), [cutoff], HORIZONS))
    with pytest.raises(BadFrame, match="no rows for the cutoff weeks"):
        compute_features(demand.series, demand.plans, [demand.weeks[21]], HORIZONS, as_of=end)


def test_a_late_row_is_refused(demand: Demand) -> None:
    late = demand.series.with_columns(
        known_at=pl.when(pl.int_range(pl.len()) == 5)
        .then(pl.col("known_at") + timedelta(seconds=1))
        .otherwise("known_at")
    )
    with pytest.raises(LateRows, match=r"1 rows of series became known only after the end of their week"):
        compute_features(late, demand.plans, demand.weeks[-1:], HORIZONS)


def test_a_promotion_recorded_afterwards_is_refused(demand: Demand) -> None:
    plans = demand.plans.with_columns(known_at=pl.col("known_at") + timedelta(days=60))
    with pytest.raises(LateRows, match="rows of plans became known"):
        compute_features(demand.series, plans, demand.weeks[-1:], HORIZONS)


def test_wrong_frames_are_refused_with_the_mend(demand: Demand) -> None:
    series, plans, cutoffs = demand.series, demand.plans, demand.weeks[-1:]
    hole = series.filter(pl.col("week_start_date") != demand.weeks[15])
    with pytest.raises(BadFrame, match=r"must hold every week of a series.*dense_series"):
        compute_features(hole, plans, cutoffs, HORIZONS)
    with pytest.raises(BadFrame, match=r"one row per .* repeat"):
        compute_features(pl.concat([series, series.head(1)]), plans, cutoffs, HORIZONS)
    with pytest.raises(BadFrame, match=r"net_sales_usd is Float64; it must be DECIMAL"):
        compute_features(series.with_columns(pl.col("net_sales_usd").cast(pl.Float64)), plans, cutoffs, HORIZONS)
    with pytest.raises(BadFrame, match=r"plans lacks the columns \['known_at'\]"):
        compute_features(series, plans.drop("known_at"), cutoffs, HORIZONS)
    with pytest.raises(BadFrame, match="no rows for the cutoff weeks"):
        compute_features(series, plans, [date(2031, 1, 6)], HORIZONS)
    with pytest.raises(BadFrame, match="horizons of at least 1 week"):
        compute_features(series, plans, cutoffs, [0])


def test_an_unknown_source_is_refused(demand: Demand) -> None:
    stray = Feature("stray", "temperature", "mean", (4,), "past", "DOUBLE", "A column that nobody has.")
    with pytest.raises(BadFrame, match=r"Feature stray reads \['temperature'\]"):
        compute_features(demand.series, demand.plans, demand.weeks[-1:], [1], features=(stray,))


def test_demand_data_reaches_beyond_the_series(demand: Demand) -> None:
    future = business_weeks(38)[34:]
    assert set(demand.plans["week_start_date"]) >= set(future)
