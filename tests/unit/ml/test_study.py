"""The study: equal inputs give equal trials, the test period is out of reach, and luck chooses nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from ml.backtest import BacktestPlan, backtest
from ml.evaluation_differences import wape_difference
from ml.features import TARGET_WEEK
from ml.frame_checks import BadFrame
from ml.splits import Fold, SeriesTooShort, rolling_origin
from ml.study import COMPLETE, PRUNED, SCHEMA, SPACE, UNJUDGED, Study, StudyPlan, folds_before, run_study
from ml.training import TrainConfig
from tests.unit.ml.demand_data import business_weeks
from tests.unit.ml.prepared_data import HORIZONS, SMALL, Prepared

SMALL_SPACE: dict[str, BaseDistribution] = {
    "iterations": IntDistribution(4, 12),
    "depth": IntDistribution(2, 4),
    "learning_rate": FloatDistribution(0.1, 0.6, log=True),
    "half_life_weeks": CategoricalDistribution((None, 8.0)),
}


def folds_of(prepared: Prepared, folds: int = 3) -> tuple[Fold, ...]:
    """Folds before the backtest of `prepared`, closer together than a lake's, so that a small demand holds them."""
    weeks = [week for week in prepared.demand.weeks if week <= prepared.folds[0].cutoff]
    return tuple(rolling_origin(weeks, folds, max(HORIZONS), 1, calibration_weeks=4, min_train_cutoffs=5))


@pytest.fixture(scope="module")
def plan(prepared: Prepared) -> StudyPlan:
    return StudyPlan(folds_of(prepared), 6, config=SMALL, space=SMALL_SPACE)


@pytest.fixture(scope="module")
def study(prepared: Prepared, plan: StudyPlan) -> Study:
    return run_study(prepared.features, prepared.labels, plan)


def test_equal_rows_seed_and_budget_give_equal_trials(prepared: Prepared, plan: StudyPlan, study: Study) -> None:
    shuffled = prepared.features.sample(fraction=1.0, shuffle=True, seed=3)
    again = run_study(shuffled, prepared.labels.reverse(), plan)
    assert again.trials.equals(study.trials)
    assert again.chosen == study.chosen
    other = run_study(prepared.features, prepared.labels, replace(plan, seed=8))
    assert other.trials["parameters"][0] == study.trials["parameters"][0]
    assert other.trials["parameters"].to_list()[1:] != study.trials["parameters"].to_list()[1:]


def test_no_row_of_the_test_period_has_a_say(prepared: Prepared, plan: StudyPlan, study: Study) -> None:
    until = prepared.folds[0].cutoff
    assert study.trials["last_target_week_start_date"].unique().to_list() == [until]
    features, labels = (disturbed(frame, pl.col(TARGET_WEEK) > until) for frame in (prepared.features, prepared.labels))
    assert not features.equals(prepared.features)
    assert not labels.equals(prepared.labels)
    assert run_study(features, labels, plan).trials.equals(study.trials)
    early = [frame.filter(pl.col(TARGET_WEEK) <= until) for frame in (prepared.features, prepared.labels)]
    assert run_study(*early, plan).trials.equals(study.trials)
    # The disturbance would show: the last week that the study may see does.
    assert not run_study(
        prepared.features, disturbed(prepared.labels, pl.col(TARGET_WEEK) == until), plan
    ).trials.equals(study.trials)


def disturbed(frame: pl.DataFrame, rows: pl.Expr) -> pl.DataFrame:
    """Every number of the chosen rows moved; keys stay."""
    keys = {"store_id", "product_group", "week_start_date", "horizon_weeks"}
    numbers = [name for name, dtype in frame.schema.items() if dtype.is_numeric() and name not in keys]
    moved = [pl.when(rows).then(pl.col(name) * 2 + 3).otherwise(name).cast(frame.schema[name]) for name in numbers]
    return frame.with_columns(moved)


