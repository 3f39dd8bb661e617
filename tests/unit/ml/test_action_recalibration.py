"""Lift from two sources: near the truth of a planted model, also for arms that were chosen for a high lift."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ml.action_outcomes import OUTCOME_SCHEMA
from ml.action_recalibration import recalibrated
from ml.actions_candidates import ARM_LIFT_SCHEMA, Z
from tests.unit.ml.action_data import WEEKS, lift


def past(values: np.ndarray, sd: float) -> pl.DataFrame:
    return pl.DataFrame({
        "product_group": [f"G{n:03}" for n in range(len(values))], "kind": ["display"] * len(values),
        "lift_percent": values, "lower": values - Z * sd, "upper": values + Z * sd, "net_share": [0.8] * len(values),
        "base_transactions": [100.0] * len(values),
    }).with_columns(sales_lift_percent="lift_percent", sales_lower="lower", sales_upper="upper")  # fmt: skip


def evidence(groups: list[str], values: np.ndarray, sd: float, week: int = 0) -> pl.DataFrame:
    rows = pl.DataFrame({
        "target_week_start_date": [WEEKS[week]] * len(groups), "period": ["to_date"] * len(groups),
        "product_group": groups, "kind": ["display"] * len(groups), "measured_lift_percent": values,
        "measured_lift_sd_percent": [sd] * len(groups), "base_transactions": [10.0] * len(groups),
        "measured_sales_lift_percent": 2 * values, "measured_sales_lift_sd_percent": [sd] * len(groups),
    })  # fmt: skip
    missing = [pl.lit(None).alias(name) for name in OUTCOME_SCHEMA if name not in rows.columns]
    return rows.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in OUTCOME_SCHEMA.items())


def test_chosen_arms_do_not_mislead_about_the_others() -> None:
    random = np.random.default_rng(4)
    errors: dict[str, list[float]] = {"model": [], "past": [], "moved": []}
    inside = []
    for _ in range(25):
        true = random.normal(10, 8, 30)
        told = true + random.normal(6, 8, 30) + random.normal(0, 4, 30)
        before = past(told, 4.0)
        best = np.argsort(-told)[:8]
        tried = true[best] + random.normal(0, 3, 8)
        found = recalibrated(before, evidence([f"G{n:03}" for n in best], tried, 3.0))
        others = np.setdiff1d(np.arange(30), best)
        value = found["lift_percent"].to_numpy()
        errors["model"].append(float(np.mean((value - true)[others] ** 2)))
        errors["past"].append(float(np.mean((told - true)[others] ** 2)))
        errors["moved"].append(float(np.mean((told + np.mean(tried - told[best]) - true)[others] ** 2)))
        inside += list((found["lower"].to_numpy() <= true) & (true <= found["upper"].to_numpy()))
    assert np.mean(errors["model"]) < 0.85 * np.mean(errors["past"])
    assert np.mean(errors["model"]) < 0.85 * np.mean(errors["moved"])
    assert 0.8 <= np.mean(inside) <= 0.97


def test_a_sharp_hold_out_is_believed_and_a_dull_one_is_not() -> None:
    before = past(np.array([20.0, 22.0, 25.0, 30.0, 18.0]), 5.0)
    sharp = recalibrated(before, evidence(["G003"], np.array([4.0]), 0.2)).filter(product_group="G003")
    assert sharp["lift_percent"][0] == pytest.approx(4.0, abs=0.5)
    dull = recalibrated(before, evidence(["G003"], np.array([4.0]), 400.0))
    assert dull.filter(product_group="G003")["lift_percent"][0] > 15


def test_sales_are_told_apart_from_transactions() -> None:
    before = past(np.array([20.0, 22.0, 25.0, 30.0, 18.0]), 5.0)
    found = recalibrated(before, evidence(["G003"], np.array([24.0]), 0.2)).filter(product_group="G003")
    assert found["lift_percent"][0] == pytest.approx(24.0, abs=0.5)
    assert found["sales_lift_percent"][0] == pytest.approx(48.0, abs=0.5)
    assert found["sales_lower"][0] < found["sales_lift_percent"][0] < found["sales_upper"][0]


def test_only_the_newest_to_date_of_an_arm_counts_and_nothing_new_changes_nothing() -> None:
    before = past(np.array([20.0, 22.0, 25.0]), 5.0)
    newest = evidence(["G001"], np.array([9.0]), 2.0, week=1)
    assert recalibrated(before, pl.concat([evidence(["G001"], np.array([40.0]), 2.0), newest])).equals(
        recalibrated(before, newest)
    )
    assert recalibrated(before, newest.with_columns(period=pl.lit("week"))).equals(recalibrated(before, newest.clear()))
    assert recalibrated(before.head(1), newest.clear()).equals(before.head(1).select(list(ARM_LIFT_SCHEMA)))
    assert recalibrated(before, newest)["base_transactions"].to_list() == [100.0, 110.0, 100.0]
    shuffled = before.sample(fraction=1.0, shuffle=True, seed=1)
    assert recalibrated(shuffled, newest).equals(recalibrated(before, newest))


def test_one_arm_alone_can_be_told() -> None:
    found = recalibrated(lift().head(1), evidence(["BEER"], np.array([5.0]), 2.0))
    assert found["lower"][0] < found["lift_percent"][0] < found["upper"][0]
    assert 3 < found["lift_percent"][0] < 20


def test_before_any_hold_out_the_extremes_are_drawn_to_the_mean() -> None:
    random = np.random.default_rng(5)
    true = random.normal(12, 4, 40)
    told = true + random.normal(0, 8, 40)
    found = recalibrated(past(told, 8.0), evidence([], np.array([]), 1.0))["lift_percent"].to_numpy()
    assert np.mean((found - true) ** 2) < 0.6 * np.mean((told - true) ** 2)
    assert np.corrcoef(found, told)[0, 1] == pytest.approx(1.0)
