"""Responses as a table: its contract holds for what the models say, and for nothing that a reader would misread."""

from __future__ import annotations

from datetime import date

import duckdb
import polars as pl
import pytest

from checks.contracts.loader import load_contracts
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan, failures_aggregate_sql
from cli.responses import responses
from ml.elasticity import Response
from ml.response_curves import response_curves
from resources.conform import conform
from resources.plots import response_plot

CONTRACT = load_contracts()["insights", "response_curves"]
SIZE = (900, 800, 12, 30)


@pytest.fixture(scope="module")
def curves() -> pl.DataFrame:
    """One response of every status."""
    found = [
        Response("TEA", "price", "estimated", None, *SIZE, 9, -1.5, -2.0, -1.0, 0.8, 1.1),
        Response("TEA", "display", "constrained", "not surely", *SIZE, 12, 0.0, -0.9, 0.1, 0.0, 0.4),
        Response("TEA", "mailer", "contradicts", "surely", *SIZE, 12, -1.0, -1.5, -0.5, 0.0, 0.3),
        Response("BEER", "price", "refused", "too small a sample", *SIZE, None),
        Response("WINE", "price", "constrained", "not surely", *SIZE, 9, 0.0, -0.1, 0.4, 0.9, 1.1),
    ]
    return response_curves(found, points=4).with_columns(last_week_start_date=date(2017, 11, 27))


def broken_rules(rows: pl.DataFrame) -> set[str]:
    plan = compile_plan(to_pandera(CONTRACT))
    engine = duckdb.connect()
    engine.register("rows", conform(rows, CONTRACT))
    counts = engine.execute(failures_aggregate_sql(plan.row_rules, "rows")).fetchall()[0][1:]
    return {rule.id for rule, count in zip(plan.row_rules, counts, strict=True) if count}


def test_every_status_fulfils_the_contract(curves: pl.DataFrame) -> None:
    assert set(curves["status"]) == {"estimated", "constrained", "contradicts", "refused"}
    assert broken_rules(curves) == set()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (pl.col("upper") / 2, "index_in_its_interval"),
        (pl.lit(-1.0).alias("effect"), "refused_says_nothing"),
        (pl.lit(None, dtype=pl.String).alias("reason"), "refused_says_nothing"),
        (pl.col("effect").abs(), "economics_or_a_reason"),
        (pl.lit(1.5).alias("level"), "share_is_a_share"),
    ],
)
def test_other_rows_break_it(curves: pl.DataFrame, change: pl.Expr, rule: str) -> None:
    assert rule in broken_rules(curves.with_columns(change))


def test_a_response_is_told_once_with_its_curve(curves: pl.DataFrame) -> None:
    found = {(one["lever"], one["product_group"]): one for one in responses(curves)}
    assert list(found) == [
        ("display", "TEA"),
        ("mailer", "TEA"),
        ("price", "BEER"),
        ("price", "TEA"),
        ("price", "WINE"),
    ]
    assert found["price", "BEER"]["effect"] is None
    assert found["price", "BEER"]["curve"] == [{"level": 1.0, "demand_index": 1.0, "lower": 1.0, "upper": 1.0}]
    levels = [point["level"] for point in found["price", "TEA"]["curve"]]
    assert levels == pytest.approx([0.8, 0.9, 1.0, 1.1])
    assert sum(len(one["curve"]) for one in found.values()) == curves.height


def test_the_plot_shows_what_was_told_of_prices(curves: pl.DataFrame) -> None:
    drawn = response_plot(curves)
    assert drawn == response_plot(curves)
    assert drawn.startswith("![Price elasticities of 2 product groups]")
    moved = curves.with_columns(
        pl.when(pl.col("product_group") == "TEA").then(-3.0).otherwise("effect").alias("effect")
    )
    assert response_plot(moved) != drawn
    assert response_plot(curves.filter(pl.col("status") == "refused")).startswith("No price response")
