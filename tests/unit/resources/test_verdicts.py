"""Audits in a real event log: what vouches for a version, and what does not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from checks.contracts.loader import load_contracts
from checks.contracts.model import Contract
from resources.instance import open_instance
from resources.settings import load_settings
from resources.validation import RuleResult, Verdict
from resources.verdicts import CONTRACT_CHECK, Fault, broken_audits, newest_audit, unfinished_audits, verdict_metadata

WEEK = (date(2017, 1, 2), date(2017, 1, 2))


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contracts()["bronze", "campaigns"]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the tables of an event log, which take a while to make."""
    home = tmp_path_factory.mktemp("instance")
    with open_instance(load_settings({"LIFTLAKE_HOME": str(home)})):
        return home


@pytest.fixture
def instance(empty: Path, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copytree(empty, tmp_path / "home")
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path / "home")})
    with open_instance(settings) as opened:
        yield opened


def audited(
    instance: dg.DagsterInstance, contract: Contract, version: int, outcome: str = "passed", weeks=None
) -> None:
    """One run of the check with this verdict; an outcome `raised` gives none."""
    rule = RuleResult("start_date_not_null", "not_null", "error", ("start_date",), "passed", 0, [])
    bad = replace(rule, rule_id="end_date_not_null", columns=("end_date",), outcome=outcome, failing_rows=3)

    @dg.asset_check(asset=dg.AssetKey(contract.key), name=CONTRACT_CHECK)
    def check() -> dg.AssetCheckResult:
        if outcome == "raised":
            raise ValueError("the server is gone")
        verdict = Verdict(9, (rule, bad))
        return dg.AssetCheckResult(passed=verdict.passed, metadata=verdict_metadata(verdict, version, contract, weeks))

    job = dg.define_asset_job("checking", dg.AssetSelection.all_asset_checks())
    definitions = dg.Definitions(asset_checks=[check], assets=[dg.AssetSpec(contract.key)], jobs=[job])
    definitions.resolve_job_def("checking").execute_in_process(instance=instance, raise_on_error=False)


def test_an_audit_vouches_for_its_version_only(instance: dg.DagsterInstance, contract: Contract):
    assert newest_audit(instance, contract, 4) is False
    audited(instance, contract, 4)
    assert newest_audit(instance, contract, 4) is True
    assert newest_audit(instance, contract, 5) is False


def test_a_check_that_raised_vouches_for_nothing(instance: dg.DagsterInstance, contract: Contract):
    audited(instance, contract, 5, "raised")
    assert newest_audit(instance, contract, 5) is False


def test_a_check_that_was_begun_and_has_no_result_is_unfinished_until_it_has_one(
    instance: dg.DagsterInstance, contract: Contract
):
    assert unfinished_audits(instance, [contract]) == set()
    audited(instance, contract, 5, "raised")
    assert unfinished_audits(instance, [contract]) == {("bronze", "campaigns")}
    for outcome in ("failed", "passed"):
        audited(instance, contract, 5, outcome)
        assert unfinished_audits(instance, [contract]) == set()


def test_a_failed_audit_names_its_rules_and_columns(instance: dg.DagsterInstance, contract: Contract):
    audited(instance, contract, 5, "failed")
    assert newest_audit(instance, contract, 5) == Fault(("end_date_not_null",), frozenset({"end_date"}))
    audited(instance, contract, 5)
    assert newest_audit(instance, contract, 5) is True


def test_a_rule_that_could_not_run_is_a_fault(instance: dg.DagsterInstance, contract: Contract):
    audited(instance, contract, 5, "not_run")
    assert newest_audit(instance, contract, 5) == Fault(("end_date_not_null",), frozenset({"end_date"}))


def test_some_weeks_or_another_contract_vouch_for_nothing(instance: dg.DagsterInstance, contract: Contract):
    audited(instance, contract, 5, weeks=WEEK)
    assert newest_audit(instance, contract, 5) is False
    audited(instance, replace(contract, sha256="0" * 64), 5)
    assert newest_audit(instance, contract, 5) is False


def test_versions_are_broken_until_a_whole_audit_passes(instance: dg.DagsterInstance, contract: Contract):
    assert broken_audits(instance, contract) == []
    audited(instance, contract, 3)
    assert broken_audits(instance, contract) == []
    audited(instance, contract, 4, "failed")
    audited(instance, contract, 5, "not_run")
    audited(instance, contract, 5, "failed")
    fault = Fault(("end_date_not_null",), frozenset({"end_date"}))
    assert broken_audits(instance, contract) == [(5, fault), (5, fault), (4, fault)]
    # One week that is sound, or an audit that was cut short, mends nothing; another contract does.
    audited(instance, contract, 5, weeks=WEEK)
    audited(instance, contract, 6, "raised")
    assert [version for version, _ in broken_audits(instance, contract)] == [5, 5, 4]
    audited(instance, replace(contract, sha256="0" * 64), 5)
    assert broken_audits(instance, contract) == []


def test_every_rule_shows_its_owner(contract: Contract):
    rule = RuleResult("end_date_not_null", "not_null", "error", ("end_date",), "failed", 2, [])
    found = verdict_metadata(Verdict(9, (rule,)), 1, contract)
    assert found["rules"].value[0]["owner"] == contract.owner
    assert f"| end_date_not_null | {contract.owner} | error |" in found["summary"].value
