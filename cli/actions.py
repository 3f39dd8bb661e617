"""`liftlake actions`: what to do next, and the decisions about it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import typer
from rich.table import Table

from assets.insights.actions import LOG, begun, figures_of, plan_actions
from cli.output import JSON_OPTION, WRONG_USE, command, err, native_output_aside, out, print_json, stop
from cli.session import Session, promotion_session
from ml.action_assignments import Decider, approve, edit, standing
from ml.actions import ISSUE_WEEK, Advice
from ml.actions_candidates import total
from ml.actions_draws import TREATED
from ml.actions_limits import Refused
from ml.actions_optimizer import CELL, TARGET_WEEK
from resources.assignments import add_entries, read_log
from resources.outbound import announce

actions = typer.Typer(help="What to do next, and the decisions about it.")
BY = typer.Option(..., "--by", help="Who decides; it is written into the assignment log.")


@actions.callback(invoke_without_command=True)
@command
def advice(
    context: typer.Context,
    budget: float | None = typer.Option(None, "--budget", help="US dollars of the plan, instead of assumptions.yaml."),
    slots: int | None = typer.Option(None, "--slots", help="Activities per store and week, instead of the file."),
    limit: int = typer.Option(20, "--limit", min=1, help="Rows to show; --json has all of them."),
    as_json: bool = JSON_OPTION,
) -> None:
    """The published advice of the newest issue week; with --budget or --slots what would be advised, unpublished."""
    if context.invoked_subcommand is not None:
        return
    with promotion_session() as opened:
        issue = opened.graph.cutoff_week()
        rows = _published(opened, issue)
        is_trial = budget is not None or slots is not None
        # An empty publication says nothing of its reason: planning anew does.
        with native_output_aside():
            found = (
                plan_actions(opened.lake, opened.graph, issue, budget, slots) if is_trial or rows.is_empty() else None
            )
    if found is None:
        gap = float(rows["optimality_gap_percent"].max())  # type: ignore[arg-type]
        found = Advice(rows, rows.height, gap)
    figures: dict[str, Any] = figures_of(found) | {"is_published": not is_trial and not rows.is_empty()}
    if not is_trial:
        figures.pop("candidates")
    if as_json:
        print_json({ISSUE_WEEK: issue, **figures, "actions": found.rows.to_dicts()})
        return
    _show(found.rows, figures, issue, limit)


def _show(rows: pl.DataFrame, figures: dict[str, Any], issue: date, limit: int) -> None:
    if rows.is_empty():
        out.print("No activity is expected to earn its assumed cost within the limits.")
        return
    table = Table(title=f"Advice after the week of {issue}" + ("" if figures["is_published"] else " (a trial)"))
    for heading in ("week", "store", "product group", "activity", "cell", "adds", "90 %", "margin", "assumed cost"):
        table.add_column(heading, justify="left" if heading in {"store", "product group", "activity"} else "right")
    best = rows.sort("incremental_transactions", descending=True, maintain_order=True).head(limit)
    for row in best.iter_rows(named=True):
        low, high = row["incremental_transactions_lower"], row["incremental_transactions_upper"]
        table.add_row(
            str(row[TARGET_WEEK]), row["store_id"], row["product_group"], row["kind"],
            "treated" if row["cell"] == TREATED else "hold-out", f"{row['incremental_transactions']:+.2f}",
            f"{low:+.2f} to {high:+.2f}", f"{row['incremental_margin_usd']:.2f}", f"{row['assumed_cost_usd']:.2f}",
        )  # fmt: skip
    out.print(table)
    low, high = figures["incremental_transactions_lower"], figures["incremental_transactions_upper"]
    out.print(
        f"{figures['treated']} to do, {figures['hold_out']} held out; {figures['incremental_transactions']:+.1f} "
        f"transactions expected (90 %: {low:+.1f} to {high:+.1f}) for {figures['assumed_cost_usd']:.2f} USD of assumed "
        f"costs; at most {figures['optimality_gap_percent']:.2f} % below the best plan.",
        highlight=False,
    )


@actions.command("approve")
@command
def approve_advice(
    reviewed: Path | None = typer.Argument(
        None, help="A CSV of `actions export` as a person left it; all when absent."
    ),
    by: str = BY,
    as_json: bool = JSON_OPTION,
) -> None:
    """Write the newest advice, or what a person made of it, into the assignment log."""
    kept = None if reviewed is None else read_review(reviewed)
    with promotion_session() as opened:
        contract = opened.graph.contract(*LOG)
        rows = _published(opened, opened.graph.cutoff_week())
        log = read_log(opened.lake, contract)
        entries = approve(rows, kept, log, _decider(opened, by, rows[TARGET_WEEK].unique().to_list()))
        batch = add_entries(opened.lake, contract, entries)
        announce(opened.lake)
    _decided(entries, batch, as_json=as_json)


@actions.command("edit")
@command
def edit_assignment(
    store: str = typer.Option(..., "--store"),
    group: str = typer.Option(..., "--group", help="Product group."),
    week: str = typer.Option(..., "--week", help="Target week, by its first day."),
    kind: str = typer.Option(..., "--kind", help="display, mailer, or none: nothing is done."),
    note: str = typer.Option(..., "--note", help="Why."),
    by: str = BY,
    as_json: bool = JSON_OPTION,
) -> None:
    """Decide otherwise about one approved cell; it leaves the comparison of treated with held-out."""
    try:
        target = date.fromisoformat(week)
    except ValueError:
        stop(f"--week takes the first day of a business week, as 2017-12-04; got {week!r}.", WRONG_USE)
    with promotion_session() as opened:
        contract = opened.graph.contract(*LOG)
        log = read_log(opened.lake, contract)
        entries = edit(log, (target, store, group), kind, note, _decider(opened, by, [target]))
        batch = add_entries(opened.lake, contract, entries)
        announce(opened.lake)
    _decided(entries, batch, as_json=as_json)


@actions.command("export")
@command
def export(
    target: Path = typer.Argument(..., help="The CSV to write."),
    advised: bool = typer.Option(False, "--advice", help="The newest advice, to review, instead of what was approved."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Write what was approved and is still to come as a CSV: who executes it reads this; held-out cells are marked."""
    if target.exists():
        stop(f"{target} exists: name another file, or remove it.", WRONG_USE)
    with promotion_session() as opened:
        issue = opened.graph.cutoff_week()
        if advised:
            rows = _published(opened, issue)
        else:
            rows = standing(read_log(opened.lake, opened.graph.contract(*LOG))).filter(pl.col(TARGET_WEEK) > issue)
    if rows.is_empty():
        stop(
            "There is nothing to export: " + ("nothing is advised." if advised else "nothing was approved."), WRONG_USE
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    rows.sort(CELL).write_csv(target)
    if as_json:
        print_json({"file": str(target), "rows": rows.height})
    else:
        err.print(f"{rows.height:,} rows in {target}", highlight=False)


def read_review(path: Path) -> pl.DataFrame:
    """The cells and kinds of a reviewed CSV.

    Raises:
        Refused: the file is missing, or is no CSV with the columns of the key.
    """
    names = [*CELL, "kind"]
    try:
        rows = pl.read_csv(path, infer_schema=False)
        return rows.select(
            pl.col(TARGET_WEEK).str.to_date("%Y-%m-%d"), *(pl.col(name) for name in names if name != TARGET_WEEK)
        ).select(names)
    except (OSError, pl.exceptions.PolarsError) as error:
        first = str(error).splitlines()[0]
        raise Refused(f"{path} is no review: {first}. It needs the columns {', '.join(names)}.") from error


def _published(opened: Session, issue: date) -> pl.DataFrame:
    return opened.lake.read("insights.next_actions", where=f"{ISSUE_WEEK} = DATE'{issue}'").sort(CELL)


def _decider(opened: Session, by: str, weeks: list[date]) -> Decider:
    return Decider(by, opened.settings.as_of, begun(opened.graph, weeks))


def _decided(entries: pl.DataFrame, batch: str, *, as_json: bool) -> None:
    done = entries.filter(~pl.col("is_hold_out") & (pl.col("kind") != "none"))
    left = int(entries["is_hold_out"].sum())
    if as_json:
        print_json({"batch_id": batch, "entries": entries.height, "to_do": done.height, "hold_out": left})
        return
    mean, low, high = total(done)
    err.print(
        f"{entries.height} entries in the assignment log: {done.height} to do, {left} held out; "
        f"{mean:+.1f} transactions expected (90 %: {low:+.1f} to {high:+.1f}).",
        highlight=False,
    )
