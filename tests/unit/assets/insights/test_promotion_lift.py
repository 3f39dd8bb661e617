"""The ledger and the lift as tables: their contracts hold for what is computed and for nothing else; the command."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import polars as pl
import pytest

from benchmarks.lift import lift_inputs
from benchmarks.market import MarketSettings
from benchmarks.market_tables import make_market
from checks.contracts.loader import load_contracts
from checks.contracts.model import Contract
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan, failures_aggregate_sql
from checks.contracts.rule_sql import with_relations
from cli.lift import summary
from ml.lift import promotion_lift
from resources.conform import conform

CONTRACTS = load_contracts()
LEDGER, LIFT = CONTRACTS["gold", "promotion_events"], CONTRACTS["insights", "promotion_lift"]
SETTINGS = MarketSettings(stores=30, groups=2, promotions_per_group=3, weeks=64, unexecuted_share=0.2)
MEASURED = pl.col("incremental_transactions").is_not_null()


@pytest.fixture(scope="module")
def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    """gold.promotion_events as the source plans them (no plan holds a price cut alone), and insights.promotion_lift."""
    inputs = lift_inputs(make_market(SETTINGS, 8))
    planned = inputs.events.filter(pl.col("kind") != "price_cut")
    lift = promotion_lift(planned, inputs.lines, inputs.groups, inputs.weeks[:56])
    assert lift.select(MEASURED.any() & (~MEASURED).any()).item()
    return planned, lift


def broken_rules(contract: Contract, rows: pl.DataFrame) -> set[str]:
    """The rules of the contract that rows break, by DuckDB."""
    plan = compile_plan(to_pandera(contract))
    engine = duckdb.connect()
    engine.execute("CREATE MACRO rlike(value, pattern) AS regexp_matches(value, pattern)")
    engine.execute("CREATE MACRO datediff(later, earlier) AS later - earlier")
    engine.register("rows", conform(rows, contract))
    counts = engine.execute(failures_aggregate_sql(plan.row_rules, "rows")).fetchall()[0][1:]
    broken = {rule.id for rule, count in zip(plan.row_rules, counts, strict=True) if count}
    for rule in plan.table_rules:
        if engine.execute(with_relations(rule.sql.query, "rows")).fetchall():
            broken.add(rule.id)
    return broken


def test_contracts_hold(tables: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    ledger, lift = tables
    assert broken_rules(LEDGER, ledger) == set()
    assert broken_rules(LIFT, lift) == set()


LIES = {
    "a_number_or_a_reason": pl.when(~MEASURED).then(pl.lit(1.0)).otherwise("incremental_transactions"),
    "interval_holds_units": pl.col("incremental_units_upper") + 5,
}


def test_a_row_that_lies_breaks_its_rule(tables: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    ledger, lift = tables
    numbered = lift.with_columns(incremental_transactions=LIES["a_number_or_a_reason"])
    assert "a_number_or_a_reason" in broken_rules(LIFT, numbered)
    moved = lift.with_columns(incremental_units=LIES["interval_holds_units"])
    assert broken_rules(LIFT, moved) == {"interval_holds_units"}
    named = lift.with_columns(product_line=pl.lit("a line"))
    assert broken_rules(LIFT, named) == {"an_event_has_its_facts"}
    seen = ledger.with_columns(price_cut_weeks=pl.lit(9, pl.Int64))
    assert "execution_says_what_was_counted" in broken_rules(LEDGER, seen)
    assert broken_rules(LEDGER, ledger.with_columns(pl.col("planned_weeks") + 7)) == {"weeks_are_consecutive"}
    assert "exposed_hold_the_promoted" in broken_rules(LEDGER, ledger.with_columns(exposed_transactions=pl.lit(0)))


def test_the_ledger_tells_what_was_planned_and_not_done() -> None:
    done = replace(SETTINGS, baskets=20.0, display_lift=(0.3, 0.3), price_cut=(0.3,))
    market = make_market(done, 3)
    ledger = lift_inputs(market).events
    names = lift_inputs(market).names
    real = pl.concat(
        pl.DataFrame(
            {"event_id": event.event_id, "store_id": market.world.store_ids, "is_executed": event.is_executed > 0}
        ).with_columns(has_cut=pl.lit(event.price_ratio < 1))
        for event in market.placed
    ).join(names, on="event_id")
    both = ledger.join(real, left_on=["event_id", "store_id"], right_on=["ledger_id", "store_id"])
    assert both.height == ledger.height
    cut = both.filter("has_cut")
    assert not cut["is_executed"].all()
    assert ((cut["execution"] == "price_cut") == cut["is_executed"]).all()


def test_the_command_ranks_what_is_measured_and_counts_what_is_refused(
    tables: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    _, lift = tables
    answer = summary(lift)
    wanted = duckdb.sql("""
        SELECT event_id FROM lift WHERE level = 'event' AND part = 'net' AND incremental_transactions IS NOT NULL
        ORDER BY incremental_transactions DESC
    """).fetchall()
    assert [row["event_id"] for row in answer["promotions"]] == [row[0] for row in wanted]
    assert answer["totals"][0]["event_id"] == "all"
    for row in [*answer["promotions"], *answer["totals"]]:
        assert sum(row["parts"].values()) == pytest.approx(row["incremental_transactions"])
    counted = duckdb.sql("""
        SELECT verdict, count(*) FROM lift WHERE incremental_transactions IS NULL GROUP BY verdict
        ORDER BY 2 DESC, 1
    """).fetchall()
    assert [(row["verdict"], row["promotions"]) for row in answer["refused"]] == counted
    assert all(row["reason"] for row in answer["refused"])
