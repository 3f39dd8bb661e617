"""The whole graph on a seeded sample of the real data: built, rebuilt without work, moved on by a week.

One lake for this module and those after it (model, rotation, trouble), because a lake takes minutes; the tests read it
in the order in which its story goes.
"""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from checks.contracts.loader import load_contracts
from checks.contracts.presence import present
from ml.fallback import choose_fallback
from ml.features import FEATURE_KEY
from ml.labels import build_labels
from resources.mapping import load_mapping
from resources.settings import load_settings
from tests.e2e.conftest import SampleLake
from tests.receivers import Receiver

pytestmark = [pytest.mark.spark, pytest.mark.e2e]


def test_every_record_is_accounted_for(sample: SampleLake, built: dict[str, Any]):
    sources = {"pos_lines": "transactions", "promotions": "promotions", "products": "products", "offers": "coupons"}
    for table, file in sources.items():
        row = built["tables"][f"bronze.{table}"]
        received = pl.scan_parquet(sample.files / f"{file}.parquet").select(pl.len()).collect().item()
        assert row["received"] == received == row["accepted"] + row["quarantined"] + row["duplicates"]


def test_no_feature_of_the_lake_knows_the_future(sample: SampleLake, built: dict[str, Any]):
    proof = sample.liftlake("leakage", "--cutoffs", "2")
    assert (len(proof["cutoffs"]), proof["leaks"]) == (2, [])


def test_every_table_is_published_and_fresh(built: dict[str, Any]):
    late = [name for name, row in built["tables"].items() if not row["fresh"]]
    assert late == []
    assert built["tables"]["forecasts.demand_forecasts"]["rows"] > 0
    assert built["champions"]["demand"]["model_version"]


def test_programs_are_told_while_it_is_made(sample: SampleLake, built: dict[str, Any], told: Receiver):
    promoted, issued = (body for _, body in told.got)
    champion = built["champions"]["demand"]["model_version"]
    assert (promoted["type"], promoted["data"]["model_version"]) == ("liftlake.model.promoted", champion)
    assert (issued["type"], issued["data"]["model_version"]) == ("liftlake.forecast.published", champion)
    rows = sample.table("forecasts.demand_forecasts")
    assert issued["data"]["series_count"] == rows.select("store_id", "product_group").n_unique()
    listed = sample.liftlake("events", "list")["events"]
    assert listed == [{**body, "waits_for": []} for body in (promoted, issued)]
    assert sample.liftlake("events", "send") == {"taken": {"webhook": 0}, "problems": []}


def test_the_model_is_trained_as_the_study_chose(sample: SampleLake, built: dict[str, Any]):
    trials = sample.table("models.demand_studies")
    assert trials.height == load_settings(sample.environment).lake.study.trials
    (chosen,) = trials.filter("is_chosen")["parameters"].to_list()
    (parameters,) = sample.table("models.demand_models")["parameters"].to_list()
    assert json.loads(chosen).items() <= json.loads(parameters).items()
    backtested = sample.table("models.demand_backtest")["cutoff_week_start_date"]
    assert trials["last_target_week_start_date"].unique().to_list() == [backtested.min()]


def test_the_model_leaves_to_baselines_what_the_comparisons_say(sample: SampleLake, built: dict[str, Any]):
    wanted = choose_fallback(sample.table("models.demand_comparisons"))
    (fallback,) = sample.table("models.demand_models")["fallback"].to_list()
    assert json.loads(fallback or "{}") == wanted
    shown = sample.liftlake("forecast", "show")
    assert (shown["method"], shown["fallback"]) == ("catboost", wanted)


def test_a_feature_names_the_models_that_use_it(sample: SampleLake, built: dict[str, Any]):
    champion = built["champions"]["demand"]["model_version"]
    (used_by,) = sample.liftlake("features", "transactions_mean_8")["models"]
    assert (used_by["model_version"], used_by["is_champion"]) == (champion, True)
    everything = sample.liftlake("features")
    assert everything["champion"] == champion
    assert sum(row["champion_importance_percent"] for row in everything["features"]) == pytest.approx(100)


def test_weeks_reconcile_with_the_files_computed_by_another_engine(sample: SampleLake, built: dict[str, Any]):
    """Transactions, units and sales per week: DuckDB over the source files against the silver table."""
    source = duckdb.sql(
        "SELECT DATE '2016-12-26' + CAST(7 * (week - 1) AS INT) AS week, COUNT(DISTINCT basket_id) AS transactions, "
        "SUM(quantity) AS units, CAST(SUM(CAST(sales_value AS DECIMAL(18,4))) AS DECIMAL(18,4)) AS sales "
        f"FROM '{sample.files}/transactions.parquet' GROUP BY 1 ORDER BY 1"
    ).fetchall()
    silver = sample.liftlake("check", "silver.fct_receipt_lines")
    assert silver["failed"] == silver["not_run"] == 0
    held = sample.table("silver.fct_receipt_lines")
    weekly = (
        held.group_by("week_start_date")
        .agg(
            pl.col("transaction_id").n_unique(),
            pl.col("quantity_units").sum().cast(pl.Int64),
            pl.col("sales_amount_usd").sum(),
        )
        .sort("week_start_date")
        .rows()
    )
    assert weekly == [tuple(row) for row in source]


