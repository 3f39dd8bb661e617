"""What the gate judges and what the report tests is the model with its fallback."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from assets.insights.content import Champion
from assets.insights.report import with_fallback
from assets.models.gate import judge
from ml.backtest import CUTOFF, BacktestPlan, backtest
from ml.comparisons import comparisons
from ml.fallback import as_issued, choose_fallback
from ml.features import HORIZON
from ml.series import DECIMAL
from ml.totals import group_factors, level_sums
from tests.unit.ml.fallback_data import STEADY, noise, planted
from tests.unit.ml.prepared_data import SMALL

FALLBACK = {STEADY: "mean_8"}
Tested = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]


@pytest.fixture(scope="module")
def bare() -> Tested:
    """Scored rows, metrics and comparisons of the model alone."""
    steady = planted()
    scored, metrics = backtest(steady.features, steady.labels, BacktestPlan(steady.folds, config=SMALL))
    return scored, metrics, comparisons(scored, samples=100)


def test_the_gate_judges_the_challenger_with_its_fallback(bare: Tested) -> None:
    alone, packed = judge(bare[0], None, {}), judge(bare[0], None, FALLBACK)
    assert packed.evidence["challenger.wape"] < 0.5 * alone.evidence["challenger.wape"]
    assert (alone.evidence["fallback.groups"], packed.evidence["fallback.groups"]) == (0, 1)
    against = "WAPE differs from that of mean_8"
    assert any(reason.startswith(against) for reason in alone.reasons)
    assert packed.evidence["versus_mean_8.wape"] < alone.evidence["versus_mean_8.wape"]


def test_a_model_that_one_group_keeps_out_is_promoted_with_its_fallback() -> None:
    """A third of the others' error in three groups, three times theirs in the fourth."""
    rows = noise(1, "abcd", stores=20, folds=6, stays=0.0)
    is_own, is_bad = pl.col("method") == "catboost", pl.col("product_group") == "a"
    share = pl.when(is_own & is_bad).then(3.0).when(is_own).then(1 / 3).otherwise(1.0)
    rows = rows.with_columns(p50=pl.col("actual") + share * (pl.col("p50") - pl.col("actual")))
    reach = pl.when(is_own & ~is_bad).then(2.2).otherwise(6.5)
    rows = rows.with_columns(p10=pl.col("p50") - reach, p90=pl.col("p50") + reach)
    fallback = choose_fallback(comparisons(rows, samples=100))
    assert list(fallback) == ["a"]
    alone, packed = judge(rows, None, {}), judge(rows, None, fallback)
    assert (alone.promoted, packed.promoted) == (False, True), packed.reasons


def test_the_report_tests_what_the_champion_issues(bare: Tested) -> None:
    champion = Champion("ab" * 32, datetime(2017, 9, 4, tzinfo=UTC), ("It is good.",), fallback=FALLBACK)
    scored, metrics, compared = with_fallback(*bare, champion)
    assert metrics.schema == bare[1].schema
    assert compared.schema == bare[2].schema
    own, rule = (
        metrics.filter(pl.col("method") == name, pl.col("slice") == STEADY).drop("method")
        for name in ("catboost", "mean_8")
    )
    assert own.equals(rule)
    others = (pl.col("method") != "catboost") | ((pl.col("slice") != STEADY) & (pl.col("slice").str.starts_with("g")))
    assert metrics.filter(others).equals(bare[1].filter(others))
    zero = compared.filter(pl.col("slice") == STEADY, pl.col("rival") == "mean_8").row(0, named=True)
    assert (zero["difference"], zero["is_sure"]) == (0.0, False)
    assert scored.height == bare[0].height


def test_totals_are_scaled_by_what_the_rule_measured_and_not_by_the_model(bare: Tested) -> None:
    issued = as_issued(bare[0], FALLBACK)
    found, rule, model = (_factors(*of) for of in ((issued, "catboost"), (issued, "mean_8"), (bare[0], "catboost")))
    assert found[STEADY] == pytest.approx(rule[STEADY])
    assert found[STEADY] != pytest.approx(model[STEADY], rel=0.01)
    assert found["g1"] == model["g1"]


def _factors(scored: pl.DataFrame, method: str) -> dict[str, float]:
    rows = scored.with_columns(actual_sum=pl.col("actual").cast(DECIMAL), p50_sum=pl.col("p50").cast(DECIMAL))
    sums = level_sums(rows, ["method", CUTOFF, HORIZON], ["actual_sum", "p50_sum"])
    found = group_factors(sums.filter(pl.col("level") == "product_group"), method).filter(pl.col("basis") == method)
    return dict(found.select("product_group", "factor").iter_rows())


def test_a_champion_without_fallback_leaves_the_tables_as_they_are(bare: Tested) -> None:
    champion = Champion("ab" * 32, datetime(2017, 9, 4, tzinfo=UTC), ("It is good.",))
    for who in (None, champion):
        assert all(found is given for found, given in zip(with_fallback(*bare, who), bare, strict=True))
