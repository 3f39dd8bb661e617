"""Which business weeks a batch of receipt lines changes beside its own.

Belongs here: the reach of corrections, voids and returns into earlier weeks. Does not belong here: what a restated line
is (dbt), or rebuilding (assets.automation).

A later version of a line restates the week in which the line stood before. A return, or a sale in a chain of sales and
returns of one household and product, may change what is matched to what: it restates the weeks of that chain.
"""

from __future__ import annotations

from dataclasses import replace

from checks.contracts.rule_sql import literal
from resources.lake import Lake
from resources.receipts import Receipt
from resources.spans import Weeks, in_order

LINES = "bronze.pos_lines"
LINE_KEY = ("transaction_id", "line_id")
CHAIN_KEY = ("household_id", "product_id")


def with_restated_weeks(lake: Lake, receipt: Receipt) -> Receipt:
    """The receipt of a batch of receipt lines that is committed, its weeks widened by those that it restates."""
    if receipt.first_week_start_date is None or receipt.last_week_start_date is None:
        return receipt
    weeks = restated_weeks(lake, f"batch_id = {literal(receipt.batch_id)}")
    return replace(
        receipt,
        first_week_start_date=min((*weeks, receipt.first_week_start_date)),
        last_week_start_date=max((*weeks, receipt.last_week_start_date)),
    )


def restated_weeks(lake: Lake, is_new: str) -> Weeks:
    """The weeks of the receipt lines of some batches, and those that they restate.

    Args:
        lake: the lake.
        is_new: SQL condition over `batch_id` that the batches fulfil.
    """
    own = f"SELECT week_start_date FROM {LINES} WHERE {is_new}"
    touched = f"{own} UNION ALL {_touched(LINE_KEY, is_new)} UNION ALL {_touched(CHAIN_KEY, is_new)}"
    return in_order(lake.query(f"SELECT DISTINCT week_start_date FROM ({touched})")["week_start_date"])


def _touched(key: tuple[str, ...], is_new: str) -> str:
    """The weeks of all lines that share a key with the batches; for chains only where something was brought back."""
    same = " AND ".join(f"other.{column} = new.{column}" for column in key)
    new = f"SELECT DISTINCT {', '.join(key)} FROM {LINES} WHERE {is_new}"
    if key == CHAIN_KEY:
        new += f" INTERSECT SELECT {', '.join(key)} FROM {LINES} WHERE line_kind = 'return'"
    return f"SELECT week_start_date FROM {LINES} other LEFT SEMI JOIN ({new}) new ON {same}"
