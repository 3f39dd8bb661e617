"""Folds: nothing is learned from, or calibrated on, before it was known."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from ml.splits import Fold, SeriesTooShort, rolling_origin
from tests.unit.ml.demand_data import business_weeks

WEEKS = business_weeks(49)
HORIZON = 4


def pairs(weeks: list[date]) -> pl.DataFrame:
    rows = [(week, week + timedelta(days=7 * h), h) for week in weeks for h in range(1, HORIZON + 1)]
    return pl.DataFrame(rows, schema=["week_start_date", "target_week_start_date", "horizon_weeks"], orient="row")


def weeks_between(start: date, end: date) -> int:
    return (end - start).days // 7


@pytest.mark.parametrize("gap", [0, 2])
@pytest.mark.parametrize("train_step", [1, 2])
def test_each_part_holds_only_what_was_known(gap: int, train_step: int) -> None:
    folds = rolling_origin(WEEKS, 3, HORIZON, 2, gap, train_step=train_step, calibration_weeks=5, min_train_cutoffs=5)
    rows = pairs(WEEKS)
    for fold in folds:
        training, held_out = rows.filter(fold.is_training), rows.filter(fold.is_calibration)
        known, test = rows.filter(fold.is_known), rows.filter(fold.is_test)
        latest_known = fold.cutoff - timedelta(days=7 * gap)
        assert known["target_week_start_date"].max() == latest_known
        assert held_out["target_week_start_date"].max() == latest_known
        first_forecast = held_out["week_start_date"].min()
        assert training["target_week_start_date"].max() <= first_forecast - timedelta(days=7 * gap)
        assert set(training.rows()).isdisjoint(held_out.rows())
        assert set(known.rows()).isdisjoint(test.rows())
        assert test["horizon_weeks"].to_list() == [1, 2, 3, 4]
        per_horizon = held_out.group_by("horizon_weeks").len().sort("horizon_weeks")["len"].to_list()
        assert per_horizon == [5] * HORIZON
        assert set(fold.train_cutoffs) == set(training["week_start_date"])


def test_folds_are_a_step_apart_and_end_at_the_last_testable_week() -> None:
    folds = rolling_origin(WEEKS, 5, HORIZON, 2)
    assert [weeks_between(WEEKS[0], fold.cutoff) + 1 for fold in folds] == [37, 39, 41, 43, 45]


def test_a_fold_to_forecast_with_sits_at_the_newest_week() -> None:
    fold = rolling_origin(WEEKS, 1, HORIZON, 1, last_cutoff=WEEKS[-1])[0]
    assert fold.cutoff == WEEKS[-1]
    assert pairs(WEEKS).filter(fold.is_known)["target_week_start_date"].max() == WEEKS[-1]


def test_training_cutoffs_are_thinned_from_the_newest() -> None:
    every, thinned = (rolling_origin(WEEKS, 1, HORIZON, 1, train_step=step, min_train_cutoffs=5)[0] for step in (1, 3))
    assert thinned.train_cutoffs == every.train_cutoffs[::-1][::3][::-1]
    assert thinned.known_cutoffs == every.known_cutoffs[::-1][::3][::-1]
    assert thinned.calibration_cutoffs == every.calibration_cutoffs


def test_too_short_a_history_is_refused_with_the_number_of_weeks_it_takes() -> None:
    with pytest.raises(SeriesTooShort, match=r"Cover (\d+) weeks") as refused:
        rolling_origin(business_weeks(20), 3, HORIZON, 2)
    needed = int(str(refused.value).split("Cover ")[1].split()[0])
    assert rolling_origin(business_weeks(needed), 3, HORIZON, 2)
    with pytest.raises(SeriesTooShort):
        rolling_origin(business_weeks(needed - 1), 3, HORIZON, 2)
    with pytest.raises(SeriesTooShort, match="not among the weeks"):
        rolling_origin(WEEKS, 1, HORIZON, 1, last_cutoff=date(2030, 1, 7))


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="must be >= 1"):
        rolling_origin(WEEKS, 0, HORIZON, 1)
    with pytest.raises(ValueError, match="contiguous"):
        rolling_origin([*WEEKS[:4], *WEEKS[5:]], 1, HORIZON, 1)


def test_a_fold_is_plain_data() -> None:
    fold = rolling_origin(WEEKS, 1, HORIZON, 1)[0]
    assert isinstance(fold, Fold)
    assert hash(fold) == hash(rolling_origin(WEEKS, 1, HORIZON, 1)[0])
