"""`liftlake champion` and `liftlake forecast show`."""

from __future__ import annotations

from typing import Any

import polars as pl
import typer
from rich.table import Table

from assets.evidence import fallback_of
from assets.insights.content import method_label
from cli.output import JSON_OPTION, WRONG_USE, command, instant_of, out, print_json, stop
from cli.session import session
from ml.backtest import MODEL
from ml.baselines import SIMPLE_RULE
from ml.champions import champion_at
from ml.totals import ALL

forecast = typer.Typer(help="Issued forecasts.")


@command
def champion(
    at: str | None = typer.Option(None, "--at", help="Who was champion at this instant, e.g. 2017-12-11T05:00:00Z."),
    as_json: bool = JSON_OPTION,
) -> None:
    """The champion history, newest last; with --at as far as it was decided by then."""
    instant = None if at is None else instant_of("--at", at)
    with session() as opened:
        rows = opened.lake.read("models.champion_history").sort("model_name", "ordinal").drop("evidence")
    rows = rows if instant is None else rows.filter(pl.col("decided_as_of") <= instant)
    reigning = champion_at(rows)
    if as_json:
        print_json({"champion": reigning, "history": rows.to_dicts()})
        return
    if instant is not None:
        out.print(f"Champion at {at}: {reigning or 'no model'}", highlight=False)
    for row in rows.iter_rows(named=True):
        version = row["model_version"] or "no model"
        out.print(
            f"{row['decided_as_of']:%Y-%m-%d}  {row['model_name']}  {row['decision']:<11} {version[:12]}  "
            + "; ".join(row["reasons"])
            + (f" ({row['decided_by']})" if row["decided_by"] else ""),
            highlight=False,
            soft_wrap=True,
        )


@forecast.callback()
def forecasts() -> None:
    """Issued forecasts."""


@forecast.command()
@command
def show(
    store: str | None = typer.Option(None, "--store", help="Only this store."),
    group: str | None = typer.Option(None, "--group", help="Only this product group."),
    issue: str | None = typer.Option(None, "--issue", help="Issue week, by its first day; the newest when absent."),
    limit: int = typer.Option(40, "--limit", min=1, help="Rows to show."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Forecasts of one issue week by the champion, or by the simple rule that stands in while there is none.

    First what is expected in total of the series asked for; medians of single series do not add up to it.
    """
    with session() as opened:
        rows, settings = opened.lake.read("forecasts.demand_forecasts"), opened.settings
        week = issue or str(rows["issue_week_start_date"].max())
        totals = opened.lake.read("forecasts.demand_totals") if opened.lake.exists("forecasts.demand_totals") else None
    rows = rows.filter(pl.col("issue_week_start_date").cast(pl.String) == week)
    method = MODEL if MODEL in rows["method"] else SIMPLE_RULE
    rows = rows.filter(pl.col("method") == method)
    for column, value in (("store_id", store), ("product_group", group)):
        if value is not None:
            rows = rows.filter(pl.col(column) == value)
    if rows.is_empty():
        stop("No forecast fits; `liftlake status` says what was issued.", WRONG_USE)
    rows = rows.sort("store_id", "product_group", "horizon_weeks")
    expected = [] if totals is None else expected_of(totals, week, store, group)
    groups = set(rows["product_group"])
    fallback = fallback_of(settings, rows["model_version"][0]) if method == MODEL else {}
    fallback = {name: rule for name, rule in fallback.items() if name in groups}
    if as_json:
        shown = {"issue_week_start_date": week, "method": method, "fallback": fallback, "expected": expected}
        print_json({**shown, "forecasts": rows.head(limit).to_dicts()})
        return
    title = f"Forecasts issued after the week of {week}, {rows['measure'][0]}: {method_label(method)}"
    if expected:
        out.print(_expected_table(f"{title}, expected in total", expected))
    table = Table(title=title)
    for heading in ("store", "product group", "week", "P10", "P50", "P90"):
        table.add_column(heading, justify="right" if heading.startswith("P") else "left")
    for row in rows.head(limit).iter_rows(named=True):
        band = [f"{row[name]:.1f}" for name in ("p10", "p50", "p90")]
        table.add_row(row["store_id"], row["product_group"], str(row["target_week_start_date"]), *band)
    out.print(table)
    for name, rule in fallback.items():
        out.print(f"{name}: {method_label(rule)}, which is surely better there than the model.", highlight=False)


def expected_of(totals: pl.DataFrame, week: str, store: str | None, group: str | None) -> list[dict[str, Any]]:
    """What an issue expects of a store, a group, both or all, by target week.

    Args:
        totals: forecasts.demand_totals.
        week: issue week, by its first day.
        store, group: None stands for the sum over all.

    Returns:
        A dictionary per week: level, store_id, product_group, target_week_start_date, p50_sum, expected, low, high,
        least_coverage; low, high and least_coverage are None where there is no range. No dictionary when the issue has
        no totals.
    """
    numbers = ["p50_sum", "expected", "low", "high", "least_coverage"]
    found = totals.filter(
        pl.col("issue_week_start_date").cast(pl.String) == week,
        pl.col("store_id") == (store or ALL),
        pl.col("product_group") == (group or ALL),
    ).sort("target_week_start_date")
    facts = ("level", "store_id", "product_group", "target_week_start_date")
    return found.select(*facts, pl.col(numbers).cast(pl.Float64)).to_dicts()


def _expected_table(title: str, expected: list[dict[str, Any]]) -> Table:
    table = Table(title=title)
    for heading in ("store", "product group", "week", "expected", "range in tests", "sum of P50"):
        table.add_column(heading, justify="left" if heading in ("store", "product group", "week") else "right")
    for row in expected:
        span = "" if row["low"] is None else f"{row['low']:,.1f} to {row['high']:,.1f}"
        numbers = f"{row['expected']:,.1f}", span, f"{row['p50_sum']:,.1f}"
        table.add_row(row["store_id"], row["product_group"], str(row["target_week_start_date"]), *numbers)
    return table
