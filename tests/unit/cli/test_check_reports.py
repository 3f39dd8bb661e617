"""Check results as files: what another program or a reviewer gets to see."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from cli.check_reports import as_markdown, write_junit


def result(check: str, outcome: str = "passed", severity: str = "error", failing_rows: int = 0) -> dict[str, Any]:
    return {
        "asset": "silver.dim_store", "check": check, "partition": None, "severity": severity, "outcome": outcome,
        "owner": "team:data-platform", "failing_rows": failing_rows,
        "example": [{"store_id": "330"}] if failing_rows else [],
    }  # fmt: skip


RESULTS = [result("key"), result("range", "failed", failing_rows=1234), result("late", "failed", "warn"),
           result("gone", "not_run")]  # fmt: skip
COUNTS = {"passed": 1, "failed": 1, "not_run": 1}


def test_junit_fails_what_failed_or_did_not_run_and_no_warning(tmp_path: Path):
    write_junit(tmp_path / "checks.xml", RESULTS)
    suite = ET.parse(tmp_path / "checks.xml").getroot()[0]
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("silver.dim_store", "4", "2")
    failed = {case.get("name") for case in suite if case.find("failure") is not None}
    assert failed == {"range", "gone"}


def test_markdown_names_rules_and_counts_but_shows_no_row():
    text = as_markdown(RESULTS, COUNTS, warned=1)
    assert text.startswith("**1 passed, 1 failed, 1 not run, 1 warnings**")
    assert "| silver.dim_store | range | team:data-platform | error | failed | 1,234 |" in text
    assert "330" not in text
    assert "key" not in text


def test_markdown_of_a_clean_check_is_one_line():
    assert as_markdown([result("key")], {"passed": 1, "failed": 0, "not_run": 0}, warned=0).count("\n") == 1
