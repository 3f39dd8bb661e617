"""How old the tables are.

Belongs here: the newest row of a table that the lake's clock may know, beside the SLA of its contract. Does not belong
here: what follows from a late table (asset checks, status, report).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from checks.contracts.model import Contract
from resources.lake import Lake


@dataclass(frozen=True)
class Age:
    """How a table stands against its SLA. `newest` is None when no row could be known yet."""

    newest: datetime | None
    as_of: datetime
    allowed: timedelta

    @property
    def is_fresh(self) -> bool:
        return self.newest is not None and self.as_of - self.newest <= self.allowed


def table_ages(lake: Lake, contracts: Sequence[Contract]) -> dict[str, Age]:
    """The newest row of every published table that the lake's clock may know, in one query.

    A table whose contract names no time column is as fresh as its inputs: fresh when it is published. A table that is
    not published is not fresh. Whether a table may be empty is a rule of its own; an empty one has no age.
    """
    as_of = lake.settings.as_of
    clock = f"TIMESTAMP'{as_of.astimezone(UTC):%Y-%m-%d %H:%M:%S}'"
    newest: dict[str, datetime | None] = {}
    parts = []
    for contract in contracts:
        name, column = contract.published_name, contract.freshness.column
        is_published = lake.exists(name)
        newest[name] = as_of if is_published else None
        if is_published and column is not None:
            parts.append(
                f"SELECT '{name}' AS name, COUNT(*) AS row_count, "
                f"MAX(CAST({column} AS TIMESTAMP)) FILTER (WHERE {column} <= {clock}) AS newest FROM {name}"
            )
    for row in lake.query(" UNION ALL ".join(parts)).iter_rows(named=True) if parts else ():
        newest[row["name"]] = row["newest"] if row["row_count"] else as_of
    return {
        contract.published_name: Age(newest[contract.published_name], as_of, timedelta(days=contract.freshness.days))
        for contract in contracts
    }