def test_no_raw_household_id_passes_silver(sample: SampleLake, built: dict[str, Any]):
    held = sample.table("silver.fct_receipt_lines")
    assert held["household_token"].str.contains(r"^hk1_[0-9a-f]{64}$").all()
    assert "household_id" not in held.columns


def test_a_second_run_makes_nothing(sample: SampleLake, built: dict[str, Any]):
    again = sample.liftlake("demo")
    assert again["work"] == []
    assert {name: row["version"] for name, row in again["tables"].items()} == {
        name: row["version"] for name, row in built["tables"].items()
    }
    assert again["champions"] == built["champions"]


def test_all_checks_pass_and_are_at_least_the_blocking_rules(sample: SampleLake, built: dict[str, Any]):
    result = sample.liftlake("check", "--all")
    delivered = load_mapping("completejourney").having(()).delivered
    rules = sum(len(contract.blocking_rules) for contract in present(load_contracts(), delivered).values())
    assert result["failed"] == result["not_run"] == 0
    assert result["passed"] >= rules


def test_expected_values_add_up_in_another_engine(sample: SampleLake, built: dict[str, Any]):
    with duckdb.connect() as engine:
        engine.register("totals", sample.table("forecasts.demand_totals"))
        gaps = engine.execute("""
            SELECT sum(expected) FILTER (level = 'series') - sum(expected) FILTER (level = 'total'),
                   sum(expected) FILTER (level = 'store') - sum(expected) FILTER (level = 'product_group'),
                   sum(expected) FILTER (level = 'series')
            FROM totals GROUP BY horizon_weeks ORDER BY horizon_weeks""").fetchall()
    assert {(gap, other) for gap, other, _ in gaps} == {(0, 0)}
    shown = sample.liftlake("forecast", "show")["expected"]
    assert [row["expected"] for row in shown] == [float(total) for *_, total in gaps]


def test_the_report_is_one_page_without_links(sample: SampleLake, built: dict[str, Any]):
    page = Path(sample.liftlake("report")["path"]).read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert len(page) > 20_000


def test_the_next_week_keeps_the_old_vintage(sample: SampleLake, built: dict[str, Any]):
    tables = ("forecasts.demand_forecasts", "forecasts.demand_totals")
    before = [sample.table(name) for name in tables]
    moved = sample.liftlake("demo", "--next-week")
    rebuilt = {row["table"]: row["weeks"] for row in moved["work"]}
    assert rebuilt["gold.demand_features"] == rebuilt["gold.demand_labels"] == ["2017-12-04"]
    horizons = load_settings().lake.forecast.horizons_weeks
    known = sample.table("gold.demand_series").filter(pl.col("week_start_date") <= date(2017, 12, 4))
    labels, whole = sample.table("gold.demand_labels"), build_labels(known, horizons)
    assert labels.select(whole.columns).sort(FEATURE_KEY).equals(whole.sort(FEATURE_KEY))
    assert "models.demand_models" in rebuilt
    assert not {"silver.fct_receipt_lines", "models.demand_studies"} & set(rebuilt)
    key = ["issue_week_start_date", "store_id", "product_group", "horizon_weeks", "method"]
    for name, old in zip(tables, before, strict=True):
        after = sample.table(name)
        kept = after.filter(pl.col("issue_week_start_date") == old["issue_week_start_date"][0])
        assert after.height > kept.height > 0
        assert kept.sort(key).equals(old.sort(key))
    accuracy = sample.table("forecasts.forecast_accuracy")
    assert set(accuracy["horizon_weeks"]) == {1}


def test_an_older_training_set_and_its_model_are_made_again(sample: SampleLake, built: dict[str, Any]):
    """A week has passed: tables have later versions, and another model has been trained."""
    version = built["champions"]["demand"]["model_version"]
    (first, _) = sample.liftlake("trainset", "list")["training_sets"]
    copy = sample.home / "artifacts" / first["content_path"]
    rows = pl.read_parquet(copy)
    copy.unlink()
    made = sample.liftlake("trainset", "rebuild", first["training_set_id"][:12])
    assert (made["is_identical"], made["source"], made["rows"]) == (True, "the lake", rows.height)
    assert sample.liftlake("trainset", "rebuild", first["training_set_id"])["source"] == "its copy"
    shutil.rmtree(sample.home / "artifacts" / "models" / version)
    fits = sample.liftlake("train", "--manifest", version, "--times", "2")
    assert (fits["rebuilt"], fits["differs_in"], fits["environment"]) == ([version] * 2, [], [])
    assert sample.liftlake("train", "--manifest", version)["is_identical"]
    asked = [sample.liftlake("champion", "--at", f"2017-12-{day:02}T05:00:00Z")["champion"] for day in (3, 4, 5)]
    assert asked == [None, version, version]
    rows.with_columns(transactions_mean_8=pl.col("transactions_mean_8") + 1).write_parquet(copy)
    assert sample.liftlake("trainset", "rebuild", first["training_set_id"])["source"] == "the lake"
