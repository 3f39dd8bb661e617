"""`liftlake status`."""

from __future__ import annotations

from typing import Any

import typer
from rich.table import Table

from checks.asset_checks.freshness import late_sources
from cli.output import JSON_OPTION, command, out, print_json
from cli.session import Session, session
from ml.champions import changes
from resources.ages import table_ages
from resources.inventory import holdings


@command
def status(
    as_json: bool = JSON_OPTION,
    digests: bool | None = typer.Option(
        None,
        "--digests/--no-digests",
        help="Canonical digest of every table; by default with --json. Minutes at first, then remembered by version.",
    ),
) -> None:
    """What the lake holds: counts, versions, freshness, champions."""
    with session() as opened:
        content = lake_status(opened, with_digests=as_json if digests is None else digests)
    if as_json:
        print_json(content)
    else:
        show(content)


def lake_status(opened: Session, *, with_digests: bool) -> dict[str, Any]:
    """The object that `status --json` promises."""
    contracts = list(opened.graph.contracts.values())
    held = holdings(opened.lake, contracts, with_digests=with_digests)
    ages = table_ages(opened.lake, contracts, opened.graph.mapping)
    tables: dict[str, Any] = {}
    for contract in contracts:
        name = contract.published_name
        if name in held:
            holding = held[name]
            tables[name] = {
                **holding.counts,
                "rows": holding.rows,
                "version": holding.version,
                "fresh": ages[name].is_fresh,
                "late": late_sources(ages[name]),
                "digest": holding.digest,
            }
    return {"as_of": opened.settings.as_of, "tables": tables, "champions": champions(opened)}


def champions(opened: Session) -> dict[str, Any]:
    """Model name -> version of the champion and the clock since which it is in charge."""
    if not opened.lake.exists("models.champion_history"):
        return {}
    history = changes(opened.lake.read("models.champion_history"))
    return {
        row["model_name"]: {"model_version": row["model_version"], "since": row["decided_as_of"]}
        for row in history.iter_rows(named=True)
    }


def show(content: dict[str, Any]) -> None:
    """The same for people."""
    table = Table(title=f"Lake as of {content['as_of']:%Y-%m-%d %H:%M} UTC")
    for heading in ("table", "rows", "version", "fresh", "received", "accepted", "quarantined", "duplicates"):
        table.add_column(heading, justify="left" if heading == "table" else "right", no_wrap=True)
    for name, row in content["tables"].items():
        counts = [
            f"{row[count]:,}" if count in row else "" for count in ("received", "accepted", "quarantined", "duplicates")
        ]
        table.add_row(name, f"{row['rows']:,}", str(row["version"]), "yes" if row["fresh"] else "LATE", *counts)
    out.print(table)
    for name, row in content["tables"].items():
        for late in row["late"]:
            who = f" of {late['source']}" if late["source"] else ""
            weeks = f"; no row for the weeks of {', '.join(late['missing_weeks'])}" if late["missing_weeks"] else ""
            out.print(
                f"LATE {name}{who}: newest row {late['newest'] or 'none'}{weeks}", highlight=False, soft_wrap=True
            )
    for model, champion in content["champions"].items():
        out.print(f"champion {model}: {champion['model_version'][:12]} since {champion['since']:%Y-%m-%d}")
