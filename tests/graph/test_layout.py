"""What the layout promises: dbt is dbt, the workspace loads from anywhere, generated files follow the contracts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import dbt.version
import yaml

from checks.contracts.build import build
from checks.contracts.loader import load_contracts
from checks.contracts.presence import present
from resources.mapping import load_mapping
from resources.settings import PROJECT_ROOT, Settings


def test_dbt_is_the_package_and_the_folder_holds_no_python():
    assert "site-packages" in str(Path(dbt.version.__file__))
    assert not list((PROJECT_ROOT / "dbt").rglob("*.py"))


def test_generated_files_are_up_to_date():
    assert build(PROJECT_ROOT, check=True) == []


def test_only_settings_read_the_environment():
    found = subprocess.run(
        ["git", "grep", "-nE", r"os\.(environ|getenv)", "--", "*.py", ":!resources/settings.py", ":!tests"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == ""


def test_the_workspace_loads_from_another_directory(tmp_path: Path, graph_settings: Settings):
    dagster = str(Path(sys.executable).parent / "dagster")
    done = subprocess.run(
        [dagster, "definitions", "validate", "-w", str(PROJECT_ROOT / "workspace.yaml")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"LIFTLAKE_HOME": str(graph_settings.home), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_silver_contract_is_a_dbt_model_and_the_other_way_round():
    models = yaml.safe_load((PROJECT_ROOT / "dbt/models/marts/_silver__models.yml").read_text(encoding="utf-8"))
    sql = {path.stem for path in (PROJECT_ROOT / "dbt/models/marts").glob("*.sql")}
    contracts = {name for layer, name in load_contracts() if layer == "silver"}
    assert {model["name"] for model in models["models"]} == sql == contracts


def test_every_contract_is_an_asset(definitions: dg.Definitions):
    keys = {tuple(key.path) for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    contracts = load_contracts()
    delivered = {f"bronze.{name}" for name in load_mapping("completejourney").having(()).tables}
    assert keys == set(present(contracts, delivered))
    # What the demo's source does not deliver: returns, and an app.
    assert set(contracts) - keys == {
        ("silver", "fct_returns"), ("bronze", "telemetry_events"), ("silver", "fct_telemetry"),
        ("gold", "household_event_features"), ("gold", "store_event_features"),
    }  # fmt: skip
