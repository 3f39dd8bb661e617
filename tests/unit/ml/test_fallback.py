"""Fallback: chosen where a baseline is surely better and nowhere else, issued by the bundle, judged by other folds."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest

from ml.backtest import BacktestPlan, backtest
from ml.comparisons import comparisons
from ml.evaluation import metrics, wape
from ml.fallback import as_issued, as_judged, choose_fallback
from ml.features import FEATURE_KEY
from ml.forecaster import CalibratedModel, calibrate_baseline, fit_calibrated
from ml.frame_checks import BadFrame
from ml.packaging import load_bundle, save_bundle
from ml.promotion import Thresholds, decide
from ml.scoring import score
from tests.conftest import tries
from tests.unit.ml.fallback_data import METHODS, STEADY, noise, planted
from tests.unit.ml.prepared_data import SMALL, Prepared

QUANTILES = ("p10", "p50", "p90")


@pytest.fixture(scope="module")
def steady() -> Prepared:
    return planted()


@pytest.fixture(scope="module")
def scored(steady: Prepared) -> pl.DataFrame:
    return backtest(steady.features, steady.labels, BacktestPlan(steady.folds, config=SMALL))[0]


@pytest.fixture(scope="module")
def fallback(scored: pl.DataFrame) -> dict[str, str]:
    return choose_fallback(comparisons(scored, samples=300))


def own_wape(rows: pl.DataFrame) -> float:
    return rows.filter(pl.col("method") == "catboost").select(wape()).item()


def compared(*rows: tuple[str, str, str, float, float | None]) -> pl.DataFrame:
    columns = ["method", "rival", "slice", "rival_wape", "simultaneous_lower"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def test_the_best_of_those_that_are_surely_better_is_chosen() -> None:
    table = compared(
        ("catboost", "naive", "tea", 20.0, 0.5),
        ("catboost", "ses", "tea", 19.0, 2.0),
        ("catboost", "mean_8", "tea", 18.0, -0.1),
        ("catboost", "ses", "beer", 30.0, 1.0),
        ("catboost", "mean_8", "beer", 30.0, 1.0),
        ("catboost", "ses", "milk", 10.0, None),
        ("catboost", "ses", "wine", 10.0, 0.0),
        ("catboost", "ses", "all", 10.0, 3.0),
        ("naive", "ses", "juice", 10.0, 3.0),
    )
    assert choose_fallback(table) == {"beer": "mean_8", "tea": "ses"}
    assert choose_fallback(table.clear()) == {}


def test_methods_that_err_alike_choose_nothing() -> None:
    """Lakes in which no method is better: at most one in twenty chooses; bare looks find one in most."""
    chosen, looks, lakes = 0, 0, tries(24, 40)
    for seed in range(lakes):
        table = comparisons(noise(seed, "abcdef"), samples=50)
        chosen += bool(choose_fallback(table))
        looks += table.filter(pl.col("slice").is_in(list("abcdef")), pl.col("lower") > 0).height > 0
    assert chosen <= lakes // 20
    assert looks > lakes // 2


def test_equal_methods_choose_nothing() -> None:
    rows = noise(1, "ab")
    same = rows.filter(pl.col("method") == "naive").drop("method")
    equal = pl.concat([same.select(pl.lit(name).alias("method"), pl.all()) for name in METHODS])
    assert choose_fallback(comparisons(equal, samples=50)) == {}


def test_a_planted_group_falls_back(fallback: dict[str, str]) -> None:
    assert fallback == {STEADY: "mean_8"}


def test_a_package_forecasts_the_group_by_the_baseline_and_the_others_as_before(
    steady: Prepared, fallback: dict[str, str], tmp_path: Path
) -> None:
    fold = steady.folds[-1]
    bare = fit_calibrated(steady.rows, fold, "transactions", SMALL)
    stand_ins = {g: calibrate_baseline(steady.rows, fold, "transactions", name) for g, name in fallback.items()}
    version = save_bundle(tmp_path / "bundle", CalibratedModel(bare.model, bare.calibration, stand_ins), {})
    newest = steady.features.filter(pl.col("week_start_date") == steady.demand.weeks[-1])
    issued = score(load_bundle(tmp_path / "bundle", version), newest.sample(fraction=1, shuffle=True, seed=1))
    assert issued.height == newest.height
    assert issued["method"].unique().to_list() == ["catboost"]
    by_model = bare.forecast(newest).rename({"week_start_date": "issue_week_start_date"})
    key = ["issue_week_start_date", *FEATURE_KEY[:2], "horizon_weeks"]
    both = issued.join(by_model.select(*key, *QUANTILES), on=key, suffix="_model")
    is_steady = pl.col("product_group") == STEADY
    for name in QUANTILES:
        assert both.filter(~is_steady, pl.col(name) != pl.col(f"{name}_model")).is_empty()
    means = newest.select(*FEATURE_KEY, "transactions_mean_8").rename({"week_start_date": "issue_week_start_date"})
    found = issued.filter(is_steady).join(means, on=key)
    assert found["p50"].to_list() == found["transactions_mean_8"].to_list()
    assert (found["p10"] < found["p50"]).all()
    assert both.filter(is_steady, pl.col("p50") != pl.col("p50_model")).height > 0.9 * found.height


def test_a_fold_of_the_backtest_is_what_a_package_would_have_issued(
    steady: Prepared, scored: pl.DataFrame, fallback: dict[str, str]
) -> None:
    fold = steady.folds[2]
    bare = fit_calibrated(steady.rows, fold, "transactions", SMALL)
    stand_ins = {g: calibrate_baseline(steady.rows, fold, "transactions", name) for g, name in fallback.items()}
    package = CalibratedModel(bare.model, bare.calibration, stand_ins)
    wanted = package.forecast(steady.rows.filter(fold.is_test)).rename({"week_start_date": "cutoff_week_start_date"})
    key = ["cutoff_week_start_date", "store_id", "product_group", "horizon_weeks", *QUANTILES]
    rows = as_issued(scored, fallback).filter(
        pl.col("method") == "catboost", pl.col("cutoff_week_start_date") == fold.cutoff
    )
    assert rows.select(key).equals(wanted.sort(key).select(key))


def test_the_gate_sees_the_package_and_not_the_bare_model(scored: pl.DataFrame, fallback: dict[str, str]) -> None:
    judged = as_judged(scored, fallback)
    assert own_wape(judged) < 0.5 * own_wape(scored)
    others = pl.col("method") != "catboost"
    assert judged.filter(others).equals(scored.filter(others))
    baselines = {name: scored.filter(pl.col("method") == name) for name in METHODS[1:]}
    is_own = pl.col("method") == "catboost"
    bare, package = (
        decide(rows.filter(is_own), None, baselines, Thresholds(bootstrap_samples=200)) for rows in (scored, judged)
    )
    assert package.evidence["versus_mean_8.wape"] < 2 < bare.evidence["versus_mean_8.wape"]


def test_issued_rows_equal_sql(scored: pl.DataFrame) -> None:
    found = as_issued(scored, {"g0": "naive", "g2": "ses"})
    wanted = duckdb.sql("""
        SELECT * REPLACE ('catboost' AS method) FROM scored
        WHERE method = CASE product_group WHEN 'g0' THEN 'naive' WHEN 'g2' THEN 'ses' ELSE 'catboost' END
        UNION ALL SELECT * FROM scored WHERE method <> 'catboost'
    """).pl()
    key = ["method", "cutoff_week_start_date", "store_id", "product_group", "horizon_weeks"]
    assert found.equals(wanted.sort(key))
    assert as_issued(scored, {}).equals(scored)


def test_judged_rows_equal_a_loop_over_folds() -> None:
    rows = noise(7, "ab", stores=3)
    found = as_judged(rows, ["a"]).filter(pl.col("method") == "catboost")
    forecasts: dict[tuple, float] = {}
    issuers = set()
    for fold in sorted(set(rows["cutoff_week_start_date"])):
        part = rows.filter(pl.col("cutoff_week_start_date") == fold)
        missed = dict.fromkeys(METHODS, 0.0)
        for row in rows.filter(pl.col("product_group") == "a").iter_rows(named=True):
            if row["cutoff_week_start_date"] != fold and row["target_week_start_date"] not in set(
                part["target_week_start_date"]
            ):
                missed[row["method"]] += abs(row["p50"] - row["actual"])
        best = min(METHODS, key=lambda name: missed[name])
        issuers.add(best)
        for row in part.iter_rows(named=True):
            if row["method"] == (best if row["product_group"] == "a" else "catboost"):
                key = (fold, row["store_id"], row["product_group"], row["horizon_weeks"])
                forecasts[key] = row["p50"]
    assert len(issuers) > 1
    keys = found.select("cutoff_week_start_date", "store_id", "product_group", "horizon_weeks").rows()
    assert dict(zip(keys, found["p50"], strict=True)) == forecasts


def test_luck_earns_nothing_in_the_judged_rows() -> None:
    """The best of four equal methods looks better on the rows that it was chosen on, and not on the judged ones."""
    flattered, judged = [], []
    for seed in range(20):
        rows = noise(seed, "abcd", series_shock=0.0, stays=0.0)
        ranked = metrics(rows, ["product_group", "method"]).sort("wape")
        best = ranked.group_by("product_group", maintain_order=True).first().select("product_group", "method")
        chosen = dict(best.filter(pl.col("method") != "catboost").iter_rows())
        flattered.append(own_wape(rows) - own_wape(as_issued(rows, chosen)))
        judged.append(own_wape(rows) - own_wape(as_judged(rows, ["a", "b", "c", "d"])))
    assert sum(flattered) / 20 > 1
    assert abs(sum(judged) / 20) < 0.4


def test_one_fold_is_judged_as_the_model(scored: pl.DataFrame) -> None:
    one = scored.filter(pl.col("cutoff_week_start_date") == scored["cutoff_week_start_date"].min())
    assert as_judged(one, [STEADY]).equals(one)


def test_a_baseline_without_the_models_rows_is_refused(scored: pl.DataFrame) -> None:
    with pytest.raises(BadFrame, match="same rows"):
        as_issued(scored.filter((pl.col("method") != "ses") | (pl.col("horizon_weeks") == 1)), {STEADY: "ses"})
    with pytest.raises(BadFrame, match="same rows"):
        as_issued(scored, {STEADY: "seasonal_naive"})
