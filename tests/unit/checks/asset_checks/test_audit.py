"""What is told of a version that broke its contract and of the one that mends it: rules, once, and no values."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from checks.asset_checks.audit import broken_contract, mended_contract
from checks.contracts.loader import load_contracts
from resources.notifier import tell
from resources.settings import PROJECT_ROOT, load_settings
from resources.validation import RuleResult, Verdict
from resources.verdicts import Fault

CONTRACT = load_contracts()["bronze", "households"]
PASSED = RuleResult("household_id_not_null", "not_null", "error", ("household_id",), "passed", 0, [])
FAILED = replace(
    PASSED, rule_id="household_id_unique", outcome="failed", failing_rows=1_234, example=[{"household_id": "secret-7"}]
)
NOT_RUN = replace(PASSED, rule_id="age_known", outcome="not_run")
WARNS = replace(FAILED, rule_id="income_usual", severity="warning")
VERDICT = Verdict(9, (PASSED, FAILED, NOT_RUN, WARNS))


def test_blocking_rules_are_named_with_counts_and_without_values():
    message = broken_contract(CONTRACT, VERDICT, 3)
    assert message.reasons == ("household_id_unique: 1,234 rows", "age_known: not run")
    assert (message.kind, message.table, message.owner) == ("incident", "bronze.households", CONTRACT.owner)
    assert (PROJECT_ROOT / message.runbook).exists()
    assert "secret-7" not in str(message)


UNIQUE, KNOWN = "household_id_unique", "age_known"
FAULT = Fault((UNIQUE, KNOWN), frozenset({"household_id"}))


def told(home: Path) -> list[dict]:
    lines = (home / "notifications.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["message"] for line in lines]


def test_the_same_audit_again_tells_nothing_new_and_another_version_does(tmp_path: Path):
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path)})
    for version in (3, 3, 4):
        tell(settings, [broken_contract(CONTRACT, VERDICT, version)])
    assert [message["summary"].split()[2] for message in told(tmp_path)] == ["3", "4"]


def test_a_mending_names_table_version_owner_and_what_was_broken():
    message = mended_contract(CONTRACT, [(4, replace(FAULT, rules=(UNIQUE,))), (3, FAULT), (3, FAULT)], 5)
    assert message.summary == "bronze.households is mended: version 5 keeps its contract."
    assert message.reasons == (f"{KNOWN}: was broken in version 3", f"{UNIQUE}: was broken in version 3, 4")
    assert (message.kind, message.table, message.owner) == ("mended", "bronze.households", CONTRACT.owner)


def test_a_mending_ends_the_incidents_that_were_told():
    incidents = [broken_contract(CONTRACT, VERDICT, version) for version in (4, 3)]
    assert list(mended_contract(CONTRACT, [(4, FAULT), (4, FAULT), (3, FAULT)], 5).ends) == [
        incident.subject for incident in incidents
    ]


def test_a_mending_is_told_once_whichever_version_passes_and_the_next_one_again(tmp_path: Path):
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path)})
    for broken, version in ((3, 4), (3, 4), (3, 5), (6, 7)):
        tell(settings, [mended_contract(CONTRACT, [(broken, FAULT)], version)])
    assert [message["reasons"][0] for message in told(tmp_path)] == [
        f"{KNOWN}: was broken in version 3",
        f"{KNOWN}: was broken in version 6",
    ]
