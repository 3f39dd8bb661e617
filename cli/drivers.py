"""`liftlake drivers`."""

from __future__ import annotations

from typing import Any

import polars as pl
import typer
from rich.table import Table

from cli.output import JSON_OPTION, WRONG_USE, command, out, print_json, stop
from cli.responses import show_responses
from cli.session import session
from ml.driver_stability import driver_totals
from ml.features import HORIZON, TARGET_WEEK
from ml.frame_checks import SERIES_KEY

_FORECAST = [*SERIES_KEY, HORIZON]


@command
def drivers(
    store: str | None = typer.Option(None, "--store", help="Only this store."),
    group: str | None = typer.Option(None, "--group", help="Only this product group."),
    week: str | None = typer.Option(None, "--week", help="Only this target week, by its first day."),
    curves: bool = typer.Option(False, "--curves", help="How demand answers to prices and promotions instead."),
    as_json: bool = JSON_OPTION,
) -> None:
    """What the newest forecasts are made up of, summed over those that the options name."""
    if curves:
        if store or week:
            stop("Responses are of product groups over all stores and weeks: use --group alone.", WRONG_USE)
        with session() as opened:
            show_responses(opened.lake.read("insights.response_curves"), group, as_json=as_json)
        return
    with session() as opened:
        newest = "issue_week_start_date = (SELECT MAX(issue_week_start_date) FROM insights.demand_drivers)"
        rows = opened.lake.read("insights.demand_drivers", where=newest)
    if rows.is_empty():
        stop("No forecast of a model has been explained yet: baselines stand in while the lake is young.", WRONG_USE)
    for column, value in (("store_id", store), ("product_group", group), (TARGET_WEEK, week)):
        if value is not None:
            rows = rows.filter(pl.col(column).cast(pl.String) == value)
    if rows.is_empty():
        shown = "`liftlake forecast show` lists those of the newest issue, and which groups a baseline forecasts"
        stop(f"No forecast of the model fits; {shown}.", WRONG_USE)
    answer = summary(rows)
    if as_json:
        print_json(answer)
    else:
        _show(answer)


def summary(rows: pl.DataFrame) -> dict[str, Any]:
    """The drivers of some forecasts of one issue, summed; they add up to the sum of their P50."""
    forecasts = rows.unique(_FORECAST)
    return {
        "issue_week_start_date": rows["issue_week_start_date"][0],
        "target_weeks": rows[TARGET_WEEK].unique().sort().to_list(),
        "model_version": rows["model_version"][0],
        "measure": rows["measure"][0],
        "forecasts": forecasts.height,
        "p50": forecasts.sort(_FORECAST)["p50"].sum(),
        "refits": rows["refit_count"].max(),
        "drivers": driver_totals(rows.sort(_FORECAST)).to_dicts(),
    }


def _show(answer: dict[str, Any]) -> None:
    weeks = answer["target_weeks"]
    span = str(weeks[0]) if len(weeks) == 1 else f"{weeks[0]} to {weeks[-1]}"
    out.print(
        f"{answer['forecasts']} forecasts issued after the week of {answer['issue_week_start_date']} for {span}: "
        f"{answer['p50']:,.0f} {answer['measure']}, made up of",
        highlight=False,
    )
    table = Table()
    for heading in ("driver", "part", "adds", "this plan adds", "mean of refits", "same sign"):
        table.add_column(heading, justify="left" if heading in ("driver", "part") else "right")
    for row in answer["drivers"]:
        numbers = [_number(row[name]) for name in ("contribution", "counterfactual", "refit_mean")]
        share = row["same_sign_share"]
        table.add_row(row["driver"], row["part"], *numbers, "" if share is None else f"{share:.0%}")
    out.print(table)
    out.print(
        "adds: why these forecasts differ from the model's average one. this plan adds: the same forecasts less those "
        f"without the plan. same sign: how many of {answer['refits']} refits agree, larger parts counting more.",
        highlight=False,
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:+,.1f}"
