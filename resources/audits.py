"""Auditing the newest version of a table and publishing what passed.

Belongs here: which version, which weeks and which references an audit reads, and the publication. Does not belong here:
the queries (validation), asset checks, what follows a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from checks.contracts.model import Contract
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import ValidationPlan, compile_plan
from resources.commits import Commit
from resources.lake import Lake
from resources.validation import Verdict, audit


def audit_table(
    lake: Lake, contract: Contract, by_name: Mapping[str, Contract], weeks: tuple[date, date] | None = None
) -> tuple[Verdict, Commit]:
    """Audit the newest version of a table, published or not.

    A run over some weeks reads those only, when the version before its own is the published one: all other rows are
    then as an earlier audit passed them.

    References to tables of the same layer are to their newest versions too: they are published by audits of the same
    run, in no particular order.
    """
    newest = lake.newest(contract)
    published = None if weeks is None or contract.layer == "bronze" else lake.publication(contract)
    if published is None or published.version != newest.version - 1:
        weeks = None
    return audit_weeks(lake, contract, by_name, weeks, newest), newest


def audit_weeks(
    lake: Lake, contract: Contract, by_name: Mapping[str, Contract], weeks: tuple[date, date] | None, newest: Commit
) -> Verdict:
    """Audit these weeks of the newest version of a table; None reads all of it. Some weeks alone publish nothing."""
    plan: ValidationPlan = compile_plan(to_pandera(contract))
    references = {
        name: lake.audit_relation(by_name[name]) for name in plan.references if by_name[name].layer == contract.layer
    }
    relation = lake.audit_relation(contract, newest.version)
    return audit(lake.spark, relation, plan, references=references, weeks=weeks, week_column=contract.week_column)


def publish_if_new(lake: Lake, contract: Contract, audited: Commit) -> None:
    """Point readers at an audited version, unless they see it already. Bronze is read as it is.

    Raises:
        LookupError: nobody knows what the version was made from.
    """
    if contract.layer == "bronze":
        return
    current = lake.publication(contract)
    if current is None or current.version != audited.version:
        if audited.provenance is None:
            raise LookupError(
                f"{contract.audit_name} version {audited.version} was not written by Liftlake: rebuild it with "
                f"`liftlake run {contract.published_name}`."
            )
        lake.publish(contract, audited.version, audited.provenance)
