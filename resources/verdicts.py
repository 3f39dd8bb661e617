"""Audits as Dagster keeps them: written as the metadata of a contract check, and read back by the next run.

Belongs here: both directions of that one format. Does not belong here: how an audit runs (validation,
checks.asset_checks) or what follows from it (assets.automation).

A check that did not run vouches for nothing: the version it should have seen counts as not audited until it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg
from dagster import AssetCheckEvaluation, DagsterInstance
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from checks.contracts.model import Contract
from resources.spans import Weeks, from_texts, in_order
from resources.validation import RuleResult, Verdict

CONTRACT_CHECK = "contract"
# Which version of which contract was held against which version of the table; which weeks alone, absent for all.
VERSION, CONTRACT_SHA256, WEEKS = "delta_version", "contract_sha256", "weeks"
# The weeks of a run that break the contract and were put back, so that its other weeks could be published.
REFUSED = "refused_weeks"
# Of the version: the weeks that are as an earlier one had them, although they are due.
BEHIND = "weeks_behind"
# So many of the newest results are looked through.
LOOKED_AT = 20


@dataclass(frozen=True)
class Fault:
    """An audit that did not pass: the blocking rules that do not hold, and the columns that they read.

    `weeks` are the ones that break them where the others were published; none where nothing was.
    """

    rules: tuple[str, ...]
    columns: frozenset[str]
    weeks: Weeks = ()


def together(first: Fault, second: Fault) -> Fault:
    """What two audits of a table found broken; no weeks where one of them published nothing."""
    weeks = in_order((*first.weeks, *second.weeks)) if first.weeks and second.weeks else ()
    return Fault(tuple(dict.fromkeys((*first.rules, *second.rules))), first.columns | second.columns, weeks)


def newest_audit(instance: DagsterInstance, contract: Contract, version: int) -> Fault | bool:
    """The newest whole audit of a version by the contract as it is: True when it passed, False when there is none."""
    for evaluation in _evaluations(instance, contract):
        if _vouches_for(evaluation, contract, version):
            return True if evaluation.passed else fault_of(evaluation)
    return False


def unfinished_audits(instance: DagsterInstance, contracts: Iterable[Contract]) -> set[tuple[str, str]]:
    """The tables whose newest check was begun, and its process died before Dagster had the result."""
    by_check = {dg.AssetCheckKey(dg.AssetKey(item.key), CONTRACT_CHECK): item for item in contracts}
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key([*by_check])
    begun = AssetCheckExecutionRecordStatus.PLANNED
    return {(by_check[key].layer, by_check[key].name) for key, record in records.items() if record.status == begun}


def broken_audits(instance: DagsterInstance, contract: Contract) -> list[tuple[int, Fault]]:
    """What whole audits found broken since the last one that passed with no week behind, by version, newest first.

    By the contract as it was then: one that asks for less mends a table too.
    """
    found: list[tuple[int, Fault]] = []
    for evaluation in _evaluations(instance, contract):
        if WEEKS in evaluation.metadata:
            continue
        if evaluation.passed and BEHIND in evaluation.metadata:
            continue
        if evaluation.passed:
            break
        version: Any = evaluation.metadata[VERSION].value
        found.append((version, fault_of(evaluation)))
    return found


def _evaluations(instance: DagsterInstance, contract: Contract) -> Iterator[AssetCheckEvaluation]:
    """The results of a table's contract check, newest first; a check that did not run has none."""
    key = dg.AssetCheckKey(dg.AssetKey(contract.key), CONTRACT_CHECK)
    for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=LOOKED_AT):
        event = record.event.dagster_event if record.event else None
        if event is not None and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            yield event.asset_check_evaluation_data


def _vouches_for(evaluation: AssetCheckEvaluation, contract: Contract, version: int) -> bool:
    found = {name: value.value for name, value in evaluation.metadata.items()}
    seen = (found.get(VERSION), found.get(CONTRACT_SHA256), found.get(WEEKS))
    return seen == (version, contract.sha256, None)


def fault_of(evaluation: AssetCheckEvaluation) -> Fault:
    """What a failed audit says is broken; a rule about the table as a whole breaks every column that any rule reads."""
    rules: Any = evaluation.metadata["rules"].value
    broken = [rule for rule in rules if rule["outcome"] != "passed" and rule["severity"] == "error"]
    # The rule about the schema reads every column.
    every = [column for rule in rules for column in rule["columns"]]
    columns = frozenset(column for rule in broken for column in rule["columns"] or every)
    refused: Any = evaluation.metadata[REFUSED].value if REFUSED in evaluation.metadata else []
    return Fault(tuple(rule["rule"] for rule in broken), columns, from_texts(refused))


def verdict_metadata(
    verdict: Verdict, version: int, contract: Contract, weeks: tuple[date, date] | None = None
) -> dict[str, Any]:
    """What the UI, the command line and the next run read of an audit; `weeks` where it was asked for some alone."""
    owners = {rule.id: contract.owner_of(rule) for rule in contract.all_rules}
    span = {WEEKS: [week.isoformat() for week in weeks]} if weeks else {}
    return {
        **span,
        CONTRACT_SHA256: contract.sha256,
        "rows_audited": verdict.row_count,
        VERSION: version,
        "failed_rules": len(verdict.failures),
        "failing_rows": max((result.failing_rows for result in verdict.failures), default=0),
        "rules": dg.MetadataValue.json([_shown(result, owners[result.rule_id]) for result in verdict.results]),
        "summary": dg.MetadataValue.md(_markdown(verdict, owners)),
    }


def _shown(result: RuleResult, owner: str) -> dict[str, object]:
    return {
        "rule": result.rule_id,
        "owner": owner,
        "columns": list(result.columns),
        "kind": result.kind,
        "severity": result.severity,
        "outcome": result.outcome,
        "failing_rows": result.failing_rows,
        "example": result.example,
    }


def _markdown(verdict: Verdict, owners: Mapping[str, str]) -> str:
    if not verdict.failures:
        return f"All {len(verdict.results)} rules hold on {verdict.row_count:,} rows."
    lines = [
        f"| {r.rule_id} | {owners[r.rule_id]} | {r.severity} | {r.outcome} | {r.failing_rows:,} |"
        for r in verdict.failures
    ]
    return "| rule | owner | severity | outcome | failing rows |\n|---|---|---|---|---:|\n" + "\n".join(lines)