def test_the_folds_end_before_the_test_period_begins() -> None:
    weeks = business_weeks(49)
    for horizon, step in ((4, 2), (1, 1), (3, 4)):
        test = rolling_origin(weeks, 3, horizon, step)[0]
        found = folds_before(test, weeks, 2, horizon, step)
        assert [fold.cutoff for fold in found] == [
            test.cutoff - timedelta(weeks=horizon + step), test.cutoff - timedelta(weeks=horizon)
        ]  # fmt: skip
    with pytest.raises(SeriesTooShort):
        folds_before(rolling_origin(weeks, 4, 4, 2)[0], weeks, 5, 4, 2)


def test_a_trial_is_as_good_as_the_backtest_of_its_configuration(
    prepared: Prepared, plan: StudyPlan, study: Study
) -> None:
    for row in study.trials.filter(pl.col("state") == COMPLETE).head(2).iter_rows(named=True):
        config = replace(SMALL, **json.loads(row["parameters"]))
        scored, _ = backtest(prepared.features, prepared.labels, BacktestPlan(plan.folds, config=config))
        own = scored.filter(pl.col("method") == "catboost")
        expected = []
        for fold in plan.folds:
            errors = [
                (abs(actual - p50), actual)
                for cutoff, actual, p50 in own.select("cutoff_week_start_date", "actual", "p50").iter_rows()
                if cutoff == fold.cutoff
            ]
            expected.append(100 * sum(error for error, _ in errors) / sum(actual for _, actual in errors))
        assert json.loads(row["fold_wapes"]) == pytest.approx(expected)
        assert row["wape"] == pytest.approx(sum(expected) / len(expected))


def test_the_rows_say_what_was_chosen(study: Study) -> None:
    trials = study.trials
    assert dict(trials.schema) == dict(SCHEMA)
    assert trials["trial"].to_list() == list(range(6))
    complete = trials.filter(pl.col("state") == COMPLETE)
    best = complete.sort("wape", "trial").row(0, named=True)
    assert trials.filter("is_best")["trial"].to_list() == [best["trial"]]
    is_sure = best["difference_upper"] is not None and best["difference_upper"] < 0
    assert trials.filter("is_chosen")["trial"].to_list() == [best["trial"] if is_sure else 0]
    first = trials.row(0, named=True)
    assert json.loads(first["parameters"]) == {
        "depth": 3, "half_life_weeks": None, "iterations": 8, "learning_rate": 0.3
    }  # fmt: skip
    assert (first["state"], first["difference"]) == (COMPLETE, None)


def test_a_surely_better_trial_is_chosen(prepared: Prepared, plan: StudyPlan) -> None:
    poor, space = replace(SMALL, iterations=1), {"iterations": CategoricalDistribution((1, 60))}
    # The second week ahead sells twice as much in every series, which one tree is too few to learn.
    more = 100 * pl.col("horizon_weeks").cast(pl.Int64)
    labels = prepared.labels.with_columns(transactions=pl.col("transactions") + more)
    study = run_study(prepared.features, labels, replace(plan, config=poor, space=space, trials=5))
    chosen = study.trials.filter("is_chosen").row(0, named=True)
    assert chosen["trial"] > 0
    assert chosen["difference_upper"] < 0
    assert study.chosen == replace(poor, iterations=60)


def test_a_better_trial_that_may_be_luck_is_not_chosen(prepared: Prepared, plan: StudyPlan) -> None:
    """The same difference is sure at even odds and not at the confidence asked for."""
    eager = run_study(prepared.features, prepared.labels, replace(plan, confidence=0.01))
    wary = run_study(prepared.features, prepared.labels, replace(plan, confidence=0.999999))
    best = [found.trials.filter("is_best").row(0, named=True) for found in (eager, wary)]
    assert best[0]["trial"] == best[1]["trial"] > 0
    assert best[0]["difference"] == best[1]["difference"] < 0
    assert best[0]["difference_upper"] < best[1]["difference_upper"]
    assert wary.chosen == SMALL


def test_a_tie_keeps_the_default(prepared: Prepared, plan: StudyPlan) -> None:
    same = {name: CategoricalDistribution((getattr(SMALL, name),)) for name in SMALL_SPACE}
    study = run_study(prepared.features, prepared.labels, replace(plan, space=same, trials=3))
    assert study.trials["wape"].n_unique() == 1
    assert study.trials.filter(pl.col("is_best") | pl.col("is_chosen"))["trial"].to_list() == [0]
    assert study.trials["difference"].to_list() == [None, 0.0, 0.0]
    assert study.chosen == SMALL


