"""What is told of a version that broke its contract: rules and counts, once, and no values."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from checks.asset_checks.audit import broken_contract
from checks.contracts.loader import load_contracts
from resources.notifier import tell
from resources.settings import PROJECT_ROOT, load_settings
from resources.validation import RuleResult, Verdict

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


def test_the_same_audit_again_tells_nothing_new_and_another_version_does(tmp_path: Path):
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path)})
    for version in (3, 3, 4):
        tell(settings, [broken_contract(CONTRACT, VERDICT, version)])
    told = [json.loads(line) for line in (tmp_path / "notifications.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry["message"]["summary"].split()[2] for entry in told] == ["3", "4"]
