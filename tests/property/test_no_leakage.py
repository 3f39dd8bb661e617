"""Nothing after the cutoff, in event time or in knowledge, moves a feature; and the test itself finds planted leaks."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ml import features as features_module
from ml import panels
from ml.features import DEMAND_FEATURES, compute_features
from ml.leakage import another_future, leaks
from tests.conftest import tries
from tests.unit.ml.demand_data import Demand, make_demand

HORIZONS = (1, 3)
WEEKS = 18
SEEDS = st.integers(0, 10_000)
CUTOFFS = st.integers(2, WEEKS - 2)


def end_of(demand: Demand, position: int) -> datetime:
    ends = demand.series.filter(pl.col("week_start_date") == demand.weeks[position])["event_at"]
    return ends[0]


def with_another_future(demand: Demand, end: datetime, seed: int) -> Demand:
    return Demand(demand.weeks, demand.lines, *reversed(another_future(demand.series, demand.plans, end, seed)))


def features_up_to(demand: Demand, position: int, *, with_later_cutoffs: bool) -> pl.DataFrame:
    cutoffs = demand.weeks[position - 1 : None if with_later_cutoffs else position + 1]
    rows = compute_features(demand.series, demand.plans, cutoffs, HORIZONS)
    return rows.filter(pl.col("week_start_date") <= demand.weeks[position])


def demand_listed_before(position: int, seed: int) -> Demand:
    """A demand with a series in the week before the cutoff; in some none is listed yet in the first weeks."""
    demand = make_demand(seed=seed, weeks=WEEKS, stores=2, groups=2)
    assume(demand.series["week_start_date"].min() < demand.weeks[position])
    return demand


def assert_no_leak(demand: Demand, position: int, seed: int, *, with_later_cutoffs: bool) -> None:
    changed = with_another_future(demand, end_of(demand, position), seed + 1)
    assert not changed.series.equals(demand.series)
    assert_frame_equal(
        features_up_to(demand, position, with_later_cutoffs=with_later_cutoffs),
        features_up_to(changed, position, with_later_cutoffs=with_later_cutoffs),
        check_exact=True,
    )


@settings(max_examples=tries(15, 100), deadline=None, derandomize=True)
@given(seed=SEEDS, position=CUTOFFS)
def test_another_future_gives_the_same_features(seed: int, position: int) -> None:
    demand = demand_listed_before(position, seed)
    assert_no_leak(demand, position, seed, with_later_cutoffs=False)
    assert_no_leak(demand, position, seed, with_later_cutoffs=True)


@settings(max_examples=tries(10, 100), deadline=None, derandomize=True)
@given(seed=SEEDS, position=CUTOFFS, delay_seconds=st.integers(1, 10**7))
def test_rows_that_become_known_later_give_the_same_features(seed: int, position: int, delay_seconds: int) -> None:
    demand = demand_listed_before(position, seed)
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


@settings(max_examples=tries(10, 100), deadline=None, derandomize=True)
@given(seed=SEEDS, position=CUTOFFS)
def test_all_cutoffs_at_once_equal_the_filter_at_each(seed: int, position: int) -> None:
    """The vectorised kernels give what a filter on both times would, cutoff by cutoff."""
    demand = demand_listed_before(position, seed)
    together = compute_features(demand.series, demand.plans, demand.weeks[2:], HORIZONS)
    end = end_of(demand, position)
    series = demand.series.filter((pl.col("event_at") <= end) & (pl.col("known_at") <= end))
    plans = demand.plans.filter(pl.col("known_at") <= end)
    alone = compute_features(series, plans, [demand.weeks[position]], HORIZONS)
    at_cutoff = together.filter(pl.col("week_start_date") == demand.weeks[position])
    assert_frame_equal(at_cutoff, alone, check_exact=True)


def test_the_command_s_proof_finds_nothing_in_honest_features() -> None:
    demand = make_demand(seed=3, weeks=WEEKS, stores=2, groups=2)
    assert leaks(demand.series, demand.plans, demand.weeks[3:12:4], HORIZONS).is_empty()


def test_a_cutoff_without_a_future_proves_nothing() -> None:
    demand = make_demand(seed=3, weeks=WEEKS, stores=2, groups=2)
    with pytest.raises(ValueError, match="Nothing lies after"):
        leaks(demand.series, demand.plans, demand.weeks[-1:], HORIZONS)


def test_a_planted_window_that_looks_ahead_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutation check: a mean over the weeks to come instead of the weeks past."""
    honest = panels._WINDOWED["mean"]
    monkeypatch.setitem(
        panels._WINDOWED, "mean", lambda values, layout, weeks: np.roll(honest(values, layout, weeks), -weeks)
    )
    demand = make_demand(seed=1, weeks=WEEKS, stores=2, groups=2)
    with pytest.raises(AssertionError, match="are different"):
        assert_no_leak(demand, 8, 1, with_later_cutoffs=True)
    found = leaks(demand.series, demand.plans, [demand.weeks[8]], HORIZONS)
    assert "transactions_mean_4" in found["feature"].to_list()
    assert (found["rows_changed"] <= found["rows_compared"]).all()


def test_planted_foresight_of_plans_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutation check: plans count before anybody knew them."""
    honest = features_module.target_plans

    def clairvoyant(rows: pl.DataFrame, plans: pl.DataFrame, as_of: object) -> pl.DataFrame:
        return honest(rows, plans.with_columns(known_at=pl.col("known_at") - timedelta(days=365)), as_of)  # type: ignore[arg-type]

    monkeypatch.setattr(features_module, "target_plans", clairvoyant)
    demand = make_demand(seed=1, weeks=WEEKS, stores=2, groups=2)
    with pytest.raises(AssertionError, match="are different"):
        assert_no_leak(demand, 8, 1, with_later_cutoffs=False)
    found = leaks(demand.series, demand.plans, [demand.weeks[8]], HORIZONS)["feature"].to_list()
    assert set(found) <= {feature.name for feature in DEMAND_FEATURES if feature.availability == "known_future"}
    assert "display_products_target" in found
