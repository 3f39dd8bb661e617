"""Weeks that an audit refuses, put back so that the others can be published.

Belongs here: which weeks of a version break the contract, and the version without them. Does not belong here: the audit
(audits), what waits for the refused weeks (assets.automation).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date

from checks.contracts.model import Contract
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import ValidationPlan, compile_plan
from resources.audits import audit_weeks, publish_if_new
from resources.commits import Commit, Provenance
from resources.lake import Lake
from resources.spans import Weeks, as_texts, from_texts, in_order, spans, where_sql
from resources.validation import Verdict


def publish_without_refused(
    lake: Lake, contract: Contract, by_name: Mapping[str, Contract], audited: Commit, verdict: Verdict
) -> Weeks:
    """Publish what is sound of a version that did not pass: the weeks that break the contract are as readers see them.

    Args:
        lake: the lake.
        contract, by_name: of the table, and of all by published name.
        audited: the newest version of the table.
        verdict: what its audit found.

    Returns:
        The weeks that were put back; none, and nothing is published, where the version has nothing to go back to: it
        was not made by week, or does not follow the published one, or other code made that one.
    """
    made_from, published = audited.provenance, lake.publication(contract)
    if made_from is None or made_from.made is None or published is None or published.version != audited.version - 1:
        return ()
    if published.provenance.code != made_from.code:
        return ()
    made = from_texts(made_from.made)
    plan = compile_plan(to_pandera(contract))
    refused = _weeks_of_broken_rows(lake, contract, plan, audited, made)
    rules = {rule.id for rule in plan.row_rules}
    if not refused or any(item.severity == "error" and item.rule_id not in rules for item in verdict.failures):
        refused = in_order((*refused, *_failing_weeks(lake, contract, by_name, audited, spans({*made} - {*refused}))))
    # A rule that holds in each week alone and not in all of them is broken by no week that could be named.
    refused = refused or made
    newest = _put_back(lake, contract, published.version, made_from, refused)
    # What is left may break a rule by what is no longer beside it.
    if _failing_weeks(lake, contract, by_name, newest, spans({*made} - {*refused})):
        refused = made
        newest = _put_back(lake, contract, published.version, made_from, refused)
    publish_if_new(lake, contract, newest)
    return refused


def start_from_published(lake: Lake, contract: Contract, made_from: Provenance) -> None:
    """Before some weeks of a table are replaced: take back a version that no audit passed, so that the other weeks are
    those that readers see.

    Nothing where the table is made whole or readers see its newest version. Weeks that other code made are all due.
    """
    published = lake.publication(contract)
    if made_from.made is None or published is None or published.provenance.code != made_from.code:
        return
    if lake.newest(contract).version != published.version:
        with lake.stamped(replace(published.provenance, made=[])):
            lake.spark.sql(f"RESTORE TABLE {contract.audit_name} TO VERSION AS OF {published.version}")
        lake.publish(contract, lake.newest(contract).version, published.provenance)


def _weeks_of_broken_rows(lake: Lake, contract: Contract, plan: ValidationPlan, audited: Commit, made: Weeks) -> Weeks:
    """The weeks with rows that break a blocking rule about one row: one scan."""
    kept = " AND ".join(f"({rule.predicate})" for rule in plan.row_rules if rule.severity == "error") or "TRUE"
    week = contract.week_column
    weeks = lake.query(
        f"SELECT DISTINCT {week} AS week FROM {lake.audit_relation(contract, audited.version)} "
        f"WHERE {where_sql(str(week), made)} AND NOT ({kept})"
    )
    return in_order(weeks["week"])


def _failing_weeks(
    lake: Lake, contract: Contract, by_name: Mapping[str, Contract], version: Commit, parts: Iterable[Weeks]
) -> Weeks:
    """The weeks of some spans that do not pass an audit alone, found by halving."""
    found: list[date] = []
    waiting = list(parts)
    while waiting:
        part = waiting.pop()
        if audit_weeks(lake, contract, by_name, (part[0], part[-1]), version).passed:
            continue
        if len(part) == 1:
            found += part
        else:
            middle = len(part) // 2
            waiting += [part[:middle], part[middle:]]
    return in_order(found)


def _put_back(lake: Lake, contract: Contract, published: int, made_from: Provenance, weeks: Weeks) -> Commit:
    """A version in which some weeks hold the rows that readers see, and which says that these are behind."""
    names, where = ", ".join(contract.column_names), where_sql(str(contract.week_column), weeks)
    behind = as_texts({*from_texts(made_from.behind), *weeks})
    with lake.stamped(replace(made_from, behind=behind, made=as_texts(weeks))):
        lake.spark.sql(
            f"INSERT INTO {contract.audit_name} REPLACE WHERE {where} "
            f"SELECT {names} FROM {contract.audit_name} VERSION AS OF {published} WHERE {where}"
        )
    return lake.newest(contract)
