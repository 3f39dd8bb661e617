"""`liftlake lift`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import typer
from rich.table import Table

from cli.output import JSON_OPTION, WRONG_USE, command, out, print_json, stop
from cli.session import promotion_session
from ml.lift import NET
from ml.lift_parts import AFTER, OTHERS, PARTS, PROMOTED, REST

TABLE = "insights.promotion_lift"
_PARTS = {PROMOTED: "line", REST: "group", OTHERS: "others", AFTER: "after"}


@command
def lift(
    group: str | None = typer.Option(None, "--group", help="Only promotions of this product group."),
    limit: int = typer.Option(20, "--limit", min=1, help="Promotions to show; --json has all."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Promotions by their net incremental transactions; those without a design with the reason, counted."""
    with promotion_session() as opened:
        rows = opened.lake.read(TABLE)
    if group is not None:
        rows = rows.filter(pl.col("product_group") == group)
    if rows.is_empty():
        stop("No promotion fits; `liftlake lift` without --group lists the groups that have any.", WRONG_USE)
    answer = summary(rows)
    if as_json:
        print_json(answer)
    else:
        _show(answer, limit)


def summary(rows: pl.DataFrame) -> dict[str, Any]:
    """The promotions with a number, best first; sums of them; how many have none, and why.

    Returns:
        promotions: net rows of events, each with `parts` (incremental transactions of each part); totals: the same of
        sums, all first; refused: counts by verdict, with the reason of the largest.
    """
    parts = {
        (level, event): dict(own.select("part", "incremental_transactions").iter_rows())
        for (level, event), own in rows.filter(pl.col("part") != NET)
        .partition_by("level", "event_id", as_dict=True)
        .items()
    }
    net = rows.filter(pl.col("part") == NET).with_columns(is_event=pl.col("level") == "event")
    measured = net.filter(pl.col("incremental_transactions").is_not_null())
    ranked = measured.sort(
        ["is_event", "level", "incremental_transactions", "event_id"], descending=[False, False, True, False]
    )
    found = [{**row, "parts": parts[row["level"], row["event_id"]]} for row in ranked.drop("part").to_dicts()]
    refused = net.filter(pl.col("incremental_transactions").is_null()).sort(
        ["planned_stores", "event_id"], descending=[True, False]
    ).group_by("verdict", maintain_order=True).agg(
        promotions=pl.len(), example=pl.col("event_id").first(), reason=pl.col("reason").first()
    )  # fmt: skip
    return {
        "promotions": [row for row in found if row.pop("is_event")],
        "totals": [row for row in found if row["level"] != "event"],
        "refused": refused.sort(["promotions", "verdict"], descending=[True, False]).to_dicts(),
    }


def _show(answer: dict[str, Any], limit: int) -> None:
    _table("net incremental transactions, all measured promotions together", answer["totals"])
    promotions = answer["promotions"]
    _table(f"promotions, best first ({min(limit, len(promotions))} of {len(promotions)})", promotions[:limit])
    if answer["refused"]:
        table = Table(title="promotions of which nothing can be said")
        for heading in ("number", "why", "as"):
            table.add_column(heading, justify="right" if heading == "number" else "left")
        for row in answer["refused"]:
            table.add_row(f"{row['promotions']:,}", row["verdict"].replace("_", " "), row["reason"])
        out.print(table)
    out.print(
        "net = the promoted line in its weeks + the rest of its group + other groups + the line in the three weeks "
        "after; a basket counts once per group. stores: measured / untreated. naive: its weeks less the four before.",
        highlight=False,
    )


def _table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    table = Table(title=title)
    table.add_column("promotion", min_width=30)
    for heading in ("stores", "net", "90 %", *_PARTS.values(), "2nd design", "naive"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for row in rows:
        name, value = row["event_id"], "incremental_transactions"
        ends = f"{row[f'{value}_lower']:+,.0f} to {row[f'{value}_upper']:+,.0f}"
        numbers = [row["parts"][part] for part in PARTS] + [row["synthetic_transactions"], row["naive_transactions"]]
        stores = f"{row['measured_stores']} / {row['untreated_stores']}"
        verdict = row["verdict"].replace("_", " ")
        table.add_row(name, stores, f"{row[value]:+,.0f}", ends, *(f"{number:+,.0f}" for number in numbers), verdict)
    out.print(table)
