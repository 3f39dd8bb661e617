"""Drift: distances as other programs compute them, few false alarms, and what is planted is found."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ml.drift import DRIFT_SCHEMA, DriftThresholds, drift, error_drift, ks, psi, wasserstein
from ml.frame_checks import BadFrame
from ml.histograms import histograms, make_bins
from tests.conftest import tries

FIRST, WEEKS, SERIES = date(2017, 1, 2), 40, 60
THRESHOLDS = DriftThresholds()
COLUMNS = ("lag", "mean", "price", "share", "season", "store")
COUNTS = st.lists(st.integers(0, 40), min_size=4, max_size=12)


def world(seed: int, weeks: int = WEEKS + 1) -> pl.DataFrame:
    """Weekly rows of series that differ in level and move together: no two rows of a week are independent."""
    random = np.random.default_rng(seed)
    level = random.lognormal(1.5, 0.8, SERIES)
    shock = np.zeros(weeks)
    for week in range(1, weeks):
        shock[week] = 0.6 * shock[week - 1] + random.normal(0, 0.08)
    season = 1 + 0.2 * np.sin(np.arange(weeks) / 52 * 2 * np.pi)
    demand = random.poisson(level[None, :] * (np.exp(shock) * season)[:, None]).astype(float)
    mean = np.stack([demand[max(0, week - 7) : week + 1].mean(axis=0) for week in range(weeks)])
    price = 3 + 0.3 * level[None, :] / level.mean() + random.normal(0, 0.1, (weeks, SERIES))
    share = np.where(random.random((weeks, SERIES)) < 0.2, random.random((weeks, SERIES)), 0.0)
    start = [FIRST + timedelta(weeks=week) for week in range(weeks)]
    return pl.DataFrame({
        "week_start_date": [day for day in start for _ in range(SERIES)],
        "store": [f"s{number % 20}" for _ in start for number in range(SERIES)],
        "lag": demand.ravel(), "mean": mean.ravel(), "price": price.ravel(), "share": share.ravel(),
        "season": np.repeat(season, SERIES),
    })  # fmt: skip


def found(rows: pl.DataFrame, newest: pl.DataFrame | None = None) -> pl.DataFrame:
    """The verdict on the last week of a world; `newest` replaces it."""
    last = rows["week_start_date"].max()
    reference = rows.filter(pl.col("week_start_date") < last)
    bins = make_bins(reference, COLUMNS)
    current = rows.filter(pl.col("week_start_date") == last) if newest is None else newest
    counted = [histograms(part, bins, "week_start_date") for part in (reference, current)]
    return drift(counted[0], counted[1], THRESHOLDS)


def last_week(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("week_start_date") == rows["week_start_date"].max())


@given(COUNTS, COUNTS)
def test_psi_and_ks_are_those_of_a_loop(left: list[int], right: list[int]) -> None:
    size = min(len(left), len(right))
    reference, current = np.array(left[:size], float), np.array(right[:size], float)
    shares = []
    for counts in (reference, current):
        filled = [count or 0.5 for count in counts]
        shares.append([count / sum(filled) for count in filled])
    wanted = sum((q - p) * np.log(q / p) for p, q in zip(*shares, strict=True))
    assert psi(reference, current) == pytest.approx(wanted)
    if reference.sum() and current.sum():
        gaps = [
            abs(sum(reference[: end + 1]) / sum(reference) - sum(current[: end + 1]) / sum(current))
            for end in range(size)
        ]
        assert ks(reference, current) == pytest.approx(max(gaps))


def test_distances_come_close_to_those_of_single_values() -> None:
    random = np.random.default_rng(3)
    reference, current = random.normal(0, 1, 20_000), random.normal(0.4, 1.3, 5_000)
    rows = pl.DataFrame({"x": reference})
    (bins,) = make_bins(rows, ["x"], bins=100)
    parts = [histograms(pl.DataFrame({"x": values}), [bins]) for values in (reference, current)]
    held = [np.zeros((2, bins.count)) for _ in parts]
    for part, matrix in zip(parts, held, strict=True):
        matrix[0, part["bin"]], matrix[1, part["bin"]] = part["row_count"], part["value_sum"]
    exact = stats.ks_2samp(reference, current).statistic
    assert ks(held[0][0], held[1][0]) == pytest.approx(exact, abs=0.01)
    distance = stats.wasserstein_distance(reference, current) / reference.std()
    assert wasserstein(tuple(held[0]), tuple(held[1])) == pytest.approx(distance, rel=0.02)  # type: ignore[arg-type]


def test_usual_weeks_raise_few_alarms() -> None:
    """At most one in twenty; 200 weeks to certify."""
    weeks = tries(60, 200)
    alarms = [found(world(seed)) for seed in range(weeks)]
    assert sum(rows["is_drifted"].any() for rows in alarms) <= weeks // 20
    assert sum(rows["fault"].is_not_null().any() for rows in alarms) == 0


SHIFTS = {
    "demand doubled": ({"lag": pl.col("lag") * 2}, {"lag"}),
    "prices rose": ({"price": pl.col("price") + 0.5}, {"price"}),
    "promoted everywhere": ({"share": pl.col("share") + 0.5}, {"share"}),
}


@pytest.mark.parametrize("name", SHIFTS)
def test_a_planted_shift_is_found_in_its_columns_alone(name: str) -> None:
    change, wanted = SHIFTS[name]
    for seed in range(5):
        rows = world(seed)
        verdict = found(rows, last_week(rows).with_columns(**change))
        assert set(verdict.filter("is_drifted")["subject"]) == wanted
        assert verdict["fault"].drop_nulls().is_empty()


BREAKS = {
    "missing": ("price", {"price": pl.when(pl.col("store") < "s14").then(pl.col("price"))}),
    "unseen": ("store", {"store": pl.concat_str(pl.lit("id-"), "store")}),
    "constant": ("lag", {"lag": pl.lit(0.0)}),
    "scale": ("price", {"price": pl.col("price") * 100}),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_broken_data_is_told_from_a_market_that_moved(fault: str) -> None:
    subject, change = BREAKS[fault]
    rows = world(1)
    verdict = found(rows, last_week(rows).with_columns(**change))
    assert verdict.filter(pl.col("fault").is_not_null()).select("subject", "fault").rows() == [(subject, fault)]


def test_half_a_delivery_is_broken_data() -> None:
    rows = world(1)
    verdict = found(rows, last_week(rows).head(SERIES // 3))
    assert set(verdict["fault"]) == {"rows"}


def test_few_weeks_of_reference_say_nothing() -> None:
    rows = world(1, weeks=7)
    verdict = found(rows, last_week(rows).with_columns(price=pl.col("price") + 0.5))
    assert not verdict["is_drifted"].any()
    assert verdict["p_value"].to_list() == [1.0] * len(COLUMNS)


def test_the_verdict_is_a_row_per_week_and_column_and_no_order_changes_it() -> None:
    rows = world(4)
    later = pl.concat([last_week(rows), last_week(rows).with_columns(pl.col("week_start_date") + timedelta(weeks=1))])
    verdict = found(rows, later)
    assert dict(verdict.schema) == dict(DRIFT_SCHEMA)
    assert verdict.height == 2 * len(COLUMNS)
    assert verdict.head(len(COLUMNS)).drop("week_start_date").equals(verdict.tail(len(COLUMNS)).drop("week_start_date"))
    mixed = found(rows.sample(fraction=1, shuffle=True, seed=1), later.sample(fraction=1, shuffle=True, seed=2))
    assert mixed.select("week_start_date", "subject", "is_drifted", "psi", "ks").equals(
        verdict.select("week_start_date", "subject", "is_drifted", "psi", "ks")
    )


def test_a_column_without_reference_is_refused() -> None:
    rows = world(1)
    counted = histograms(rows, make_bins(rows, ["lag", "price"]), "week_start_date")
    with pytest.raises(BadFrame, match="no histogram"):
        drift(counted.filter(pl.col("subject") == "lag"), counted, THRESHOLDS)


def test_the_error_of_a_week_is_held_against_those_of_the_backtest() -> None:
    random = np.random.default_rng(5)
    draws = random.normal(-0.1, 0.05, (4000, 9))
    alarms = [p for *usual, new in draws if (p := error_drift(usual, new)) is not None and p <= 0.05]
    assert 0.03 < len(alarms) / len(draws) <= 0.06
    assert error_drift([-0.1, -0.12, -0.08, -0.11], 0.2) < 0.01  # type: ignore[operator]
    assert error_drift([-0.1, -0.1], 0.2) is None
    assert error_drift([-0.1, -0.1, float("-inf")], 0.2) is None
