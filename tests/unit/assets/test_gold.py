"""What gold says of weeks that the source does not cover, and of outcomes that nobody could know yet."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg
import polars as pl
import pytest

from assets.gold.demand import partial_weeks
from assets.gold.training_sets import ordinal_of, training_rows
from assets.graph import replaced_rows
from checks.contracts.loader import load_contracts
from ml.features import compute_features
from ml.labels import build_labels
from tests.unit.ml.demand_data import make_demand

WEEKS = [date(2017, 1, 2) + timedelta(weeks=number) for number in range(5)]


def test_a_week_of_which_a_day_is_missing_is_partial():
    assert partial_weeks(WEEKS, date(2017, 1, 2), date(2017, 2, 5)) == []
    assert partial_weeks(WEEKS, date(2017, 1, 3), date(2017, 2, 4)) == [WEEKS[0], WEEKS[4]]


def test_a_week_before_the_first_or_after_the_last_receipt_is_not_one_without_demand():
    assert partial_weeks(WEEKS, date(2017, 1, 9), date(2017, 1, 22)) == [WEEKS[0], WEEKS[3], WEEKS[4]]


@pytest.mark.parametrize(
    ("span", "end", "until"),
    [
        ("closed", "2017-01-16", "9999-12-31"),
        ("closed", "2017-01-09", "2017-01-09"),
        ("issue", "2017-01-16", "2017-01-16"),
    ],
)
def test_a_run_up_to_the_last_wanted_week_takes_what_lies_after_it(span: str, end: str, until: str):
    labels = load_contracts()["gold", "demand_labels"]
    found = replaced_rows(labels, dg.PartitionKeyRange("2017-01-02", end), span, date(2017, 1, 16))
    assert found == f"target_week_start_date BETWEEN DATE'2017-01-02' AND DATE'{until}'"


def test_a_training_set_never_holds_an_outcome_that_matures_after_its_clock():
    demand = make_demand(seed=4, weeks=12)
    features = compute_features(demand.series, demand.plans, demand.weeks, (1, 3))
    labels = build_labels(demand.series, (1, 3))
    as_of = labels["matures_at"].unique().sort()[5]
    found = training_rows(features, labels, as_of)
    assert found["matures_at"].max() == as_of
    assert found.height == labels.filter(pl.col("matures_at") <= as_of).height < labels.height
    a_moment_before = training_rows(features, labels, as_of - timedelta(microseconds=1))
    assert a_moment_before["matures_at"].max() < as_of
    with pytest.raises(ValueError, match="nothing to learn from yet"):
        training_rows(features, labels, labels["matures_at"].min() - timedelta(microseconds=1))


def test_a_training_set_says_which_outcomes_are_censored():
    demand = make_demand(seed=4, weeks=12)
    features = compute_features(demand.series, demand.plans, demand.weeks, (1,))
    labels = build_labels(demand.series, (1,)).with_columns(censoring=pl.lit("stock_out"))
    found = training_rows(features, labels, labels["matures_at"].max())
    assert found["censoring"].to_list() == ["stock_out"] * labels.height


def test_of_several_training_sets_the_last_one_made_has_the_highest_ordinal():
    made = pl.DataFrame({"training_set_id": ["b", "old", "a"], "ordinal": [2, None, 1]})
    assert ordinal_of("a", None) == ordinal_of("a", made.filter(pl.col("training_set_id") == "old")) == 1
    assert ordinal_of("a", made.drop("ordinal")) == 1
    assert ordinal_of("b", made) == 2
    assert ordinal_of("c", made) == ordinal_of("a", made) == 3
