"""`liftlake contract`: exit codes and what programs read."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

import cli.contract
from checks.contracts.build import DICTIONARY, MODELS, SOURCES
from checks.contracts.loader import FOLDER, draft_contracts
from resources.revisions import contracts_at
from resources.settings import Settings

Document = dict[str, Any]
LINES = Path("silver/fct_receipt_lines.odcs.yaml")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.contract.contract, list(arguments))


def answer(*arguments: str) -> dict[str, Any]:
    return json.loads(call(*arguments, "--json").stdout)


def test_lint_counts_contracts_and_rules() -> None:
    found = answer("lint")
    assert found["contracts"] >= 30
    assert found["rules"] > found["blocking_rules"] > 0


def test_lint_names_every_rule_that_does_not_compile(
    planted: Callable[[Callable[[Document], None]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = planted(drop_units)
    monkeypatch.setattr(cli.contract, "draft_contracts", lambda: draft_contracts(folder))
    result = call("lint")
    assert result.exit_code == 2
    assert "silver/fct_receipt_lines.odcs.yaml: schema[0].quality[1].implementation.expression" in result.stderr
    assert "schema[0].quality[7].implementation.measures.quantity_units" in result.stderr


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


@pytest.fixture
def planted(tmp_path: Path) -> Callable[[Callable[[Document], None]], Path]:
    """Copies the project's contracts and changes that of the receipt lines; the folder of the copy."""

    def plant(change: Callable[[Document], None]) -> Path:
        folder = tmp_path / "contracts"
        shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        document = yaml.safe_load((folder / LINES).read_text(encoding="utf-8"))
        change(document)
        (folder / LINES).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return folder

    return plant


def columns(document: Document) -> list[Document]:
    return document["schema"][0]["properties"]


def drop_units(document: Document) -> None:
    document["schema"][0]["properties"] = [item for item in columns(document) if item["name"] != "quantity_units"]


def retype_units(document: Document) -> None:
    next(item for item in columns(document) if item["name"] == "quantity_units")["physicalType"] = "STRING"


def describe_units(document: Document) -> None:
    next(item for item in columns(document) if item["name"] == "quantity_units")["description"] = "Units."


def test_diff_of_the_same_contracts_is_empty() -> None:
    assert answer("diff", str(FOLDER), str(FOLDER)) == {"breaking": 0, "additive": 0, "neutral": 0, "changes": []}
    assert call("diff", str(FOLDER), str(FOLDER)).exit_code == 0


@pytest.mark.parametrize(("change", "kind"), [(drop_units, "column_removed"), (retype_units, "column_changed")])
def test_a_planted_breaking_change_is_exit_code_1(
    planted: Callable[[Callable[[Document], None]], Path], change: Callable[[Document], None], kind: str
) -> None:
    """The rules and generated totals that name the column need not be mended first: they are findings as well."""
    folder = planted(change)
    result = call("diff", str(FOLDER), str(folder), "--json")
    assert result.exit_code == 1
    found = {item["kind"]: item for item in json.loads(result.stdout)["changes"]}
    assert found[kind]["columns"] == ["quantity_units"]
    assert {kind, "contract_broken", "version_not_raised"} <= found.keys()
    file = call("diff", str(FOLDER / LINES), str(folder / LINES))
    assert file.exit_code == 1
    assert "breaking for readers" in file.stdout


def test_a_neutral_change_is_exit_code_0(planted: Callable[[Callable[[Document], None]], Path]) -> None:
    result = call("diff", str(FOLDER), str(planted(describe_units)), "--json")
    assert result.exit_code == 0
    assert [item["kind"] for item in json.loads(result.stdout)["changes"]] == ["description_changed"]


