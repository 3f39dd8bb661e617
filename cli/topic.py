"""`liftlake topic`: status, follow, accept."""

from __future__ import annotations

import time
from collections.abc import Iterator

import typer
from rich.table import Table

from assets.gold.event_features import followed_tables
from checks.asset_checks.audit import broken_contract
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from cli.output import JSON_OPTION, SAYS_NO, WRONG_USE, command, err, out, print_json, stop
from cli.session import Session, session
from resources.event_features import EVENTS, BrokenFeatures, FollowedFeatures
from resources.inventory import COUNTS
from resources.notifier import tell
from resources.offsets import Standing, TopicState
from resources.receipts import Receipt
from resources.topic_ingest import TopicIngest
from resources.topics import Topics

topic = typer.Typer(help="Kafka topics: how far they are read, following them, what they lost.")
TABLE = typer.Option(None, "--table", help="Only this bronze table, for example telemetry_events.")
# Between two looks at a topic in which nothing waits.
LOOK_SECONDS = 0.2
# How long a topic that does not run dry keeps others from writing.
HOLD_SECONDS = 60.0


@topic.callback()
def group() -> None:
    """Kafka topics: how far they are read, following them, what they lost."""


@topic.command()
@command
def status(table: str | None = TABLE, as_json: bool = JSON_OPTION) -> None:
    """How far each topic is read; exit code 1 when one does not go on from there."""
    with session() as opened:
        found = {name: reader.standing(name) for name, reader in readers(opened, table)}
    if as_json:
        print_json({"topics": {name: as_row(standing) for name, standing in found.items()}})
    else:
        shown = Table("table", "topic", "partition", "kept from", "read up to", "end")
        for name, standing in found.items():
            for part, end in sorted(standing.state.end.items()):
                read = standing.position.next_offsets.get(part, 0) if standing.position else 0
                first = standing.state.first[part]
                shown.add_row(name, standing.topic, *(f"{number:,}" for number in (part, first, read, end)))
        out.print(shown)
        for standing in found.values():
            for loss in standing.losses:
                out.print(f"[red]{loss}[/]", highlight=False, soft_wrap=True)
    if any(standing.losses for standing in found.values()):
        raise typer.Exit(SAYS_NO)


@topic.command()
@command
def follow(
    table: str | None = TABLE,
    idle: float = typer.Option(0, "--until-idle", min=0, help="End after so many seconds without news; 0: never."),
    wait: float = typer.Option(600, "--wait", min=0, help="Seconds to wait for a run that is writing."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Ingest what comes to the topics as it comes, features of events with it, until Ctrl-C.

    Nobody else writes while something waits.
    """
    receipts: list[Receipt] = []
    with session() as opened:
        opened.lake.prepare()
        try:
            for receipt in batches(opened, table, idle, wait):
                receipts.append(receipt)
                counts = ", ".join(f"{getattr(receipt, count):,} {count}" for count in COUNTS)
                err.print(f"{receipt.file_name} -> bronze.{receipt.table_name}: {counts}", highlight=False)
        except BrokenFeatures as error:
            tell(opened.settings, [broken_contract(error.contract, error.verdict, error.version)])
            stop(f"{error} Its readers stay where they are, and the events are in bronze. Mend it, then run.", SAYS_NO)
        except KeyboardInterrupt:
            err.print("Stopped. The next follow, or the next run, goes on from here.", highlight=False)
    totals = {count: sum(getattr(receipt, count) for receipt in receipts) for count in COUNTS}
    if as_json:
        print_json({**totals, "batches": len(receipts)})
    else:
        out.print(", ".join(f"{number:,} {count}" for count, number in totals.items()), highlight=False)


@topic.command()
@command
def accept(
    reason: str = typer.Option(..., "--reason", help="Why it is gone on from; it is written into the ledger."),
    by: str = typer.Option(..., "--by", help="Who decides; it is written into the ledger."),
    table: str | None = TABLE,
    as_json: bool = JSON_OPTION,
) -> None:
    """Book what a topic has lost as lost, and go on from what it holds now."""
    with session() as opened:
        found = [reader.accept_loss(name, reason, by) for name, reader in readers(opened, table)]
    lost = [receipt for receipt in found if receipt is not None]
    if as_json:
        print_json({"lost": [{"table": item.table_name, "what": item.reason} for item in lost]})
        return
    for receipt in lost:
        out.print(f"bronze.{receipt.table_name}: {receipt.reason}", highlight=False, soft_wrap=True)
    if not lost:
        out.print("Nothing is lost.")


def readers(opened: Session, table: str | None) -> list[tuple[str, TopicIngest]]:
    """(table, reader of its topic) of the lake's tables that have one; ends the command when there is none."""
    names = [name for name in opened.graph.mapping.tables if opened.graph.topic(name) and table in {None, name}]
    if not names:
        stop(
            f"No table{f' {table}' if table else ''} of this lake is fed by a topic: set LIFTLAKE_KAFKA_BROKERS, and "
            "name the table in lake.yaml under `tables`.",
            WRONG_USE,
        )
    topics = Topics(opened.settings)
    return [(name, TopicIngest(opened.lake, opened.graph.mapping, opened.graph.contracts, topics)) for name in names]


def batches(opened: Session, table: str | None, idle: float, wait: float) -> Iterator[Receipt]:
    """The receipts of the batches of all topics, as they are booked."""
    found = readers(opened, table)
    plans = {name: compile_plan(to_pandera(opened.graph.contract("bronze", name))) for name, _ in found}
    opened.lake.claim(wait)
    for name, _ in found:
        opened.lake.ensure_table(opened.graph.contract("bronze", name))
    opened.lake.ensure_table(opened.graph.contract("bronze", "quarantine"))
    features = followed_features(opened)
    seen: dict[str, TopicState] = {}
    newest = time.monotonic()
    while not idle or time.monotonic() - newest < idle:
        for name, reader in found:
            state = reader.state(name)
            if seen.get(name) != state:
                opened.lake.claim(wait)
                # Others may have written since the lake was released.
                followed = features if features is not None and f"bronze.{name}" == EVENTS else None
                if followed is not None:
                    followed.catch_up()
                most, every = opened.settings.kafka_batch_records, opened.settings.kafka_batch_seconds
                for receipt in reader.batches(name, plans[name], most, HOLD_SECONDS, every):
                    if followed is not None:
                        followed.add(receipt)
                    yield receipt
                    newest = time.monotonic()
                seen[name] = state
        opened.lake.release()
        time.sleep(LOOK_SECONDS)


def followed_features(opened: Session) -> FollowedFeatures | None:
    """The feature tables that follow the lake's events; None where it has none."""
    tables = followed_tables(opened.graph)
    if not tables:
        return None
    by_name = {contract.published_name: contract for contract in opened.graph.contracts.values()}
    return FollowedFeatures(opened.lake, tables, by_name, tuple(opened.graph.week_dates()))


def as_row(standing: Standing) -> dict[str, object]:
    state, position = standing.state, standing.position
    return {
        "topic": standing.topic,
        "topic_id": state.topic_id,
        "lag": standing.lag,
        "losses": standing.losses,
        "partitions": {
            str(part): {
                "first": state.first[part],
                "next": position.next_offsets.get(part) if position else None,
                "end": end,
            }
            for part, end in sorted(state.end.items())
        },
    }
