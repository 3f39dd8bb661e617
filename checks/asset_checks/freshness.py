"""The freshness check of every table: the contract's SLA against the lake's clock.

Belongs here: how old the newest row that could be known is. Does not belong here: Dagster's own policy, which looks
at the wall clock and at the whole asset (assets.graph). An old partition's backfill cannot turn this check green,
because it looks at the newest row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from checks.contracts.model import Contract
from resources.lake import Lake

FRESHNESS_CHECK = "freshness"


@dataclass(frozen=True)
class Age:
    """How a table stands against its SLA. `newest` is None when no row could be known yet."""

    newest: datetime | None
    as_of: datetime
    allowed: timedelta

    @property
    def is_fresh(self) -> bool:
        return self.newest is not None and self.as_of - self.newest <= self.allowed


def table_age(lake: Lake, contract: Contract) -> Age:
    """The newest row of the published table that the lake's clock may know.

    A table whose contract names no time column is as fresh as its inputs: fresh when it is published. A table that is
    not published is not fresh.
    """
    as_of = lake.settings.as_of
    allowed = timedelta(days=contract.freshness.days)
    column = contract.freshness.column
    if not lake.exists(contract.published_name):
        return Age(None, as_of, allowed)
    if column is None:
        return Age(as_of, as_of, allowed)
    clock = f"TIMESTAMP'{as_of.astimezone(UTC):%Y-%m-%d %H:%M:%S}'"
    found = lake.query(
        f"SELECT MAX(CAST({column} AS TIMESTAMP)) FILTER (WHERE {column} <= {clock}) AS newest, COUNT(*) AS row_count "
        f"FROM {contract.published_name}"
    )
    # Whether a table may be empty is a rule of its own; an empty one has no age.
    newest = found["newest"][0] if found["row_count"][0] else as_of
    return Age(newest, as_of, allowed)


def freshness_checks(contracts: Sequence[Contract]) -> list[dg.AssetChecksDefinition]:
    """One warning check per table."""
    return [_freshness_check(contract) for contract in contracts]


def _freshness_check(contract: Contract) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(contract.key),
        name=FRESHNESS_CHECK,
        description=f"The newest row is at most {contract.freshness.days:g} days before the lake's clock.",
    )
    def freshness_check(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        age = table_age(lake, contract)
        return dg.AssetCheckResult(
            passed=age.is_fresh,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "newest": age.newest.isoformat() if age.newest else "no row",
                "as_of": age.as_of.isoformat(),
                "allowed_days": contract.freshness.days,
            },
        )

    return freshness_check
