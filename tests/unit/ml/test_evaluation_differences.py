"""The interval of a difference: its estimate is exact, and it holds the truth about as often as it says."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from ml.evaluation_differences import Interval, wape_difference
from ml.frame_checks import BadFrame


def scored(random: np.random.Generator, gain: float = 0.0, series: int = 40, weeks: int = 12) -> pl.DataFrame:
    """Two methods with errors that share shocks of weeks and of series; `gain` is what the first is better by."""
    shape = (series, weeks)
    shared = random.normal(0, 1, (1, weeks)) + random.normal(0, 1, (series, 1))
    actual = 50 + random.gamma(2, 5, shape)
    errors = np.abs(4 + shared + random.normal(0, 1, shape)) + 5
    rival = errors + gain + random.normal(0, 0.5, (1, weeks)) + random.normal(0, 0.5, (series, 1))
    start = date(2017, 1, 2)
    s, w = np.indices(shape)
    return pl.DataFrame({
        "store_id": [f"{value:02d}" for value in s.ravel()],
        "product_group": ["tea"] * s.size,
        "target_week_start_date": [start + timedelta(weeks=int(value)) for value in w.ravel()],
        "actual": actual.ravel(),
        "ours": (actual + errors).ravel(),
        "theirs": (actual + rival).ravel(),
    })  # fmt: skip


def test_estimate_is_the_difference_of_the_two_wapes() -> None:
    rows = scored(np.random.default_rng(1), gain=1.0)
    own, other = (100 * (rows[m] - rows["actual"]).abs().sum() / rows["actual"].sum() for m in ("ours", "theirs"))
    found = wape_difference(rows, "ours", "theirs")
    assert found.estimate == pytest.approx(own - other)
    assert found.lower < found.estimate < found.upper


def test_order_of_rows_does_not_matter() -> None:
    rows = scored(np.random.default_rng(2))
    assert wape_difference(rows.sample(fraction=1.0, shuffle=True, seed=3), "ours", "theirs") == wape_difference(
        rows, "ours", "theirs"
    )


def test_interval_finds_a_clear_gain_and_stays_open_without_one() -> None:
    assert wape_difference(scored(np.random.default_rng(4), gain=3.0), "ours", "theirs").is_sure
    equal = scored(np.random.default_rng(5)).with_columns(theirs=pl.col("ours"))
    assert wape_difference(equal, "ours", "theirs") == Interval(0.0, 0.0, 0.0)
    assert not wape_difference(equal, "ours", "theirs").is_sure


def test_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """No gain in truth: 90 % intervals should leave zero out in about a tenth of 120 draws, and never in a third."""
    random = np.random.default_rng(6)
    surely = sum(
        wape_difference(scored(random), "ours", "theirs", confidence=0.9, samples=200).is_sure for _ in range(120)
    )
    assert surely <= 24


def test_blocks_hold_the_truth_far_out_in_the_tails_where_weeks_do_not() -> None:
    """Errors of neighbouring weeks hang together (rho 0.6): no gain in truth, an interval of 99.5 %, 200 draws."""
    random = np.random.default_rng(9)
    surely = {"weeks": 0, "blocks": 0}
    for _ in range(200):
        shocks = random.normal(0, 1, 10)
        for week in range(1, 10):
            shocks[week] = 0.6 * shocks[week - 1] + 0.8 * shocks[week]
        rows = scored(random, series=12, weeks=10)
        week = (pl.col("target_week_start_date").rank("dense") - 1).cast(pl.Int64)
        shocked = rows.with_columns(theirs=pl.col("ours") + week.replace_strict(dict(enumerate(2 * shocks))))
        for units in surely:
            found = wape_difference(shocked, "ours", "theirs", confidence=0.995, units=units, samples=60)
            surely[units] += found.is_sure
    assert surely["blocks"] <= 4 < surely["weeks"]


def test_shocks_of_weeks_widen_the_interval() -> None:
    """Drawing series alone would call noise of weeks a difference: with few weeks the interval must be wide."""
    random = np.random.default_rng(7)
    many, few = (wape_difference(scored(random, weeks=weeks), "ours", "theirs") for weeks in (48, 4))
    assert few.upper - few.lower > 1.5 * (many.upper - many.lower)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows.drop("theirs"), "lacks"),
        (lambda rows: rows.head(0), "none"),
        (lambda rows: rows.with_columns(ours=pl.lit(None, dtype=pl.Float64)), "nulls"),
        (lambda rows: rows.with_columns(actual=pl.lit(0.0)), "add up"),
        (lambda rows: rows.filter(pl.col("store_id") == "00"), "do not hold two"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, sentence: str) -> None:
    with pytest.raises(BadFrame, match=sentence):
        wape_difference(change(scored(np.random.default_rng(8))), "ours", "theirs")
