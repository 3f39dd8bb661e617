"""The blocking check of every table: its contract, run by Spark as Pandera declares it, and the publication.

Belongs here: the audit of one table and its presentation. Does not belong here: what a contract says, how a rule runs.
Publishing is the last act of the audit (ADR 0003): the version that passed becomes what readers see, in the same step,
so that nothing downstream can start on an unaudited version.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

import dagster as dg

from checks.contracts.model import Contract
from resources.audits import audit_table, audit_weeks, publish_if_new
from resources.commits import Commit
from resources.isolation import publish_without_refused
from resources.lake import Lake
from resources.notifier import Message, tell
from resources.registry import Registry
from resources.spans import Weeks, as_texts, said
from resources.validation import Verdict
from resources.verdicts import BEHIND, CONTRACT_CHECK, REFUSED, Fault, broken_audits, verdict_metadata

# On a run that checks one business week and makes nothing.
CHECKED_WEEK_TAG = "liftlake/checked_week"
# On a run whose tables are published together, when all of them have passed.
HELD_TAG = "liftlake/held"


RUNBOOK = "docs/runbooks/broken-table.md"

# What follows a table's publication, in the same step.
Follow = Callable[[Lake, Registry], None]


def audit_checks(
    contracts: Sequence[Contract], followed_by: Mapping[str, Follow] | None = None
) -> list[dg.AssetChecksDefinition]:
    """One blocking check per table; `followed_by`: published name to what follows its publication."""
    by_name = {contract.published_name: contract for contract in contracts}
    follow = followed_by or {}
    return [_audit_check(contract, by_name, follow.get(contract.published_name)) for contract in contracts]


def _audit_check(
    contract: Contract, by_name: Mapping[str, Contract], follow: Follow | None
) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(contract.key),
        name=CONTRACT_CHECK,
        blocking=True,
        description=f"{len(contract.blocking_rules)} blocking rules of {contract.file}, as Pandera declares them; "
        "the version that passes is published.",
        metadata={"rules": len(contract.all_rules), "blocking_rules": len(contract.blocking_rules)},
    )
    def contract_check(
        context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake], registry: dg.ResourceParam[Registry]
    ) -> dg.AssetCheckResult:
        week = context.run.tags.get(CHECKED_WEEK_TAG)
        if week is not None:
            only = (date.fromisoformat(week), date.fromisoformat(week))
            newest = lake.newest(contract)
            verdict = audit_weeks(lake, contract, by_name, only, newest)
            metadata = verdict_metadata(verdict, newest.version, contract, only)
            return dg.AssetCheckResult(passed=verdict.passed, metadata=metadata)
        verdict, audited = audit_table(lake, contract, by_name, weeks=_weeks_of(context.run.tags))
        is_held, refused = HELD_TAG in context.run.tags, ()
        if verdict.passed and not is_held:
            publish_if_new(lake, contract, audited)
            if follow is not None:
                follow(lake, registry)
        elif not verdict.passed and not is_held and _weeks_of(context.run.tags):
            refused = publish_without_refused(lake, contract, by_name, audited, verdict)
        if not verdict.passed:
            tell(lake.settings, [broken_contract(contract, verdict, audited.version, refused)])
        elif not weeks_behind(audited) and (broken := broken_audits(context.instance, contract)):
            tell(lake.settings, [mended_contract(contract, broken, audited.version)])
        metadata = {
            **verdict_metadata(verdict, audited.version, contract),
            **({REFUSED: as_texts(refused)} if refused else {}),
            **({BEHIND: weeks_behind(audited)} if weeks_behind(audited) else {}),
        }
        return dg.AssetCheckResult(passed=verdict.passed, metadata=metadata)

    return contract_check


def weeks_behind(audited: Commit) -> list[str]:
    """The weeks of a version that are due and as an earlier one had them, as texts of spans."""
    return audited.provenance.behind if audited.provenance is not None else []


def broken_contract(contract: Contract, verdict: Verdict, version: int, refused: Weeks = ()) -> Message:
    """The incident of a version that did not pass: its blocking rules and how many rows break each, no values.

    `refused` are the weeks that stay as they were while the others were published.
    """
    broken = [result for result in verdict.failures if result.severity == "error"]
    rules = [result.rule_id for result in broken]
    stays = "what reads the broken columns waits" if contract.layer == "bronze" else "readers stay on the one before it"
    if refused:
        stays = f"weeks {said(refused)} stay as they were, the others are published"
    return Message(
        subject=_subject(contract, version, rules),
        kind="incident",
        summary=f"{contract.published_name} version {version} breaks its contract; {stays}.",
        reasons=tuple(
            f"{result.rule_id}: {result.failing_rows:,} rows"
            if result.outcome == "failed"
            else f"{result.rule_id}: not run"
            for result in broken
        ),
        table=contract.published_name,
        owner=contract.owner,
        runbook=RUNBOOK,
    )


def mended_contract(contract: Contract, broken: Sequence[tuple[int, Fault]], version: int) -> Message:
    """What ends the incidents since the last version that passed: the rules that were broken, no values.

    Its subject is that of the newest of them, so that the same mending is told once, whichever audit finds it.
    """
    incidents = tuple(dict.fromkeys(_subject(contract, number, fault.rules) for number, fault in broken))
    versions: dict[str, set[int]] = {}
    for number, fault in broken:
        for rule in fault.rules:
            versions.setdefault(rule, set()).add(number)
    return Message(
        subject=f"mended {incidents[0]}",
        kind="mended",
        summary=f"{contract.published_name} is mended: version {version} keeps its contract.",
        reasons=tuple(
            f"{rule}: was broken in version {', '.join(map(str, sorted(numbers)))}"
            for rule, numbers in sorted(versions.items())
        ),
        table=contract.published_name,
        owner=contract.owner,
        runbook=RUNBOOK,
        ends=incidents,
    )


def _subject(contract: Contract, version: int, rules: Iterable[str]) -> str:
    """What an incident of a contract is about."""
    return f"contract {contract.published_name} {version} {' '.join(sorted(rules))}"


def _weeks_of(tags: Mapping[str, str]) -> tuple[date, date] | None:
    """The business weeks of a run over a range or one partition; None for any other run."""
    first, last = tags.get("dagster/asset_partition_range_start"), tags.get("dagster/asset_partition_range_end")
    first, last = first or tags.get("dagster/partition"), last or tags.get("dagster/partition")
    return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None