def test_impact_names_features_models_and_forecasts(
    planted: Callable[[Callable[[Document], None]], Path], graph_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFTLAKE_HOME", str(graph_settings.home))
    folder = planted(drop_units)
    result = call("diff", str(FOLDER), str(folder), "--impact", "--json")
    assert result.exit_code == 1
    impact = json.loads(result.stdout)["impact"]
    certain = {
        kind: {row["table"] for row in impact[kind] if row["certainty"] == "uses"}
        for kind in ("tables", "models", "forecasts", "insights")
    }
    assert certain == {
        "tables": {
            "gold.demand_series",
            "gold.demand_features",
            "gold.demand_labels",
            "gold.promotion_events",
            "gold.training_sets",
        },
        "models": {
            "models.demand_studies",
            "models.demand_backtest",
            "models.demand_comparisons",
            "models.totals_backtest",
            "models.demand_models",
            "models.feature_uses",
            "models.champion_history",
            "models.reference_histograms",
            "models.drift_statistics",
            "models.drift_decisions",
        },
        "forecasts": {"forecasts.demand_forecasts", "forecasts.demand_totals", "forecasts.forecast_accuracy"},
        "insights": {
            "insights.demand_drivers",
            "insights.promotion_lift",
            "insights.next_actions",
            "insights.action_outcomes",
            "insights.report",
            "insights.response_curves",
        },
    }
    assert set(impact["features"]["uses"]) == {
        "quantity_units_lag_0",
        "quantity_units_mean_8",
        "quantity_units_mean_26",
        "quantity_units_expanding_mean",
        "quantity_units_ses",
        "units_per_transaction_13",
        "unit_price_usd_13",
        "unit_price_change_4_13",
    }
    assert "transactions_lag_0" in impact["features"]["may_use"]
    tests = {(row["table"], row["test"]) for row in impact["data_tests"]}
    assert tests == {("silver.fct_receipt_lines", "silver_names_no_household")}
    told = call("diff", str(FOLDER), str(folder), "--impact").stdout
    assert "gold.demand_series uses it through silver.fct_receipt_lines (quantity_units): quantity_units" in told


@pytest.mark.parametrize("arguments", [[], [str(FOLDER)], [str(FOLDER), str(FOLDER), "--against", "HEAD"]])
def test_diff_wants_two_versions(arguments: list[str]) -> None:
    assert call("diff", *arguments).exit_code == 2


def test_what_is_not_there_is_exit_code_2(tmp_path: Path) -> None:
    assert call("diff", str(tmp_path / "nowhere"), str(FOLDER)).exit_code == 2
    assert call("diff", "--against", "no-such-revision").exit_code == 2


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
    )


def test_contracts_at_a_revision(tmp_path: Path) -> None:
    """A revision is read as it was committed, whatever the working tree holds now."""
    folder = tmp_path / "checks" / "contracts"
    (folder / LINES).parent.mkdir(parents=True)
    shutil.copy(FOLDER / LINES, folder / LINES)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    (folder / LINES).write_text("changed", encoding="utf-8")
    with contracts_at("HEAD", tmp_path) as found:
        assert (found / LINES).read_bytes() == (FOLDER / LINES).read_bytes()
    with pytest.raises(LookupError, match="no such revision"), contracts_at("--help", tmp_path):
        pass


def test_coverage_prints_what_is_not_emitted(tmp_path: Path) -> None:
    path = tmp_path / "other.odcs.yaml"
    base = {"apiVersion": "v3.0.2", "kind": "DataContract", "id": "x", "version": "1", "status": "draft"}
    table = {"name": "t", "properties": [{"name": "a", "logicalType": "time"}, {"name": "b", "logicalType": "date"}]}
    path.write_text(yaml.safe_dump({**base, "schema": [table]}), encoding="utf-8")
    result = call("coverage", str(path))
    assert result.exit_code == 0
    assert "other.odcs.yaml: table 1 of 1, column 1 of 2 emitted" in result.stdout
    assert (
        "unsupported column schema[0].properties[0]: logicalType: there is no column type for 'time'" in result.stdout
    )
    (found,) = answer("coverage", str(path))["files"]
    assert found["counts"]["column"] == {"emitted": 1, "unsupported": 1}
    path.write_text("schema: nothing", encoding="utf-8")
    assert call("coverage", str(path)).exit_code == 2
