"""What the advice is made from: lift in percent of its group, what a transaction is worth, other limits for a trial."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import duckdb
import polars as pl
import pytest

from assets.graph import Graph
from assets.insights.actions import NET_SHARE_SD, SALES_WEEKS, begun, figures_of, lift_sql, other_limits, sales_sql
from ml.actions import NEXT_ACTION_SCHEMA, Advice
from ml.actions_candidates import ARM_LIFT_SCHEMA, Z
from ml.actions_limits import Limits, Refused
from resources.mapping import load_mapping
from resources.settings import load_settings

ISSUE = date(2017, 11, 27)


def lifted(*rows: tuple[str, str, str, str, float | None, float | None]) -> pl.DataFrame:
    """level, product_group, kind, part, incremental transactions (their interval is 10 either way), expected."""
    names = ["level", "product_group", "kind", "part", "incremental_transactions", "expected_transactions"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    added = pl.col("incremental_transactions")
    return frame.with_columns(incremental_transactions_lower=added - 10, incremental_transactions_upper=added + 10)


def sql_lift(*rows: tuple[str, str, str, str, float | None, float | None]) -> list[tuple]:
    database = duckdb.connect()
    database.register("promotion_lift", lifted(*rows))
    return database.sql(lift_sql("promotion_lift")).pl().select(list(ARM_LIFT_SCHEMA)).rows()


def test_lift_is_in_percent_of_the_group_and_its_net_share_apart():
    found = sql_lift(
        ("group", "BEER", "display", "promoted", 70.0, 100.0),
        ("group", "BEER", "display", "rest_of_group", -20.0, 300.0),
        ("group", "BEER", "display", "other_groups", 5.0, 9000.0),
        ("group", "BEER", "display", "following_weeks", -15.0, 800.0),
        ("group", "BEER", "price_cut", "promoted", 40.0, 100.0),
        ("group", "TEA", "mailer", "promoted", None, None),
        ("event", "COLA", "display", "net", 40.0, 400.0),
    )
    # 50 of 400 in the week, 40 of them left; two parts that may be off by 10 each.
    off = 200**0.5
    lifted = (12.5, (50 - off) / 4, (50 + off) / 4)
    in_percent = (*lifted, *lifted, kept(-10 / 50, parts=2, added=50), 400.0)
    assert found == [("BEER", "display", *map(pytest.approx, in_percent))]


def kept(shift: float, parts: int, added: float) -> float:
    """The net share when so many parts, off by 10 each, shift it from 1: the mean of a normal posterior."""
    precision, prior = (added * Z / 10) ** 2 / parts, NET_SHARE_SD**-2
    return 1 + shift * precision / (precision + prior)


@pytest.mark.parametrize(
    ("beer", "tea", "share"),
    [
        ((500.0, -200.0), (100.0, 80.0), kept(-0.2, 2, 600)),
        ((5.0, 45.0), (5.0, 45.0), kept(9.0, 2, 10)),
        ((500.0, -600.0), (500.0, -600.0), 0.0),
        ((-20.0, -10.0), (5.0, -3.0), 1.0),
    ],
)
def test_the_net_share_is_one_for_all_and_as_far_from_one_as_was_measured(
    beer: tuple[float, float], tea: tuple[float, float], share: float
):
    rows = [
        ("group", group, "display", part, added, 400.0 if part == "promoted" else None)
        for group, parts in (("BEER", beer), ("TEA", tea))
        for part, added in zip(("promoted", "other_groups"), parts, strict=True)
    ]
    shares = [row[list(ARM_LIFT_SCHEMA).index("net_share")] for row in sql_lift(*rows)]
    assert shares == pytest.approx([share, share])
    assert share < 2


def test_a_transaction_is_worth_what_it_was_in_the_last_quarter():
    weeks = [ISSUE - timedelta(7 * back) for back in (0, SALES_WEEKS - 1, SALES_WEEKS)]
    rows = [(week, "BEER", 10, sales) for week, sales in zip(weeks, (80, 100, 9000), strict=True)]
    names = ["week_start_date", "product_group", "transactions", "net_sales_usd"]
    frame = pl.DataFrame([*rows, (ISSUE, "TEA", 0, 0)], schema=names, orient="row")
    database = duckdb.connect()
    database.register("demand_series", frame)
    assert database.sql(sales_sql("demand_series", ISSUE)).fetchall() == [("BEER", 9.0)]


def test_a_trial_changes_what_is_asked_for_alone():
    limits = Limits(100.0, 2, min_actions={"display": 1})
    assert other_limits(limits, None, None) == limits
    changed = other_limits(limits, 20.0, 3)
    assert (changed.budget_usd, changed.slots_per_store, changed.min_actions) == (20.0, 3, {"display": 1})
    with pytest.raises(Refused, match="budget_usd must be an amount above 0"):
        other_limits(limits, -1.0, None)


def test_the_assumed_costs_are_those_of_what_is_done():
    cells = {
        "cell": ["treated", "hold_out", "treated"],
        "assumed_cost_usd": [Decimal("0.2"), Decimal("0.2"), Decimal("0.1")],
    }
    rows = pl.DataFrame(schema=NEXT_ACTION_SCHEMA).clear(3).with_columns(**{n: pl.Series(v) for n, v in cells.items()})
    figures = figures_of(Advice(rows, 9, 0.0))
    assert (figures["treated"], figures["hold_out"]) == (2, 1)
    assert figures["assumed_cost_usd"] == pytest.approx(0.3)


def test_an_empty_advice_has_figures():
    figures = figures_of(Advice(pl.DataFrame(schema=NEXT_ACTION_SCHEMA), 7, 0.0))
    assert figures["candidates"] == 7
    assert figures["incremental_transactions"] == figures["treated"] == figures["assumed_cost_usd"] == 0


@pytest.mark.parametrize(
    ("clock", "weeks_begun"),
    [
        # Midnight in New York is 5 o'clock UTC in winter.
        (datetime(2017, 12, 4, 5, tzinfo=UTC), 0),
        (datetime(2017, 12, 4, 5, 0, 1, tzinfo=UTC), 1),
        (datetime(2017, 12, 11, 4, tzinfo=UTC), 1),
        (datetime(2017, 12, 18, 12, tzinfo=UTC), 3),
    ],
)
def test_a_week_has_begun_from_its_first_second_on(clock: datetime, weeks_begun: int):
    settings = load_settings({})
    own = settings.model_copy(update={"lake": settings.lake.model_copy(update={"as_of": clock})})
    targets = [date(2017, 12, 4) + timedelta(weeks=ahead) for ahead in range(4)]
    graph = Graph(own, {}, load_mapping("completejourney"))
    assert begun(graph, targets) == set(targets[:weeks_begun])
