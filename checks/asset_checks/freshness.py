"""The freshness check of every table: the contract's SLA against the lake's clock.

Belongs here: the check. Does not belong here: how old a table is (resources.ages), or Dagster's own policy, which looks
at the wall clock and at the whole asset (assets.graph). An old partition's backfill cannot turn this check green,
because it looks at the newest row.
"""

from collections.abc import Sequence

import dagster as dg

from checks.contracts.model import Contract
from resources.ages import table_ages
from resources.lake import Lake

FRESHNESS_CHECK = "freshness"


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
        age = table_ages(lake, [contract])[contract.published_name]
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
