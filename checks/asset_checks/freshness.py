"""The freshness check of every table: the contract's SLA against the lake's clock.

Belongs here: the check. Does not belong here: how old a table is (resources.ages), or Dagster's own policy, which looks
at the wall clock and at the whole asset (assets.graph). An old partition's backfill cannot turn this check green,
because it looks at the newest row of each source, and at every week that is due.
"""

from collections.abc import Sequence

import dagster as dg

from checks.contracts.model import Contract
from resources.ages import Age, table_ages
from resources.lake import Lake
from resources.mapping import SourceMapping

FRESHNESS_CHECK = "freshness"


def freshness_checks(contracts: Sequence[Contract], mapping: SourceMapping) -> list[dg.AssetChecksDefinition]:
    """One warning check per table; `mapping` is that of the lake's own source."""
    return [_freshness_check(contract, mapping) for contract in contracts]


def _freshness_check(contract: Contract, mapping: SourceMapping) -> dg.AssetChecksDefinition:
    weekly = ", and no business week that is due is without rows" if contract.freshness.every_week else ""

    @dg.asset_check(
        asset=dg.AssetKey(contract.key),
        name=FRESHNESS_CHECK,
        description=f"The newest row of each source is at most {contract.freshness.days:g} open days before the lake's "
        f"clock{weekly}.",
    )
    def freshness_check(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        age = table_ages(lake, [contract], mapping)[contract.published_name]
        return dg.AssetCheckResult(
            passed=age.is_fresh,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "newest": age.newest.isoformat() if age.newest else "no row",
                "as_of": age.as_of.isoformat(),
                "allowed_days": contract.freshness.days,
                "late": dg.MetadataValue.json(late_sources(age)),
                "owner": contract.owner,
            },
        )

    return freshness_check


def late_sources(age: Age) -> list[dict[str, object]]:
    """What is late, by source: its newest row, and the weeks that are due and have none."""
    return [
        {
            "source": item.source,
            "newest": item.newest.isoformat() if item.newest else None,
            "missing_weeks": [week.isoformat() for week in item.missing_weeks],
        }
        for item in age.sources
        if not item.is_fresh
    ]
