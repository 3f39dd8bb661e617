"""The drivers of an issue as a table: its contract holds for what the model says and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import duckdb
import polars as pl
import pytest

from assets.insights.drivers import stability_table
from checks.contracts.loader import load_contracts
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan, failures_aggregate_sql
from checks.contracts.rule_sql import with_relations
from cli.drivers import summary
from ml.driver_stability import Refits, refits, with_stability
from ml.drivers import decompose
from ml.features import compute_features
from ml.forecaster import calibrate_baseline, fit_calibrated, labelled, training_rows
from ml.labels import build_labels
from ml.packaging import model_version
from ml.splits import rolling_origin
from ml.training import TrainConfig
from resources.conform import conform
from resources.plots import driver_bars
from tests.unit.ml.demand_data import make_demand

CONTRACT = load_contracts()["insights", "demand_drivers"]
HORIZONS = (1, 2)


def made(*left_to_ses: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """insights.demand_drivers of one issue and forecasts.demand_forecasts of it and one before."""
    demand = make_demand(seed=21, weeks=34, stores=4, groups=2)
    features = compute_features(demand.series, demand.plans, demand.weeks[4:], HORIZONS)
    rows = labelled(features, build_labels(demand.series, HORIZONS), "transactions")
    fold = rolling_origin(demand.weeks, 1, 2, 2, calibration_weeks=4, min_train_cutoffs=5)[-1]
    config = TrainConfig(iterations=8, depth=3, learning_rate=0.3, thread_count=1)
    ses = calibrate_baseline(rows, fold, "transactions", "ses")
    fitted = replace(fit_calibrated(rows, fold, "transactions", config), fallback=dict.fromkeys(left_to_ses, ses))
    models = refits(training_rows(rows, fold), "transactions", config, Refits(count=2))
    issues = features.filter(pl.col("week_start_date").is_in(demand.weeks[-2:]))
    newest = issues.filter(pl.col("week_start_date") == demand.weeks[-1])
    stamps = {"issued_as_of": datetime(2017, 8, 21, tzinfo=UTC), "measure": "transactions"}
    stamped = [pl.lit(value).alias(name) for name, value in (*stamps.items(), ("model_version", model_version(fitted)))]
    drivers = with_stability(decompose(fitted, newest), newest, models).with_columns(stamped)
    forecasts = fitted.forecast(issues).rename({"week_start_date": "issue_week_start_date"})
    return drivers, forecasts.with_columns(stamped).with_columns(method=pl.lit("catboost"))


@pytest.fixture(scope="module")
def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    return made()


def broken_rules(drivers: pl.DataFrame, forecasts: pl.DataFrame) -> set[str]:
    """The rules of the contract that rows break, by DuckDB."""
    plan = compile_plan(to_pandera(CONTRACT))
    engine = duckdb.connect()
    engine.execute("CREATE MACRO rlike(value, pattern) AS regexp_matches(value, pattern)")
    engine.execute("CREATE MACRO date_add(day, days) AS day + CAST(days AS INTEGER)")
    engine.register("drivers", conform(drivers, CONTRACT))
    engine.register("forecasts", forecasts.to_arrow())
    counts = engine.execute(failures_aggregate_sql(plan.row_rules, "drivers")).fetchall()[0][1:]
    broken = {rule.id for rule, count in zip(plan.row_rules, counts, strict=True) if count}
    for rule in plan.table_rules:
        if engine.execute(with_relations(rule.sql.query, "drivers", "forecasts")).fetchall():
            broken.add(rule.id)
    return broken


def test_what_the_model_says_fulfils_the_contract(tables: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    drivers, forecasts = tables
    assert drivers["issue_week_start_date"].n_unique() == 1 < forecasts["issue_week_start_date"].n_unique()
    assert broken_rules(drivers, forecasts) == set()


def test_a_group_that_falls_back_has_no_drivers_and_breaks_no_rule(tables: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    drivers, forecasts = made("g1")
    assert forecasts["product_group"].unique().sort().to_list() == ["g0", "g1"]
    assert drivers["product_group"].unique().to_list() == ["g0"]
    assert broken_rules(drivers, forecasts) == set()
    own = tables[0].filter(pl.col("product_group") == "g0")
    assert drivers.drop("model_version").equals(own.drop("model_version"))
    assert made("g0", "g1")[0].is_empty()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (pl.col("contribution") + 0.01, "adds_up_to_the_forecast"),
        (pl.col("p50") + 1, "is_the_published_forecast"),
        (pl.lit(0.0).alias("counterfactual"), "counterfactual_of_promotions"),
        (pl.lit("average").alias("part"), "unexplained_is_of_publishing"),
        (pl.lit(2, dtype=pl.Int32).alias("refit_count"), "refits_of_explained_parts"),
        (pl.col("horizon_weeks") + 1, "target_follows_horizon"),
    ],
)
def test_other_rows_break_it(tables: tuple[pl.DataFrame, pl.DataFrame], change: pl.Expr, rule: str) -> None:
    drivers, forecasts = tables
    assert rule in broken_rules(drivers.with_columns(change), forecasts)


def test_a_summary_adds_up_to_its_forecasts(tables: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    drivers, forecasts = tables
    some = drivers.filter(pl.col("store_id") == "s1")
    found = summary(some)
    issue = forecasts.filter(pl.col("issue_week_start_date") == found["issue_week_start_date"])
    wanted = issue.filter(pl.col("store_id") == "s1")
    assert found["forecasts"] == wanted.height
    assert found["p50"] == pytest.approx(wanted["p50"].sum())
    assert sum(row["contribution"] for row in found["drivers"]) == pytest.approx(found["p50"], abs=1e-6)
    assert found["refits"] == 2
    names = [(row["driver"], row["part"]) for row in found["drivers"]]
    assert names[0] == ("base", "average")
    assert [driver for driver, _ in names[-3:]] == ["unexplained"] * 3
    display = next(row for row in found["drivers"] if row["driver"] == "display")
    own = some.filter(pl.col("driver") == "display")
    weights = own["contribution"].abs()
    assert display["counterfactual"] == pytest.approx(own["counterfactual"].sum())
    agreeing = (weights * own["same_sign_share"].fill_null(0)).sum()
    assert display["same_sign_share"] == (pytest.approx(agreeing / weights.sum()) if weights.sum() else None)


def test_plot_and_table_of_an_issue_follow_the_rows(tables: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    drivers, _ = tables
    assert driver_bars(drivers) == driver_bars(drivers)
    more = drivers.with_columns(pl.col("contribution") * 2)
    assert driver_bars(more) != driver_bars(drivers)
    lines = stability_table(drivers).splitlines()
    assert len(lines) == 2 + drivers.unique(["driver", "part"]).height
    total = Decimal(str(round(drivers.filter(pl.col("part") == "average")["contribution"].sum(), 1)))
    assert lines[2].startswith(f"| base (average) | {total:+,}")
    with pytest.raises(ValueError, match="drivers: no rows to plot"):
        driver_bars(drivers.clear())