def test_a_poor_trial_is_given_up_and_never_best(prepared: Prepared, plan: StudyPlan) -> None:
    poor: dict[str, BaseDistribution] = {"learning_rate": CategoricalDistribution((0.3, 0.001))}
    study = run_study(prepared.features, prepared.labels, replace(plan, space=poor, trials=12))
    given_up = study.trials.filter(pl.col("state") == PRUNED)
    assert given_up.height
    assert set(given_up["parameters"]) == {'{"learning_rate":0.001}'}
    assert given_up["fold_wapes"].str.json_decode(pl.List(pl.Float64)).list.len().max() < len(plan.folds)  # type: ignore[operator]
    assert given_up["wape"].null_count() == given_up["difference"].null_count() == given_up.height
    assert not given_up.select(pl.any_horizontal("is_best", "is_chosen").any()).item()


@pytest.mark.parametrize("missing", ["budget", "folds"])
def test_without_budget_or_folds_the_default_stands_unjudged(prepared: Prepared, plan: StudyPlan, missing: str) -> None:
    empty = replace(plan, trials=0) if missing == "budget" else replace(plan, folds=())
    study = run_study(prepared.features, prepared.labels, empty)
    row = study.trials.row(0, named=True)
    assert dict(study.trials.schema) == dict(SCHEMA)
    assert (study.trials.height, row["state"], row["is_best"], row["is_chosen"]) == (1, UNJUDGED, True, True)
    assert row["wape"] is row["difference"] is row["last_target_week_start_date"] is None
    assert study.chosen == SMALL


def test_one_series_says_nothing_about_noise(prepared: Prepared, plan: StudyPlan) -> None:
    alone = (pl.col("store_id") == "s1") & (pl.col("product_group") == prepared.features["product_group"][0])
    features, labels = prepared.features.filter(alone), prepared.labels.filter(alone)
    assert features.height
    study = run_study(features, labels, plan)
    assert study.trials["difference"].null_count() == study.trials.height
    assert study.chosen == SMALL


def test_the_interval_is_that_of_the_comparison_shared_out_among_the_rivals(
    prepared: Prepared, plan: StudyPlan
) -> None:
    one = run_study(prepared.features, prepared.labels, replace(plan, trials=2)).trials.row(1, named=True)
    tried = replace(SMALL, **json.loads(one["parameters"]))
    rows = [
        backtest(prepared.features, prepared.labels, BacktestPlan(plan.folds, config=config))[0].filter(
            pl.col("method") == "catboost"
        )
        for config in (tried, SMALL)
    ]
    both = rows[0].with_columns(rival=rows[1]["p50"])
    expected = wape_difference(both, "p50", "rival", confidence=0.95)
    found = (one["difference"], one["difference_lower"], one["difference_upper"])
    assert found == pytest.approx((expected.estimate, expected.lower, expected.upper))


def test_progress_counts_every_trial(prepared: Prepared, plan: StudyPlan) -> None:
    steps: list[tuple[int, int, str]] = []
    run_study(prepared.features, prepared.labels, replace(plan, trials=2), lambda *step: steps.append(step))
    assert [(done, total) for done, total, _ in steps] == [(1, 2), (2, 2)]
    assert steps[0][2].startswith("trial 0: WAPE ")


def test_wrong_plans_are_refused(prepared: Prepared, plan: StudyPlan) -> None:
    with pytest.raises(ValueError, match="trials must be at least 0"):
        replace(plan, trials=-1)
    with pytest.raises(ValueError, match="depth"):
        replace(plan, config=replace(SMALL, depth=9))
    nothing = prepared.labels.with_columns(transactions=pl.lit(0, dtype=pl.Int64))
    with pytest.raises(BadFrame, match="Nothing was sold"):
        run_study(prepared.features, nothing, plan)


def test_the_default_configuration_lies_in_the_declared_space() -> None:
    assert StudyPlan((), 0).parameters(TrainConfig()).keys() == SPACE.keys()
