"""The blocking check of every table: its contract, run by Spark as Pandera declares it, and the publication.

Belongs here: the audit of one table and its presentation. Does not belong here: what a contract says, how a rule runs.
Publishing is the last act of the audit (ADR 0003): the version that passed becomes what readers see, in the same step,
so that nothing downstream can start on an unaudited version.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import dagster as dg

from checks.contracts.model import Contract
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import ValidationPlan, compile_plan
from resources.lake import Lake
from resources.validation import Verdict, audit
from resources.verdicts import CONTRACT_CHECK, verdict_metadata

# On a run that checks one business week and makes nothing.
CHECKED_WEEK_TAG = "liftlake/checked_week"
# On a run whose tables are published together, when all of them have passed.
HELD_TAG = "liftlake/held"


def audit_checks(contracts: Sequence[Contract]) -> list[dg.AssetChecksDefinition]:
    """One blocking check per table."""
    by_name = {contract.published_name: contract for contract in contracts}
    return [_audit_check(contract, by_name) for contract in contracts]


def _audit_check(contract: Contract, by_name: Mapping[str, Contract]) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(contract.key),
        name=CONTRACT_CHECK,
        blocking=True,
        description=f"{len(contract.blocking_rules)} blocking rules of {contract.file}, as Pandera declares them; "
        "the version that passes is published.",
        metadata={"rules": len(contract.all_rules), "blocking_rules": len(contract.blocking_rules)},
    )
    def contract_check(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        week = context.run.tags.get(CHECKED_WEEK_TAG)
        if week is not None:
            only = (date.fromisoformat(week), date.fromisoformat(week))
            verdict, version = audit_weeks(lake, contract, by_name, only)
            metadata = verdict_metadata(verdict, version, contract, only)
            return dg.AssetCheckResult(passed=verdict.passed, metadata=metadata)
        verdict, version = audit_table(lake, contract, by_name, weeks=_weeks_of(context.run.tags))
        if verdict.passed and HELD_TAG not in context.run.tags:
            publish_if_new(lake, contract, version)
        return dg.AssetCheckResult(passed=verdict.passed, metadata=verdict_metadata(verdict, version, contract))

    return contract_check


def _weeks_of(tags: Mapping[str, str]) -> tuple[date, date] | None:
    """The business weeks of a run over a range or one partition; None for any other run."""
    first, last = tags.get("dagster/asset_partition_range_start"), tags.get("dagster/asset_partition_range_end")
    first, last = first or tags.get("dagster/partition"), last or tags.get("dagster/partition")
    return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None


def audit_table(
    lake: Lake, contract: Contract, by_name: Mapping[str, Contract], weeks: tuple[date, date] | None = None
) -> tuple[Verdict, int]:
    """Audit the newest version of a table, published or not.

    A run over some weeks reads those only, when the version before its own is the published one: all other rows are
    then as an earlier audit passed them.

    References to tables of the same layer are to their newest versions too: they are published by audits of the same
    run, in no particular order.
    """
    published = None if weeks is None or contract.layer == "bronze" else lake.publication(contract)
    if published is None or published.version != lake.newest_version(contract) - 1:
        weeks = None
    return audit_weeks(lake, contract, by_name, weeks)


def audit_weeks(
    lake: Lake, contract: Contract, by_name: Mapping[str, Contract], weeks: tuple[date, date] | None
) -> tuple[Verdict, int]:
    """Audit these weeks of the newest version of a table; None reads all of it. Some weeks alone publish nothing."""
    plan: ValidationPlan = compile_plan(to_pandera(contract))
    version = lake.newest_version(contract)
    references = {
        name: lake.audit_relation(by_name[name]) for name in plan.references if by_name[name].layer == contract.layer
    }
    relation = lake.audit_relation(contract, version)
    verdict = audit(lake.spark, relation, plan, references=references, weeks=weeks, week_column=contract.week_column)
    return verdict, version


def publish_if_new(lake: Lake, contract: Contract, version: int) -> None:
    """Point readers at an audited version, unless they see it already. Bronze is read as it is."""
    if contract.layer == "bronze":
        return
    current = lake.publication(contract)
    if current is None or current.version != version:
        made_from = lake.newest_provenance(contract)
        if made_from is None:
            raise dg.Failure(
                f"{contract.audit_name} version {version} was not written by Liftlake: rebuild it with "
                f"`liftlake run {contract.published_name}`.",
                allow_retries=False,
            )
        lake.publish(contract, version, made_from)
