"""`liftlake backfill`: the weeks that are behind, or some that are named, each made once; what fails is named.

Belongs here: what is asked for, and what is said of it. Does not belong here: the records
(assets.automation.backfills), running (workbench).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import typer
from dagster._core.utils import make_new_backfill_id

from assets.automation.backfills import ask, close, is_backfilled, outcome_of, tags_of, take_over
from assets.automation.plan import Key, Work, own_reason
from assets.automation.rest import Done, Part, missing_of, reasons_of, rest_of
from assets.automation.runs import Failed
from cli.output import JSON_OPTION, SAYS_NO, WRONG_USE, command, err, out, print_json, stop
from cli.run import SELECTION, say_stopped, selected, stopped_rows
from cli.selection import chosen_nodes
from cli.workbench import Workbench, stop_failed, workbench
from resources.spans import Weeks, said

RESUME = typer.Option(None, "--resume", help="Make what failed or is missing in this backfill, and nothing else.")


@command
def backfill(
    selection: list[str] | None = SELECTION,
    resume: str | None = RESUME,
    weeks: str | None = typer.Option(None, "--weeks", help="Business weeks by their first days, with commas between."),
    first: str | None = typer.Option(None, "--from", help="First business week of a range."),
    last: str | None = typer.Option(None, "--to", help="Last business week of a range."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Rebuild the weeks that late rows touch, each once; a week that fails is left as it was, and named.

    With a selection: of these tables alone, and the weeks that are given. Exit code 1 when weeks failed or wait.
    """
    if resume and (selection or weeks or first or last):
        stop("--resume takes what is left of that backfill: give no tables and no weeks with it.", WRONG_USE)
    if weeks and (first or last):
        stop("Give --weeks, or --from and --to.", WRONG_USE)
    if not selection and (weeks or first or last):
        stop("Name the tables or layers whose weeks are to be made.", WRONG_USE)
    with workbench() as opened:
        assets = opened.definitions.resolve_asset_graph()
        if resume:
            backfill_id, asked = resume, take_over(opened.instance, assets, resume)
            done, _ = outcome_of(opened.instance, resume)
            chosen = rest_of(as_work(opened, asked, f"failed or missing in backfill {resume}"), done, {})
        else:
            named = tuple(weeks.split(",")) if weeks else None
            is_named = bool(named or first or last)
            chosen = by_name(opened, selection or [], named, first, last) if is_named else behind(opened, selection)
            backfill_id, asked = make_new_backfill_id(), {item.key: item.weeks for item in chosen}
        due, stopped = outlook_of(opened, chosen)
        say_stopped(stopped)
        if asked and not resume:
            title = f"{len(asked)} tables, asked for by liftlake backfill"
            ask(opened.instance, assets, backfill_id, asked, title, by_daemon=False)
        if chosen:
            err.print(f"Backfill {backfill_id}: {len(chosen)} tables.", highlight=False)
            work = due + [item for item in chosen if item.key not in stopped]
            opened.execute(work, tags_of(backfill_id), is_isolating=True)
        done, failures = outcome_of(opened.instance, backfill_id)
        if asked:
            close(opened.instance, assets, backfill_id, done)
    answer(backfill_id if asked else None, asked, done, failures, stopped, as_json=as_json)


def behind(opened: Workbench, selection: list[str] | None) -> list[Work]:
    """What is behind between files and training sets, or of a selection; what has arrived is ingested first, because
    nobody knows the weeks of a file before it is read.
    """
    named = {node.key for node in chosen_nodes(opened.nodes(), selection)} if selection else None
    work, _ = opened.outlook()
    arriving = [item for item in work if item.key[0] == "bronze"]
    if any(item.key in opened.state().arrived for item in arriving):
        failures = opened.execute(arriving)
        if failures:
            stop_failed(opened.settings, failures)
        work, _ = opened.outlook()
    wanted = [item for item in work if item.changes]
    return [item for item in wanted if (is_backfilled(item.key) if named is None else item.key in named)]


def by_name(
    opened: Workbench, selection: list[str], weeks: Sequence[str] | None, first: str | None, last: str | None
) -> list[Work]:
    """The named tables and weeks. Ends the command where a table has to be made whole."""
    chosen, state = selected(opened, selection, first, last, weeks), opened.state()
    nodes = {node.key: node for node in opened.nodes()}
    for item in chosen:
        whole = own_reason(nodes[item.key], state)
        if whole is not None and item.weeks is not None and item.weeks != nodes[item.key].wanted:
            name = ".".join(item.key)
            stop(f"{name} has to be made whole, not by week: {whole}. Run `liftlake run {name}`.", WRONG_USE)
    return chosen


def outlook_of(opened: Workbench, chosen: Sequence[Work]) -> tuple[list[Work], dict[Key, str]]:
    """The checks that are due before anything is built, and what of the chosen has to wait for a broken table."""
    work, stopped = opened.outlook()
    keys = {item.key for item in chosen}
    due = [item for item in work if not item.changes and item.key not in keys] if chosen else []
    return due, {key: reason for key, reason in stopped.items() if key in keys}


def as_work(opened: Workbench, asked: Part, reason: str) -> list[Work]:
    """What a backfill asked for as work, upstream first; what the graph no longer has is left out."""
    return [Work(node.key, reason, asked[node.key]) for node in opened.nodes() if node.key in asked]


def answer(
    backfill_id: str | None,
    asked: Part,
    done: Done,
    failures: Sequence[Failed],
    stopped: Mapping[Key, str],
    *,
    as_json: bool,
) -> None:
    """Say what became of a backfill, and end the command accordingly."""
    missing = missing_of(asked, done)
    failed = reasons_of(missing, failures)
    rows = [{"table": ".".join(key), "weeks": texts(weeks), "reason": why} for (key, why), weeks in failed.items()]
    if as_json:
        print_json(
            {
                "id": backfill_id,
                "asked": {".".join(key): texts(weeks) for key, weeks in asked.items()},
                "done": {".".join(key): texts(done_weeks(asked[key], done[key])) for key in asked if done.get(key)},
                "failed": rows,
                "missing": {".".join(key): texts(weeks) for key, weeks in missing.items()},
                "stopped": stopped_rows(stopped),
            }
        )
    for row, weeks in zip(rows, failed.values(), strict=True):
        where = f", weeks {said(weeks)}" if weeks else ""
        err.print(f"{row['table']}{where}: {row['reason']}", highlight=False, soft_wrap=True)
    if missing:
        count = sum(len(weeks or (None,)) for weeks in missing.values())
        stop(
            f"{count} parts of {len(missing)} tables failed or wait for those that did. Mend them, then "
            f"`liftlake backfill --resume {backfill_id}`.",
            SAYS_NO,
        )
    if stopped:
        stop(f"{len(stopped)} tables wait for a table that broke its contract: mend it, then run again.", SAYS_NO)
    if not as_json:
        out.print(f"Backfill {backfill_id}: all done." if asked else "Nothing was behind.", highlight=False)


def done_weeks(asked: Weeks | None, done: Any) -> Weeks | None:
    """The weeks asked for that are done; None for a table without weeks."""
    return None if asked is None else tuple(week for week in asked if week in done)


def texts(weeks: Sequence[date] | None) -> list[str] | None:
    return None if weeks is None else [week.isoformat() for week in weeks]
