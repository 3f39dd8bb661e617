"""The tables of totals pass their contracts, rule by rule, in a second engine; what does not add up fails."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import polars as pl
import pytest

from assets.models.totals import errors_by_level
from checks.contracts.loader import load_contracts
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from checks.contracts.rule_sql import with_relations
from ml.totals_ranges import wape_by_level
from ml.totals_tables import issue_totals, totals_backtest
from resources.conform import conform
from tests.unit.ml.totals_data import make_issued, make_scored, make_series

SUMS = {"series_add_up_to_the_total", "series_add_up_to_groups", "series_add_up_to_stores"}


@pytest.fixture(scope="module")
def series() -> pl.DataFrame:
    return make_series()


@pytest.fixture(scope="module")
def tests(series: pl.DataFrame) -> pl.DataFrame:
    return totals_backtest(make_scored(series), series, "transactions")


@pytest.fixture(scope="module")
def totals(series: pl.DataFrame, tests: pl.DataFrame) -> pl.DataFrame:
    return issue_totals(make_issued(series), series, tests)


def failing(rows: pl.DataFrame, table: tuple[str, str], series: pl.DataFrame) -> set[str]:
    """The ids of the rules of a contract that do not hold; DuckDB stands in for Spark."""
    contract = load_contracts()[table]
    plan = compile_plan(to_pandera(contract))
    models = pl.DataFrame({"model_version": ["ab" * 32]})
    with duckdb.connect() as engine:
        engine.execute("CREATE MACRO date_add(day, days) AS CAST(day AS DATE) + CAST(days AS INT)")
        engine.register("rows", conform(rows, contract))
        engine.register("series", series)
        engine.register("models", models)
        own = {contract.published_name: "rows", "gold.demand_series": "series", "models.demand_models": "models"}
        queries = {rule.id: f"SELECT 1 FROM rows WHERE NOT ({rule.predicate})" for rule in plan.row_rules} | {
            rule.id: with_relations(rule.sql.query, "rows", own[rule.sql.reference] if rule.sql.reference else None)
            for rule in plan.table_rules
        }
        assert set(queries) >= SUMS
        return {rule for rule, query in queries.items() if engine.execute(query).fetchone() is not None}


def test_both_tables_keep_their_contracts(series: pl.DataFrame, tests: pl.DataFrame, totals: pl.DataFrame) -> None:
    assert failing(tests, ("models", "totals_backtest"), series) == set()
    assert failing(totals, ("forecasts", "demand_totals"), series) == set()
    unmeasured = issue_totals(make_issued(series), series, tests.clear())
    assert failing(unmeasured, ("forecasts", "demand_totals"), series) == set()


@pytest.mark.parametrize(
    ("level", "broken"),
    [
        ("series", SUMS),
        ("total", {"series_add_up_to_the_total"}),
        ("product_group", {"series_add_up_to_groups"}),
        ("store", {"series_add_up_to_stores"}),
    ],
)
def test_the_last_digit_counts(
    series: pl.DataFrame, tests: pl.DataFrame, totals: pl.DataFrame, level: str, broken: set[str]
) -> None:
    for rows, table in ((tests, ("models", "totals_backtest")), (totals, ("forecasts", "demand_totals"))):
        first = (pl.col("level") == level) & (pl.int_range(pl.len()).over("level") == 0)
        more = (pl.col("expected") + pl.lit(Decimal("0.0001"))).cast(pl.Decimal(18, 4))
        bent = rows.with_columns(expected=pl.when(first).then(more).otherwise("expected"))
        if "high" in rows.columns:
            bent = bent.with_columns(
                high=pl.max_horizontal("high", pl.when(pl.col("high").is_not_null()).then("expected"))
            )
        assert failing(bent, table, series) == broken


def test_a_range_that_does_not_hold_what_is_expected_fails(series: pl.DataFrame, totals: pl.DataFrame) -> None:
    bent = totals.with_columns(low="high", high="low")
    assert failing(bent, ("forecasts", "demand_totals"), series) == {"range_holds_what_is_expected"}
    mislabelled = totals.with_columns(level=pl.col("level").replace({"store": "product_group"}))
    assert "level_says_what_is_summed" in failing(mislabelled, ("forecasts", "demand_totals"), series)


def test_the_errors_are_shown_by_level(tests: pl.DataFrame) -> None:
    errors = wape_by_level(tests)
    lines = errors_by_level(errors).splitlines()
    assert len(lines) == 2 + errors.height
    method, level, p50, expected = errors.row(0)
    assert lines[2] == f"| {method} | {level} | {p50:.1f} | {expected:.1f} |"
    assert errors_by_level(errors.head(1).with_columns(wape_p50=None)).endswith(f"| - | {expected:.1f} |")
