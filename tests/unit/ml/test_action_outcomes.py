"""Measured against planted effects: unbiased, covered by its interval, and silent where nothing can be said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml.action_assignments import Decider, approve, edit
from ml.action_outcomes import OUTCOME_SCHEMA, outcomes
from ml.actions import advise
from ml.actions_candidates import candidates
from ml.actions_limits import Refused
from tests.unit.ml.action_data import ISSUE, NOTHING_DECIDED, WEEKS, assumed, forecasts, lift, planned, sales
from tests.unit.ml.test_action_assignments import EMPTY

BY = Decider("A. Planner", datetime(2026, 1, 12, 5, tzinfo=UTC), begun=())
# What is sold brings so many times what was looked up.
DEARER = 1.5
KEY = ["target_week_start_date", "store_id", "product_group"]
SETTINGS = assumed(hold_out_share=0.35, budget_usd=1000.0, weeks_per_series=4, slots_per_store=3)


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    rows = candidates(forecasts(40), planned(), lift(), sales(), SETTINGS)
    return approve(advise(rows, SETTINGS, ISSUE, "lift-1", NOTHING_DECIDED).rows, None, EMPTY, BY)


def happened(log: pl.DataFrame, seed: int, lifted: float, bias: float = 1.0) -> pl.DataFrame:
    """A Poisson world: every cell sells its forecast times `bias`, the treated `lifted` of the forecast more."""
    base = log["base_transactions"].to_numpy()
    mean = base * (bias + np.where(log["is_hold_out"].to_numpy(), 0.0, lifted))
    sold = np.random.default_rng(seed).poisson(mean)
    dollars = sold * DEARER * log["net_sales_usd_per_transaction"].to_numpy()
    weeks = log.select(*KEY).rename({KEY[0]: "week_start_date"})
    return weeks.with_columns(transactions=pl.Series(sold), net_sales_usd=pl.Series(dollars))


def overall(found: pl.DataFrame) -> dict:
    return found.filter(period="to_date", kind="all").sort(KEY[0]).tail(1).row(0, named=True)


def to_date(log: pl.DataFrame, sold: pl.DataFrame) -> dict:
    """All weeks together, told of the last alone."""
    return overall(outcomes(log, sold, WEEKS[-1], since=WEEKS[-1]))


def test_measured_lift_is_unbiased_and_covered_whatever_the_forecast_missed(log: pl.DataFrame) -> None:
    measured = [to_date(log, happened(log, seed, 0.2, bias=1.3)) for seed in range(60)]
    lifts = np.array([row["measured_lift_percent"] for row in measured])
    assert lifts.mean() == pytest.approx(20.0, abs=3 * lifts.std() / len(lifts) ** 0.5)
    truth = np.array([0.2 * row["base_transactions"] for row in measured])
    low, high = (np.array([row[f"measured_{end}"] for row in measured]) for end in ("lower", "upper"))
    assert 0.8 <= ((low <= truth) & (truth <= high)).mean() <= 0.98


def test_no_effect_is_rarely_found(log: pl.DataFrame) -> None:
    found = [to_date(log, happened(log, seed, 0.0)) for seed in range(60)]
    assert np.mean([row["measured_lower"] > 0 or row["measured_upper"] < 0 for row in found]) <= 0.2


def test_sums_are_those_of_the_compared_cells(log: pl.DataFrame) -> None:
    sold = happened(log, 1, 0.2)
    found = outcomes(log, sold, WEEKS[-1])
    assert found.schema == pl.Schema(OUTCOME_SCHEMA)
    cells = log.join(sold.rename({"week_start_date": KEY[0]}), on=KEY).filter(
        (pl.col("propensity") < 1) & (pl.col("product_group") == "COLA") & (pl.col("kind") == "display")
    )
    row = found.filter(period="to_date", product_group="COLA").sort(KEY[0]).tail(1).row(0, named=True)
    treated = cells.filter(~pl.col("is_hold_out"))
    assert row["treated_cells"] == treated.height
    assert row["hold_out_cells"] == cells.height - treated.height
    assert row["actual_transactions"] == treated["transactions"].sum()
    assert row["expected_incremental_transactions"] == pytest.approx(treated["incremental_transactions"].sum() / 0.8)
    held = cells.filter("is_hold_out")
    sides = ((treated, 1 / treated["propensity"]), (held, 1 / (1 - held["propensity"])))
    ratios = [(part["transactions"] * w).sum() / (part["base_transactions"] * w).sum() for part, w in sides]
    assert row["measured_lift_percent"] == pytest.approx(100 * (ratios[0] - ratios[1]))
    assert row["measured_sales_lift_percent"] == pytest.approx(DEARER * 100 * (ratios[0] - ratios[1]))
    assert row["measured_sales_lift_sd_percent"] > row["measured_lift_sd_percent"]
    each = treated["net_sales_usd_per_transaction"][0]
    assert row["base_net_sales_usd"] == pytest.approx(each * row["base_transactions"])
    assert row["actual_net_sales_usd"] == pytest.approx(DEARER * each * row["actual_transactions"])
    assert row["measured_net_sales_usd"] == pytest.approx(DEARER * each * row["measured_incremental_transactions"])
    weeks = found.filter(period="week", kind="all")
    assert weeks["treated_cells"].sum() == overall(found)["treated_cells"]


def test_what_a_person_changed_is_left_out(log: pl.DataFrame) -> None:
    cell = log.filter(~pl.col("is_hold_out"), pl.col("propensity") < 1).select(KEY).row(0)
    other = "mailer" if log.filter(store_id=cell[1], product_group=cell[2])["kind"][0] == "display" else "display"
    edited = pl.concat([log, edit(log, cell, other, "the buyer wants it", BY)])
    sold = happened(log, 1, 0.2)
    before, after = (overall(outcomes(entries, sold, WEEKS[-1])) for entries in (log, edited))
    assert after["treated_cells"] == before["treated_cells"] - 1
    assert after["left_out_cells"] == before["left_out_cells"] + 1
    stopped = pl.concat([log, edit(log, cell, "none", "no room", BY)])
    assert overall(outcomes(stopped, sold, WEEKS[-1]))["left_out_cells"] == before["left_out_cells"]


def test_weeks_to_come_and_missing_outcomes_are_not_judged(log: pl.DataFrame) -> None:
    sold = happened(log, 1, 0.2)
    early = outcomes(log, sold, WEEKS[0])
    assert set(early[KEY[0]]) == {WEEKS[0]}
    assert outcomes(log, sold, WEEKS[0] - timedelta(7)).is_empty()
    assert outcomes(EMPTY, sold, WEEKS[-1]).is_empty()
    gone = outcomes(log, sold.filter(pl.col("store_id") != "S39"), WEEKS[-1])
    assert overall(gone)["left_out_cells"] > overall(outcomes(log, sold, WEEKS[-1]))["left_out_cells"]


def test_too_few_cells_are_a_reason_and_no_number(log: pl.DataFrame) -> None:
    few = log.filter(pl.col("propensity") < 1).group_by("is_hold_out", maintain_order=True).head(1).select(log.columns)
    row = overall(outcomes(few, happened(log, 1, 0.2), WEEKS[-1]))
    assert row["measured_incremental_transactions"] is row["is_expected_within"] is None
    assert row["reason"] == "1 treated and 1 held-out cells can be compared; at least 2 of each are needed."
    assert row["expected_incremental_transactions"] is not None


def test_a_side_that_sold_nothing_is_not_certain(log: pl.DataFrame) -> None:
    row = overall(outcomes(log, happened(log, 1, 0.0).with_columns(transactions=0), WEEKS[-1]))
    assert row["measured_lower"] < 0 < row["measured_upper"]


def test_a_conflicting_log_is_refused(log: pl.DataFrame) -> None:
    twice = log.head(1).with_columns(entry_number=pl.lit(9999, pl.Int64))
    with pytest.raises(Refused, match="conflicting approvals"):
        outcomes(pl.concat([log, twice]), happened(log, 1, 0.2), WEEKS[-1])
