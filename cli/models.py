"""`liftlake champion` and `liftlake forecast show`."""

from __future__ import annotations

import typer
from rich.table import Table

from assets.insights.content import method_label
from cli.output import JSON_OPTION, WRONG_USE, command, out, print_json, stop
from cli.session import session
from ml.backtest import MODEL
from ml.baselines import SIMPLE_RULE

forecast = typer.Typer(help="Issued forecasts.")


@command
def champion(as_json: bool = JSON_OPTION) -> None:
    """The champion history, newest last."""
    with session() as opened:
        rows = opened.lake.read("models.champion_history").sort("model_name", "ordinal").drop("evidence")
    if as_json:
        print_json({"history": rows.to_dicts()})
        return
    for row in rows.iter_rows(named=True):
        version = row["model_version"] or "no model"
        out.print(
            f"{row['decided_as_of']:%Y-%m-%d}  {row['model_name']}  {row['decision']:<9} {version[:12]}  "
            + "; ".join(row["reasons"]),
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
    """Forecasts of one issue week by the champion, or by the simple rule that stands in while there is none."""
    with session() as opened:
        rows = opened.lake.read("forecasts.demand_forecasts")
    week = issue or str(rows["issue_week_start_date"].max())
    rows = rows.filter(rows["issue_week_start_date"].cast(str) == week)
    method = MODEL if MODEL in rows["method"] else SIMPLE_RULE
    rows = rows.filter(rows["method"] == method)
    for column, value in (("store_id", store), ("product_group", group)):
        if value is not None:
            rows = rows.filter(rows[column].cast(str) == value)
    if rows.is_empty():
        stop("No forecast fits; `liftlake status` says what was issued.", WRONG_USE)
    rows = rows.sort("store_id", "product_group", "horizon_weeks")
    if as_json:
        print_json({"issue_week_start_date": week, "method": method, "forecasts": rows.head(limit).to_dicts()})
        return
    title = f"Forecasts issued after the week of {week}, {rows['measure'][0]}: {method_label(method)}"
    table = Table(title=title)
    for heading in ("store", "product group", "week", "P10", "P50", "P90"):
        table.add_column(heading, justify="right" if heading.startswith("P") else "left")
    for row in rows.head(limit).iter_rows(named=True):
        band = [f"{row[name]:.1f}" for name in ("p10", "p50", "p90")]
        table.add_row(row["store_id"], row["product_group"], str(row["target_week_start_date"]), *band)
    out.print(table)
