"""The advice keeps its limits after the hold-out, says why, and is the same however often it is made."""

from __future__ import annotations

import polars as pl
import pytest

from ml.actions import NEXT_ACTION_SCHEMA, advise
from ml.actions_candidates import candidates
from ml.actions_draws import HOLD_OUT, TREATED
from ml.actions_limits import Assumptions, Refused
from tests.unit.ml.action_data import ASSUMED, ISSUE, NOTHING_DECIDED, assumed, forecasts, lift, planned, sales


def plan(assumptions: Assumptions, decided: pl.DataFrame = NOTHING_DECIDED, stores: int = 12):
    rows = candidates(forecasts(stores), planned(), lift(), sales(), assumptions)
    return advise(rows, assumptions, ISSUE, "lift-1", decided)


def test_every_row_says_what_it_rests_on() -> None:
    advice = plan(assumed(hold_out_share=0.3))
    rows = advice.rows
    assert rows.schema == pl.Schema(NEXT_ACTION_SCHEMA)
    assert rows.height > 10
    assert set(rows["cell"]) == {TREATED, HOLD_OUT}
    assert rows["propensity"].is_between(0, 1).all()
    first = rows.filter(pl.col("cell") == TREATED).row(0, named=True)
    assert first["reason"].startswith(
        f"Do a {first['kind']} of {first['product_group']} in store {first['store_id']}: "
    )
    assert f"{first['incremental_transactions']:+.2f} transactions (90 %: " in first["reason"]
    assert first["assumed"] == (
        f"assumed: a {first['kind']} costs {first['assumed_cost_usd']:.2f} USD a store, product group and week; "
        f"{first['assumed_margin_percent']:g} % of the net sales of {first['product_group']} are margin"
    )
    held = rows.filter(pl.col("cell") == HOLD_OUT)
    assert held["reason"].str.starts_with("Leave out, to measure the effect, a ").all()
    assert (rows["assumptions_version"] == "v1").all()
    assert rows.select("lift_version", "model_version", "data_version").unique().rows() == [("lift-1", "m", "d")]
    assert advice.gap_percent <= 0.011


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6])
def test_the_treated_spend_the_budget_whatever_is_held_out(share: float) -> None:
    rows = plan(assumed(hold_out_share=share, exploration_share=0.2), stores=40).rows
    spent = rows.filter(pl.col("cell") == TREATED)["assumed_cost_usd"].sum()
    # A mailer costs one dollar and a display two; half of what explores is held out besides.
    assert 60 * (1 - 0.5 * 0.2 * (share > 0)) - 4 <= spent <= 60
    assert bool((rows["cell"] == HOLD_OUT).any()) == (share > 0)


def test_the_advice_is_repeatable_and_the_expected_sums_are_its_rows() -> None:
    advice = plan(ASSUMED)
    assert advice.rows.equals(plan(ASSUMED).rows)
    mean, low, high = advice.expected()
    assert mean == pytest.approx(advice.rows.filter(pl.col("cell") == TREATED)["incremental_transactions"].sum())
    assert low < mean < high


def test_the_least_number_is_one_of_treated_activities() -> None:
    rows = plan(assumed(hold_out_share=0.4, min_actions={"mailer": 9}, budget_usd=90.0)).rows
    assert rows.filter(pl.col("cell") == TREATED, pl.col("kind") == "mailer").height >= 9
    with pytest.raises(Refused, match="cannot be treated within max_actions 9"):
        plan(assumed(hold_out_share=0.4, min_actions={"mailer": 9}, max_actions={"mailer": 9}))


def test_what_was_decided_is_not_advised_again() -> None:
    first = plan(ASSUMED).rows
    few = first.head(first.height // 2)
    again = plan(ASSUMED, few.select(NOTHING_DECIDED.columns)).rows
    assert again.height
    assert again.join(few, on=["store_id", "product_group"], how="semi").is_empty()


def test_nothing_worth_its_cost_is_no_advice() -> None:
    dear = Assumptions({"display": 500.0, "mailer": 500.0}, ASSUMED.margin_percent, ASSUMED.limits, 7, "v1")
    advice = plan(dear)
    assert advice.rows.is_empty()
    assert advice.rows.schema == pl.Schema(NEXT_ACTION_SCHEMA)
    assert advice.candidate_count > 0
    assert advice.expected() == (0.0, 0.0, 0.0)
