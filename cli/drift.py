"""`liftlake drift`."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import polars as pl
import typer
from rich.table import Table

from cli.output import JSON_OPTION, WRONG_USE, command, out, print_json, stop
from cli.session import session


@command
def drift(
    week: str | None = typer.Option(None, "--week", help="A week, by its first day; the newest when absent."),
    limit: int = typer.Option(15, "--limit", min=1, help="Columns to show; --json has all of them."),
    as_json: bool = JSON_OPTION,
) -> None:
    """How far a week is from what the model in charge was trained on, and what was decided about it."""
    with session() as opened:
        decisions = opened.lake.read("models.drift_decisions").sort("week_start_date")
        statistics = opened.lake.read("models.drift_statistics").sort("week_start_date", "p_value", "subject")
    chosen = _week(week, decisions)
    rows = statistics.filter(pl.col("week_start_date") == chosen)
    (decision,) = decisions.filter(pl.col("week_start_date") == chosen).to_dicts()
    decision["evidence"] = json.loads(decision["evidence"])
    if as_json:
        print_json({"decision": decision, "statistics": rows.to_dicts()})
        return
    _show(decision, rows.head(limit))


def _week(asked: str | None, decisions: pl.DataFrame) -> date:
    known = decisions["week_start_date"].to_list()
    if not known:
        stop("Nothing was decided about drift yet: run `liftlake run models.drift_decisions`.", WRONG_USE)
    if asked is None:
        return known[-1]
    found = [item for item in known if item.isoformat() == asked]
    if not found:
        stop(f"There is no decision about the week of {asked}; the newest is that of {known[-1]}.", WRONG_USE)
    return found[0]


def _show(decision: dict[str, Any], rows: pl.DataFrame) -> None:
    out.print(f"Week of {decision['week_start_date']}: {decision['cause']}, {decision['response']}", highlight=False)
    for reason in decision["reasons"]:
        out.print(f"  {reason}", highlight=False)
    if rows.is_empty():
        return
    table = Table(title=f"Furthest from what model {decision['model_version'][:12]} was trained on")
    for heading in ("column", "PSI", "usually", "KS", "Wasserstein", "p", ""):
        table.add_column(heading, justify="left" if heading in ("column", "") else "right")
    for row in rows.iter_rows(named=True):
        numbers = [f"{row[name]:.2f}" for name in ("psi", "psi_usual", "ks", "wasserstein")]
        mark = row["fault"] or ("drifted" if row["is_drifted"] else "")
        table.add_row(row["subject"], *numbers, f"{row['p_value']:.2g}", mark)
    out.print(table)
