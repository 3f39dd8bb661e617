"""The closed loop's market can be acted on, and what it says an activity added is what its law says."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from benchmarks.loop import LIMITS, Run, by_round, chosen_by, figures, within
from benchmarks.loop_plot import picture
from benchmarks.loop_world import PAST_WEEKS, ROUNDS, Chain, make_chain
from ml.actions_candidates import ARM_LIFT_SCHEMA


@pytest.fixture(scope="module")
def start() -> tuple[Chain, pl.DataFrame]:
    return make_chain(1)


def activity(chain: Chain, kind: str = "display") -> pl.DataFrame:
    return pl.DataFrame({"store_id": chain.world.store_ids[:5], "product_group": "GROUP A", "kind": kind})


def test_the_past_gives_a_lift_of_every_arm_that_was_promoted(start: tuple[Chain, pl.DataFrame]) -> None:
    chain, lift = start
    assert lift.columns == list(ARM_LIFT_SCHEMA)
    assert lift.height > 6
    assert chain.sold.shape[2] == PAST_WEEKS


def test_an_activity_adds_where_it_is_done_and_nowhere_before(start: tuple[Chain, pl.DataFrame]) -> None:
    chain = start[0].copy()
    chain.act(activity(chain), PAST_WEEKS)
    added = chain.added_in_week(PAST_WEEKS).filter(pl.col("added").abs() > 1e-9)
    own = added.filter(pl.col("product_group") == "GROUP A")
    assert set(own["store_id"]) == set(chain.world.store_ids[:5])
    assert own["added"].min() > 0
    assert set(added["store_id"]) == set(own["store_id"])
    assert np.array_equal(chain.sold[:, :, :PAST_WEEKS], start[0].sold)
    series = chain.series()
    assert set(series["week_start_date"]) == {chain.week(PAST_WEEKS)}
    sold = chain.sold[:, chain.groups[0], PAST_WEEKS].sum()
    assert series.filter(pl.col("product_group") == "GROUP A")["transactions"].sum() == sold
    assert sum(chain.added_sales_usd().values()) > 0


def test_idle_weeks_alone_are_what_a_planner_forecasts_from(start: tuple[Chain, pl.DataFrame]) -> None:
    chain = start[0].copy()
    before = chain.forecasts(PAST_WEEKS)
    assert before.select((pl.col("p10") <= pl.col("p50")) & (pl.col("p50") <= pl.col("p90"))).to_series().all()
    for week in range(PAST_WEEKS, PAST_WEEKS + 3):
        chain.act(activity(chain), week)
    treated = pl.col("store_id").is_in(chain.world.store_ids[:5]) & (pl.col("product_group") == "GROUP A")
    after = chain.forecasts(PAST_WEEKS + 3).filter(treated)["p50"].sum()
    idle = start[0].copy()
    for week in range(PAST_WEEKS, PAST_WEEKS + 3):
        idle.act(activity(chain).clear(), week)
    assert after == pytest.approx(idle.forecasts(PAST_WEEKS + 3).filter(treated)["p50"].sum(), rel=0.15)


def test_a_rival_keeps_the_limits_and_a_run_has_every_round(start: tuple[Chain, pl.DataFrame]) -> None:
    chain, lift = start
    taken: list[pl.DataFrame] = []

    def dearest(rows: pl.DataFrame) -> pl.DataFrame:
        ordered = rows.sort("assumed_cost_usd", "base_transactions", descending=True)
        taken.append(within(ordered, LIMITS))
        return ordered

    run = chosen_by(chain.copy(), lift, dearest)
    assert len(run.net_margin_usd) == len(taken) == ROUNDS
    for rows in taken:
        assert rows["assumed_cost_usd"].sum() <= LIMITS.budget_usd
        assert rows.group_by("store_id").len()["len"].max() <= LIMITS.slots_per_store
        assert not rows.select("store_id", "product_group").is_duplicated().any()


def test_figures_are_of_the_last_round_and_pairs_of_the_same_market() -> None:
    falling = [float(ROUNDS - n) for n in range(ROUNDS)]
    own = [Run([0.0] * (ROUNDS - 1) + [value], falling, [True, False, None]) for value in (10.0, 14.0, 18.0)]
    rival = [Run([0.0] * (ROUNDS - 1) + [value]) for value in (4.0, 9.0, 20.0)]
    metrics, rivals = figures({"liftlake": own, "random": rival})
    assert metrics["net_margin_usd"] == 14
    assert metrics["calibration_error_fell_by"] == 9
    assert metrics["coverage_of_measured_90_percent_interval"] == 0.5
    assert rivals["random"]["liftlake_less_it_usd"] == 3
    assert rivals["random"]["markets_in_which_liftlake_earned_more"] == 2
    drawn = by_round({"liftlake": own, "random": rival})
    assert drawn["liftlake"]["net_margin_usd"][-1] == 14
    assert "error_points" not in drawn["random"]
    assert len(picture(drawn).axes) == 2
