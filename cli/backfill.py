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

from assets.automation.backfills import ask, asked_by, close, is_backfilled, outcome_of, tags_of
from assets.automation.plan import Key, Work, own_reason
from assets.automation.rest import Done, Part, missing_of, reasons_of, rest_of
from cli.output import JSON_OPTION, SAYS_NO, WRONG_USE, command, err, out, print_json, stop
from cli.run import SELECTION, say_stopped, selected, stopped_rows
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

    With a selection and weeks: these. Exit code 1 when weeks failed or wait for others.
    """
    if resume and (selection or weeks or first or last):
        stop("--resume takes what is left of that backfill: give no tables and no weeks with it.", WRONG_USE)
    if weeks and (first or last):
        stop("Give --weeks, or --from and --to.", WRONG_USE)
    with workbench() as opened:
        asset_graph = opened.definitions.resolve_asset_graph()
        stopped: Mapping[Key, str] = {}
        if resume:
            backfill_id, asked = resume, asked_by(opened.instance, asset_graph, resume)
            done, _ = outcome_of(opened.instance, resume)
            work = rest_of(as_work(opened, asked, f"failed or missing in backfill {resume}"), done, {})
        else:
            named = tuple(weeks.split(",")) if weeks else None
            work, stopped = asked_now(opened, selection or [], named, first, last)
            backfill_id, asked = make_new_backfill_id(), {item.key: item.weeks for item in work}
            if work:
                title = f"{len(work)} tables, asked for by liftlake backfill"
                ask(opened.instance, asset_graph, backfill_id, asked, title, by_daemon=False)
        say_stopped(stopped)
        if work:
            err.print(f"Backfill {backfill_id}: {len(work)} tables.", highlight=False)
            opened.execute(work, tags_of(backfill_id), is_isolating=True)
        done, failures = outcome_of(opened.instance, backfill_id)
        if asked:
            close(opened.instance, asset_graph, backfill_id, done)
        missing = missing_of(asked, done)
        failed = reasons_of(missing, failures)
    answer(backfill_id if asked else None, asked, done, missing, failed, stopped, as_json=as_json)


def asked_now(
    opened: Workbench, selection: list[str], weeks: Sequence[str] | None, first: str | None, last: str | None
) -> tuple[list[Work], Mapping[Key, str]]:
    """What is behind between files and training sets, or the named tables and weeks; and what has to wait.

    What has arrived is ingested first: before a file is read nobody knows its weeks.
    """
    nodes = {node.key: node for node in opened.nodes()}
    work, stopped = opened.outlook()
    arriving = [item for item in work if item.key[0] == "bronze"]
    if any(item.reason.startswith("arrived") for item in arriving) and not selection:
        failures = opened.execute(arriving)
        if failures:
            stop_failed(opened.settings, failures)
        work, stopped = opened.outlook()
    if not selection:
        if weeks or first or last:
            stop("Name the tables or layers whose weeks are to be made.", WRONG_USE)
        chosen = [item for item in work if is_backfilled(item.key)]
        return chosen, {key: reason for key, reason in stopped.items() if is_backfilled(key)}
    asked = selected(opened, selection, first, last, weeks)
    state = opened.state()
    for item in asked:
        whole = own_reason(nodes[item.key], state)
        if whole is not None and item.weeks is not None and item.weeks != nodes[item.key].wanted:
            name = ".".join(item.key)
            stop(f"{name} has to be made whole, not by week: {whole}. Run `liftlake run {name}`.", WRONG_USE)
    waits = opened.stopped_by(state.faults)
    return [item for item in asked if item.key not in waits], {
        item.key: waits[item.key] for item in asked if item.key in waits
    }


def as_work(opened: Workbench, asked: Part, reason: str) -> list[Work]:
    """What a backfill asked for as work, upstream first; what the graph no longer has is left out."""
    return [Work(node.key, reason, asked[node.key]) for node in opened.nodes() if node.key in asked]


def answer(
    backfill_id: str | None,
    asked: Part,
    done: Done,
    missing: Part,
    failed: Mapping[tuple[Key, str], Weeks],
    stopped: Mapping[Key, str],
    *,
    as_json: bool,
) -> None:
    """Say what became of a backfill, and end the command accordingly."""
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
