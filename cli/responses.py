"""What `liftlake drivers --curves` prints: how demand answers to prices and promotions.

Belongs here: from insights.response_curves to a table or JSON. Does not belong here: estimates (ml.elasticity).
"""

from __future__ import annotations

from typing import Any

import polars as pl
from rich.table import Table

from cli.output import WRONG_USE, out, print_json, stop

_ORDER = ["lever", "product_group", "level"]
_OF_RESPONSE = ("lever", "product_group", "status", "reason", "effect", "effect_lower", "effect_upper", "transactions",
                "store_count", "week_count", "last_week_start_date")  # fmt: skip


def show_responses(curves: pl.DataFrame, group: str | None, *, as_json: bool) -> None:
    """Print the responses of all groups, or of one."""
    rows = curves if group is None else curves.filter(pl.col("product_group") == group)
    if rows.is_empty():
        stop("There is no response of such a product group; `liftlake drivers --curves` lists all.", WRONG_USE)
    answers = responses(rows)
    if as_json:
        print_json({"responses": answers})
        return
    table = Table(title=f"How demand answers, from weeks up to {answers[0]['last_week_start_date']} (95 % intervals)")
    for heading in ("lever", "product group", "effect", "interval", "at", "demand", "said"):
        table.add_column(heading, justify="right" if heading in ("effect", "interval", "at", "demand") else "left")
    for answer in answers:
        table.add_row(answer["lever"], answer["product_group"], *_cells(answer), _said(answer))
    out.print(table)
    out.print(
        "effect: percent of a product's demand per percent of its price; of promotions the change of the logarithm of "
        "the group's demand from none of its products promoted to all. at: the observed level furthest from the usual "
        "one (price over the usual price, share of products), and demand there over the usual one. Associations within "
        "stores and weeks, not proof of a cause.",
        highlight=False,
    )


def responses(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """One row per lever and product group: its effect or why there is none, and its curve."""
    found = []
    for part in rows.sort(_ORDER).partition_by("lever", "product_group", maintain_order=True):
        curve = part.select("level", "demand_index", "lower", "upper").to_dicts()
        found.append({**{name: part[name][0] for name in _OF_RESPONSE}, "curve": curve})
    return found


def _cells(answer: dict[str, Any]) -> tuple[str, str, str, str]:
    if answer["effect"] is None:
        return "", "", "", ""
    usual = 1.0 if answer["lever"] == "price" else 0.0
    far = max(answer["curve"], key=lambda point: abs(point["level"] - usual))
    return (
        f"{answer['effect']:+.2f}",
        f"{answer['effect_lower']:+.2f} to {answer['effect_upper']:+.2f}",
        f"{far['level']:.2f}",
        f"{far['demand_index']:.2f} ({far['lower']:.2f} to {far['upper']:.2f})",
    )


def _said(answer: dict[str, Any]) -> str:
    return answer["status"] if answer["reason"] is None else f"{answer['status']}: {answer['reason']}"
