"""What an activity adds equals SQL and simulation; what was not measured or assumed is no candidate or refused."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import duckdb
import numpy as np
import polars as pl
import pytest

from ml.actions_candidates import candidates, total, valued
from ml.actions_limits import Assumptions, Refused
from ml.frame_checks import BadFrame
from tests.unit.ml.action_data import ASSUMED, ISSUE, WEEKS, assumed, forecasts, lift, planned, sales

Z = NormalDist().inv_cdf(0.95)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return candidates(forecasts(), planned(), lift(), sales(), ASSUMED)


def test_effects_equal_sql(rows: pl.DataFrame) -> None:
    database = duckdb.connect()
    for name, table in {"issued": forecasts(), "measured": lift(), "sold": sales()}.items():
        database.register(name, table)
    found = database.sql(f"""
        WITH moments AS (
            SELECT *, 0.3 * p10 + 0.4 * p50 + 0.3 * p90 AS mean,
                   sqrt(0.3 * (p10 - mean)**2 + 0.4 * (p50 - mean)**2 + 0.3 * (p90 - mean)**2) AS sd
            FROM issued),
        joined AS (
            SELECT *, lift_percent / 100 AS l, (upper - lower) / 200 / {Z} AS lsd
            FROM moments JOIN measured USING (product_group) JOIN sold USING (product_group))
        SELECT target_week_start_date, store_id, product_group, kind, mean * l * net_share AS added,
               net_share * (mean * l - {Z} * sqrt(l*l*sd*sd + mean*mean*lsd*lsd + sd*sd*lsd*lsd)) AS low,
               mean * l * net_share * net_sales_usd_per_transaction
                   * CASE product_group WHEN 'BEER' THEN 0.3 WHEN 'COLA' THEN 0.25 ELSE 0.4 END AS margin
        FROM joined ORDER BY 1, 2, 3, 4
    """).pl()
    key = ["target_week_start_date", "store_id", "product_group", "kind"]
    assert rows.select(key).equals(found.select(key))
    for own, sql in (
        ("incremental_transactions", "added"), ("incremental_transactions_lower", "low"),
        ("incremental_margin_usd", "margin"),
    ):  # fmt: skip
        assert rows[own].to_list() == pytest.approx(found[sql].to_list())


def test_the_interval_of_a_product_is_that_of_draws() -> None:
    random = np.random.default_rng(3)
    lifted, base = random.normal(0.2, 10 / 100 / Z, 400_000), random.normal(7.2, 4.5, 400_000)
    one = candidates(forecasts(1), planned(), lift(), sales(), ASSUMED).filter(kind="display", product_group="BEER")
    row = one.row(0, named=True)
    base = 0.8 * ((base - 7.2) / 4.5 * row["base_transactions_sd"] + row["base_transactions"])
    half = (row["incremental_transactions_upper"] - row["incremental_transactions_lower"]) / 2
    assert float((lifted * base).mean()) == pytest.approx(row["incremental_transactions"], rel=0.01)
    assert float((lifted * base).std()) * Z == pytest.approx(half, rel=0.01)


def test_sums_keep_the_uncertainty_of_a_shared_lift(rows: pl.DataFrame) -> None:
    arm = rows.filter(kind="display", product_group="COLA")
    mean, low, high = total(arm)
    assert mean == pytest.approx(arm["incremental_transactions"].sum())
    shared = 0.8 * float(arm["base_transactions"].sum()) * 8 / 100 / Z
    assert (high - low) / 2 > Z * shared
    independent = math.sqrt(((arm["incremental_transactions_upper"] - arm["incremental_transactions"]) ** 2).sum())
    assert (high - low) / 2 > 2 * independent
    assert total(arm, net=False) == pytest.approx((mean / 0.8, low / 0.8, high / 0.8))
    assert total(rows.clear()) == (0.0, 0.0, 0.0)


def test_what_is_planned_is_no_candidate(rows: pl.DataFrame) -> None:
    plan = planned([("S03", "BEER", WEEKS[1], 2, 0), ("S04", "COLA", WEEKS[1], 0, 3)])
    found = candidates(forecasts(), plan, lift(), sales(), ASSUMED)
    gone = rows.join(found, on=["target_week_start_date", "store_id", "product_group", "kind"], how="anti")
    assert gone.select("store_id", "product_group", "kind").rows() == [("S03", "BEER", "display")]


def test_an_arm_without_a_measured_lift_is_no_candidate(rows: pl.DataFrame) -> None:
    arms = set(rows.select("product_group", "kind").unique().rows())
    assert arms == {("BEER", "display"), ("BEER", "mailer"), ("COLA", "display"), ("TEA", "mailer")}
    assert candidates(forecasts(), planned(), lift().clear(), sales(), ASSUMED).is_empty()


def test_a_missing_assumption_is_named() -> None:
    poor = Assumptions({"display": 2.0}, {"BEER": 30.0, "COLA": 25.0}, ASSUMED.limits, 7, "v1")
    with pytest.raises(Refused, match="nothing about costs_usd of mailer; margin_percent of TEA"):
        candidates(forecasts(), planned(), lift(), sales(), poor)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"lift_percent": 50.0}, "lift of display for BEER is no number within its interval"),
        ({"lower": float("nan")}, "is no number"),
        ({"upper": None}, "is no number"),
        ({"kind": "radio"}, "lift of radio"),
    ],
)
def test_a_lift_that_is_no_number_is_refused(change: dict, named: str) -> None:
    columns = [pl.lit(value, pl.String if name == "kind" else pl.Float64).alias(name) for name, value in change.items()]
    wrong = lift().head(1).with_columns(columns)
    with pytest.raises(Refused, match=named):
        candidates(forecasts(), planned(), wrong, sales(), ASSUMED)


def test_repeated_rows_and_unknown_sales_are_refused() -> None:
    with pytest.raises(BadFrame, match="measured lift must have one row"):
        candidates(forecasts(), planned(), pl.concat([lift(), lift()]), sales(), ASSUMED)
    with pytest.raises(BadFrame, match="forecasts must have one row"):
        candidates(pl.concat([forecasts(), forecasts()]), planned(), lift(), sales(), ASSUMED)
    with pytest.raises(Refused, match="Nothing is known of the sales of COLA"):
        candidates(forecasts(), planned(), lift(), sales().filter(pl.col("product_group") != "COLA"), ASSUMED)


@pytest.mark.parametrize(
    ("costs", "margins", "named"),
    [
        ({"radio": 1.0}, {}, "no activity of the kind 'radio'"),
        ({"display": -1.0}, {}, "costs_usd of display"),
        ({"display": float("inf")}, {}, "costs_usd of display"),
        ({}, {"BEER": 0.0}, "margin_percent of BEER"),
        ({}, {"BEER": 130.0}, "margin_percent of BEER"),
    ],
)
def test_assumptions_that_cannot_be_are_refused(costs: dict, margins: dict, named: str) -> None:
    with pytest.raises(Refused, match=named):
        Assumptions(costs, margins, ASSUMED.limits, 7, "v1")


def test_only_exploring_cells_are_valued_by_a_draw(rows: pl.DataFrame) -> None:
    found = valued(rows, assumed(exploration_share=0.3), ISSUE)
    margin = pl.col("incremental_margin_usd") - pl.col("assumed_cost_usd")
    known = found.filter(~pl.col("is_exploration"))
    assert known.select((pl.col("value") - margin).abs().max()).item() == pytest.approx(0)
    tried = found.filter("is_exploration")
    assert 0.2 < tried.height / found.height < 0.4
    shift = tried.select("product_group", "kind", z=(pl.col("value") - margin) / (
        pl.col("base_transactions") * pl.col("lift_sd_percent") * pl.col("net_sales_usd_per_transaction")
        * pl.col("assumed_margin_percent") * 0.8 / 10_000
    ))  # fmt: skip
    spread = shift.group_by("product_group", "kind").agg(spread=pl.col("z").max() - pl.col("z").min(), z=pl.first("z"))
    assert spread["spread"].max() == pytest.approx(0, abs=1e-9)
    assert spread["z"].abs().min() > 1e-3
    cells = found.group_by("target_week_start_date", "store_id", "product_group").agg(pl.n_unique("is_exploration"))
    assert cells["is_exploration"].max() == 1
    assert not valued(rows, assumed(exploration_share=0.0), ISSUE)["is_exploration"].any()


def test_another_plan_or_seed_draws_anew_and_the_same_one_does_not(rows: pl.DataFrame) -> None:
    settings = assumed(exploration_share=0.3)
    found = valued(rows, settings, ISSUE)
    assert found.equals(valued(rows, settings, ISSUE))
    assert not found["value"].equals(valued(rows, settings, WEEKS[0])["value"])
    assert not found["is_exploration"].equals(valued(rows, replace(settings, seed=8), ISSUE)["is_exploration"])


def test_transactions_can_be_maximised_instead(rows: pl.DataFrame) -> None:
    found = valued(rows, assumed(maximise="incremental_transactions", exploration_share=0.0), ISSUE)
    assert found["value"].to_list() == pytest.approx(found["incremental_transactions"].to_list())
