"""Nothing after the cutoff, in event time or in knowledge, moves a feature; and the test itself finds planted leaks."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ml import features as features_module
from ml import panels
from ml.features import compute_features
from tests.unit.ml.demand_data import Demand, make_demand

HORIZONS = (1, 3)
WEEKS = 18
SEEDS = st.integers(0, 10_000)
CUTOFFS = st.integers(2, WEEKS - 2)


def end_of(demand: Demand, position: int) -> object:
    return demand.series.filter(pl.col("week_start_date") == demand.weeks[position])["event_at"][0]


def with_another_future(demand: Demand, end: object, seed: int) -> Demand:
    """The same past; every value that happened or became known after `end` is another one.

    Rows of later weeks get other values and flags. Plans that became known later get other values, some vanish, and
    every week gets plans that nobody knew of yet. Known plans stay, whatever week they are for.
    """
    random = np.random.default_rng(seed)
    is_later = (pl.col("event_at") > end) | (pl.col("known_at") > end)
    size = demand.series.height
    noise = pl.Series("_noise", random.integers(1, 50, size))
    series = demand.series.with_columns(noise).with_columns(
        pl.when(is_later)
        .then((pl.col(name) + pl.col("_noise")).cast(demand.series.schema[name]))
        .otherwise(pl.col(name))
        for name in ("transactions", "quantity_units", "net_sales_usd", "gross_sales_usd", "display_products")
    )
    flags = pl.Series("_flag", random.random(size) < 0.3)
    series = series.with_columns(
        flags, is_partial_week=pl.when(is_later).then(flags).otherwise(pl.col("is_partial_week"))
    ).drop("_noise", "_flag")
    return Demand(demand.weeks, demand.lines, other_plans(demand.plans, end, random), series)


def other_plans(plans: pl.DataFrame, end: object, random: np.random.Generator) -> pl.DataFrame:
    known = plans.filter(pl.col("known_at") <= end)
    later = plans.filter(pl.col("known_at") > end).sample(fraction=0.7, seed=int(random.integers(1_000_000)))
    later = later.with_columns(
        display_products=pl.col("display_products") + 7, mailer_share=pl.col("mailer_share") + 0.5
    )
    keys = plans.select("store_id", "product_group").unique()
    surprise = (
        keys.join(plans.select("week_start_date").unique(), how="cross")
        .join(pl.concat([known, later]), on=["store_id", "product_group", "week_start_date"], how="anti")
        .with_columns(
            display_products=pl.lit(9, dtype=pl.Int64),
            mailer_products=pl.lit(9, dtype=pl.Int64),
            display_share=pl.lit(0.9),
            mailer_share=pl.lit(0.9),
            known_at=pl.lit(end) + timedelta(microseconds=1),
        )
        .select(plans.columns)
        .cast(dict(plans.schema))
    )
    # A plan for a week that is over may not be a surprise: such rows are refused, see test_features.
    week_is_ahead = pl.col("week_start_date").cast(pl.Datetime("us", "UTC")) > pl.lit(end)
    return pl.concat([known, later, surprise.filter(week_is_ahead)])


def features_up_to(demand: Demand, position: int, *, with_later_cutoffs: bool) -> pl.DataFrame:
    cutoffs = demand.weeks[position - 1 : None if with_later_cutoffs else position + 1]
    rows = compute_features(demand.series, demand.plans, cutoffs, HORIZONS)
    return rows.filter(pl.col("week_start_date") <= demand.weeks[position])


def assert_no_leak(seed: int, position: int, *, with_later_cutoffs: bool) -> None:
    demand = make_demand(seed=seed, weeks=WEEKS, stores=2, groups=2)
    changed = with_another_future(demand, end_of(demand, position), seed + 1)
    assert not changed.series.equals(demand.series)
    assert_frame_equal(
        features_up_to(demand, position, with_later_cutoffs=with_later_cutoffs),
        features_up_to(changed, position, with_later_cutoffs=with_later_cutoffs),
        check_exact=True,
    )


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=SEEDS, position=CUTOFFS)
def test_another_future_gives_the_same_features(seed: int, position: int) -> None:
    assert_no_leak(seed, position, with_later_cutoffs=False)
    assert_no_leak(seed, position, with_later_cutoffs=True)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=SEEDS, position=CUTOFFS, delay_seconds=st.integers(1, 10**7))
def test_rows_that_become_known_later_give_the_same_features(seed: int, position: int, delay_seconds: int) -> None:
    demand = make_demand(seed=seed, weeks=WEEKS, stores=2, groups=2)
    end = end_of(demand, position)
    delay = timedelta(seconds=delay_seconds)
    late = demand.series.with_columns(
        known_at=pl.when(pl.col("event_at") > end).then(pl.col("known_at") + delay).otherwise(pl.col("known_at"))
    )
    changed = Demand(demand.weeks, demand.lines, demand.plans, late)
    assert_frame_equal(
        features_up_to(demand, position, with_later_cutoffs=False),
        features_up_to(changed, position, with_later_cutoffs=False),
        check_exact=True,
    )


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=SEEDS, position=CUTOFFS)
def test_all_cutoffs_at_once_equal_the_filter_at_each(seed: int, position: int) -> None:
    """The vectorised kernels give what a filter on both times would, cutoff by cutoff."""
    demand = make_demand(seed=seed, weeks=WEEKS, stores=2, groups=2)
    together = compute_features(demand.series, demand.plans, demand.weeks[2:], HORIZONS)
    end = end_of(demand, position)
    series = demand.series.filter((pl.col("event_at") <= end) & (pl.col("known_at") <= end))
    plans = demand.plans.filter(pl.col("known_at") <= end)
    alone = compute_features(series, plans, [demand.weeks[position]], HORIZONS)
    at_cutoff = together.filter(pl.col("week_start_date") == demand.weeks[position])
    assert_frame_equal(at_cutoff, alone, check_exact=True)


def test_a_planted_window_that_looks_ahead_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutation check: a mean over the weeks to come instead of the weeks past."""
    honest = panels._WINDOWED["mean"]
    monkeypatch.setitem(
        panels._WINDOWED, "mean", lambda values, layout, weeks: np.roll(honest(values, layout, weeks), -weeks)
    )
    with pytest.raises(AssertionError, match="are different"):
        assert_no_leak(1, 8, with_later_cutoffs=True)


def test_planted_foresight_of_plans_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutation check: plans count before anybody knew them."""
    honest = features_module.target_plans

    def clairvoyant(rows: pl.DataFrame, plans: pl.DataFrame, as_of: object) -> pl.DataFrame:
        return honest(rows, plans.with_columns(known_at=pl.col("known_at") - timedelta(days=365)), as_of)  # type: ignore[arg-type]

    monkeypatch.setattr(features_module, "target_plans", clairvoyant)
    with pytest.raises(AssertionError, match="are different"):
        assert_no_leak(1, 8, with_later_cutoffs=False)
