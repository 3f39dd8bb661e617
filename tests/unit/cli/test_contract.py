"""`liftlake contract`: exit codes and what programs read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import cli.contract
from checks.contracts.build import DICTIONARY, MODELS, SOURCES


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.contract.contract, list(arguments))


def answer(*arguments: str) -> dict[str, Any]:
    return json.loads(call(*arguments, "--json").stdout)


def test_lint_counts_contracts_and_rules() -> None:
    found = answer("lint")
    assert found["contracts"] >= 30
    assert found["rules"] > found["blocking_rules"] > 0


def test_build_check_names_what_drifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dbt YAML and data dictionary: each of them missing or edited is exit code 1."""
    monkeypatch.setattr(cli.contract, "PROJECT_ROOT", tmp_path)
    everything = [path.as_posix() for path in (SOURCES, MODELS, DICTIONARY)]
    assert call("build", "--check").exit_code == 1
    assert answer("build", "--check") == {"changed": everything}
    assert call("build").exit_code == 0
    assert call("build", "--check").exit_code == 0
    for path in (SOURCES, MODELS, DICTIONARY):
        text = (tmp_path / path).read_text(encoding="utf-8")
        (tmp_path / path).write_text(text.replace("DECIMAL(18,4)", "DOUBLE").replace("decimal(18,4)", "double"))
        result = call("build", "--check")
        assert result.exit_code == 1
        assert f"{path.as_posix()} differs from its contract" in result.stdout
        (tmp_path / path).write_text(text, encoding="utf-8")
