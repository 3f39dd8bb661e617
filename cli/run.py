"""`liftlake plan` and `liftlake run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import typer

from assets.automation.plan import Key, Work
from cli.output import JSON_OPTION, SAYS_NO, WRONG_USE, command, err, instant_of, out, print_json, stop
from cli.selection import chosen_nodes
from cli.workbench import Workbench, stop_failed, workbench
from resources.settings import Settings, load_settings, write_lake
from resources.spans import between, in_order, said

SELECTION = typer.Argument(None, help="Tables such as gold.demand_series, or layers; none means all that is behind.")
AS_OF = typer.Option(None, "--as-of", help="Move the lake's clock to this instant first, e.g. 2017-12-11T05:00:00Z.")


@command
def plan(as_json: bool = JSON_OPTION) -> None:
    """What would be rebuilt, and why. Runs nothing."""
    with workbench() as opened:
        work, stopped = opened.outlook()
    if as_json:
        print_json({"work": [as_row(item) for item in work], "stopped": stopped_rows(stopped)})
        return
    if not work:
        out.print("Nothing is behind.")
    for item in work:
        weeks = f"  weeks {said(item.weeks)}" if item.weeks else ""
        out.print(f"{'.'.join(item.key):<32} {item.reason}{weeks}", highlight=False, soft_wrap=True)
    say_stopped(stopped)


@command
def run(
    selection: list[str] | None = SELECTION,
    partition: str | None = typer.Option(None, "--partition", help="One business week, by its first day."),
    first: str | None = typer.Option(None, "--from", help="First business week of a range."),
    last: str | None = typer.Option(None, "--to", help="Last business week of a range."),
    as_of: str | None = AS_OF,
    as_json: bool = JSON_OPTION,
) -> None:
    """Rebuild what is behind; with a selection, rebuild just that. Exit code 1 when a step or check says no."""
    settings = at_clock(load_settings(), as_of)
    with workbench(settings) as opened:
        work, stopped = opened.outlook()
        if selection:
            asked = selected(opened, selection, partition or first, partition or last)
            # A check that is due comes first: without it nobody knows what the selection would be built on.
            due = [item for item in work if not item.changes and item.key not in {other.key for other in asked}]
            work = due + [item for item in asked if item.key not in stopped]
            stopped = {item.key: stopped[item.key] for item in asked if item.key in stopped}
        finish(opened, work, stopped, as_json=as_json)


def at_clock(settings: Settings, as_of: str | None) -> Settings:
    """Settings with the lake's clock moved; the new clock is kept in lake.yaml."""
    if as_of is None:
        return settings
    return write_lake(settings, settings.lake.model_copy(update={"as_of": instant_of("--as-of", as_of)}))


def selected(
    opened: Workbench, names: list[str], first: str | None, last: str | None, only: Sequence[str] | None = None
) -> list[Work]:
    """The named tables and layers as work, in graph order, for the given or all wanted weeks."""
    nodes = chosen_nodes([node for node in opened.nodes() if node.has_step], names)
    known = set(opened.graph.week_keys())
    wrong = [week for week in (first, last, *(only or ())) if week is not None and week not in known]
    if wrong:
        stop(f"{', '.join(wrong)} is not the first day of a business week of this lake.", WRONG_USE)
    work = []
    for node in nodes:
        weeks = node.wanted
        if weeks is not None and only:
            weeks = in_order(map(date.fromisoformat, only))
        elif weeks is not None and (first or last):
            start, end = (date.fromisoformat(week) if week else None for week in (first, last))
            weeks = between(start or weeks[0], end or weeks[-1])
            if not weeks:
                stop(f"{last or weeks} lies before {first}.", WRONG_USE)
        work.append(Work(node.key, "asked for", weeks))
    return work


def stopped_rows(stopped: Mapping[Key, str]) -> list[dict[str, str]]:
    return [{"table": ".".join(key), "reason": reason} for key, reason in stopped.items()]


def say_stopped(stopped: Mapping[Key, str]) -> None:
    """One line for every table that has to wait."""
    for key, reason in stopped.items():
        err.print(f"{'.'.join(key)} waits: it {reason}.", highlight=False, soft_wrap=True)


def finish(opened: Workbench, work: list[Work], stopped: Mapping[Key, str], *, as_json: bool) -> None:
    """Execute the work and say how it ended; what had to wait for a broken table is no success."""
    say_stopped(stopped)
    failures = opened.execute(work)
    if as_json:
        outcome = [{"name": item.name, "reason": item.reason} for item in failures]
        made = [as_row(item) for item in work] if not failures else []
        print_json({"materialised": made, "failures": outcome, "stopped": stopped_rows(stopped)})
    if failures:
        stop_failed(opened.settings, failures)
    if stopped:
        stop(f"{len(stopped)} tables wait for a table that broke its contract: mend it, then run again.", SAYS_NO)
    if not as_json:
        err.print(f"{len(work)} tables rebuilt." if work else "Nothing was behind.")


def as_row(item: Work) -> dict[str, Any]:
    weeks = [week.isoformat() for week in item.weeks] if item.weeks else None
    return {"table": ".".join(item.key), "reason": item.reason, "weeks": weeks}
