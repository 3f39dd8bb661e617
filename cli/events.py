"""`liftlake events`: list and send."""

from __future__ import annotations

from functools import partial

import typer
from rich.table import Table

from cli.output import JSON_OPTION, SAYS_NO, WRONG_USE, command, err, out, print_json, stop
from cli.session import session
from resources.outbound import Book, beginning, channels_of, is_waiting, read_book, send_waiting
from resources.outbound_events import events_since
from resources.settings import load_settings

events = typer.Typer(help="What other programs are told: what waits, and sending it.")


@events.callback()
def group() -> None:
    """What other programs are told: what waits, and sending it."""


@events.command("list")
@command
def list_events(
    limit: int = typer.Option(40, "--limit", min=1, help="The newest rows to show; --json has all of them."),
    as_json: bool = JSON_OPTION,
) -> None:
    """The events that the channels get, oldest first; where no channel is set, those that one would get."""
    with session() as opened:
        names, book = channels_of(opened.settings), read_book(opened.settings)
        begins = {name: beginning(opened.settings, book, name) for name in names}
        found = events_since(opened.lake, min(begins.values(), default=beginning(opened.settings, book, "")))
    begun = Book(begins, book.taken)
    waiting = {event.id: [name for name in names if is_waiting(begun, name, event)] for event in found}
    if as_json:
        shown = [{**event.envelope(), "waits_for": waiting[event.id]} for event in found]
        print_json({"channels": begins, "events": shown})
        return
    table = Table("time", "type", "subject", "id", "waits for")
    for event in found[-limit:]:
        table.add_row(event.time, event.type, event.subject, event.id[:12], ", ".join(waiting[event.id]))
    out.print(table)
    count = sum(bool(held) for held in waiting.values())
    out.print(f"{len(found)} events, {count} of them wait." if names else "No channel is set: nothing is sent.")


@events.command()
@command
def send(as_json: bool = JSON_OPTION) -> None:
    """Send what the channels have not taken yet; exit code 1 when one does not take all of it."""
    if not channels_of(load_settings()):
        stop("No channel is set: set LIFTLAKE_EVENTS_TOPIC or LIFTLAKE_EVENTS_WEBHOOK.", WRONG_USE)
    with session() as opened:
        outcome = send_waiting(opened.settings, partial(events_since, opened.lake))
    if as_json:
        print_json({"taken": outcome.taken, "problems": outcome.problems})
    else:
        for name, count in outcome.taken.items():
            out.print(f"{name}: {count} events sent", highlight=False)
        for problem in outcome.problems:
            err.print(problem, highlight=False, soft_wrap=True)
    if outcome.problems:
        raise typer.Exit(SAYS_NO)
