"""`liftlake plan` and `liftlake run`."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import typer

from assets.automation.plan import Work
from cli.output import JSON_OPTION, WRONG_USE, command, err, out, print_json, stop
from cli.session import Session, session, stop_failed
from resources.settings import Settings, load_settings, write_lake

SELECTION = typer.Argument(None, help="Tables such as gold.demand_series; none means all that is behind.")
AS_OF = typer.Option(None, "--as-of", help="Move the lake's clock to this instant first, e.g. 2017-12-11T05:00:00Z.")


@command
def plan(as_json: bool = JSON_OPTION) -> None:
    """What would be rebuilt, and why. Runs nothing."""
    with session() as opened:
        work = opened.work()
    if as_json:
        print_json({"work": [as_row(item) for item in work]})
    elif not work:
        out.print("Nothing is behind.")
    else:
        for item in work:
            weeks = f"  weeks {item.weeks[0]} to {item.weeks[1]}" if item.weeks else ""
            out.print(f"{'.'.join(item.key):<32} {item.reason}{weeks}", highlight=False, soft_wrap=True)


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
    with session(settings) as opened:
        work = selected(opened, selection, partition or first, partition or last) if selection else opened.work()
        finish(opened, work, as_json=as_json)


def at_clock(settings: Settings, as_of: str | None) -> Settings:
    """Settings with the lake's clock moved; the new clock is kept in lake.yaml."""
    if as_of is None:
        return settings
    try:
        instant = datetime.fromisoformat(as_of)
    except ValueError:
        stop(f"--as-of {as_of!r} is not an instant: write for example 2017-12-11T05:00:00Z.", WRONG_USE)
    if instant.tzinfo is None:
        stop("--as-of needs a time zone: write for example 2017-12-11T05:00:00Z.", WRONG_USE)
    return write_lake(settings, settings.lake.model_copy(update={"as_of": instant}))


def selected(opened: Session, names: list[str], first: str | None, last: str | None) -> list[Work]:
    """The named tables as work, in graph order, for the given or all wanted weeks."""
    nodes = {".".join(node.key): node for node in opened.nodes() if node.has_step}
    unknown = [name for name in names if name not in nodes]
    if unknown:
        stop(f"Unknown table {', '.join(unknown)}. `liftlake status` lists them.", WRONG_USE)
    known = set(opened.graph.week_keys())
    wrong = [week for week in (first, last) if week is not None and week not in known]
    if wrong:
        stop(f"{', '.join(wrong)} is not the first day of a business week of this lake.", WRONG_USE)
    work = []
    for name, node in nodes.items():
        if name in names:
            weeks = node.wanted
            if weeks is not None and (first or last):
                weeks = (
                    date.fromisoformat(first) if first else weeks[0],
                    date.fromisoformat(last) if last else weeks[1],
                )
            work.append(Work(node.key, "asked for", weeks))
    return work


def finish(opened: Session, work: list[Work], *, as_json: bool) -> None:
    """Execute the work and say how it ended."""
    failures = opened.execute(work)
    if as_json:
        outcome = [{"name": item.name, "reason": item.reason} for item in failures]
        print_json({"materialised": [as_row(item) for item in work] if not failures else [], "failures": outcome})
    if failures:
        stop_failed(opened.settings, failures)
    if not as_json:
        err.print(f"{len(work)} tables rebuilt." if work else "Nothing was behind.")


def as_row(item: Work) -> dict[str, Any]:
    weeks = [week.isoformat() for week in item.weeks] if item.weeks else None
    return {"table": ".".join(item.key), "reason": item.reason, "weeks": weeks}
