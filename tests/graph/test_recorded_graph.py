"""The asset graph equals its recorded copy: an accidental change of a key, dependency, owner or partition shows here.

After an intended change: `python -m tests.graph.test_recorded_graph` writes the record anew; read its diff.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg

from assets.automation.state import nodes_of
from definitions import build_graph
from resources.settings import Settings

RECORD = Path(__file__).parent / "recorded_graph.json"


def graph_as_data(definitions: dg.Definitions) -> dict[str, Any]:
    """Keys, deps, groups, owners, kinds, partitions, conditions and checks of every asset; no digests, no paths."""
    graph = definitions.resolve_asset_graph()
    found = {}
    for key in sorted(graph.get_all_asset_keys()):
        asset = graph.get(key)
        condition = asset.automation_condition
        found[key.to_user_string()] = {
            "deps": sorted(parent.to_user_string() for parent in asset.parent_keys),
            "group": asset.group_name,
            "owners": list(asset.owners),
            "kinds": sorted(asset.kinds),
            "weekly": asset.partitions_def is not None,
            "single_run": asset.backfill_policy is not None and asset.backfill_policy.max_partitions_per_run is None,
            "weeks": asset.tags.get("liftlake/weeks"),
            "condition": condition.get_label() if condition else None,
            "has_step": asset.is_materializable,
            "checks": sorted(check.name for check in asset.check_keys),
        }
    return found


def test_the_graph_is_the_recorded_one(definitions: dg.Definitions):
    assert graph_as_data(definitions) == json.loads(RECORD.read_text(encoding="utf-8"))


def test_jobs_schedules_and_sensors(definitions: dg.Definitions):
    repository = definitions.get_repository_def()
    names = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert names == {"whole_graph", "ingest_files", "rebuild_weeks", "retrain", "ci_sample"}
    assert [schedule.name for schedule in repository.schedule_defs] == ["weekly"]
    starts = {sensor.name: sensor.default_status.value for sensor in repository.sensor_defs}
    assert starts == {
        "landing_folder": "STOPPED", "drift_response": "STOPPED", "automation": "STOPPED", "watchdog": "RUNNING",
    }  # fmt: skip


def test_windows_read_all_weeks_before_and_plans_up_to_the_longest_horizon_ahead(
    definitions: dg.Definitions, graph_settings: Settings
):
    found = {
        node.key: node.read_through
        for node in nodes_of(definitions.resolve_asset_graph(), build_graph(graph_settings))
        if node.read_through
    }
    assert found == {
        ("gold", "demand_series"): {("silver", "fct_receipt_lines"): 0},
        ("gold", "demand_features"): {
            ("gold", "demand_series"): 0,
            ("gold", "promotion_plans"): max(graph_settings.lake.forecast.horizons_weeks),
        },
        ("gold", "demand_labels"): {("gold", "demand_series"): 0},
        ("forecasts", "demand_forecasts"): {("gold", "demand_labels"): 0},
        ("forecasts", "demand_totals"): {("gold", "demand_series"): 0},
    }


def test_every_asset_says_what_it_is(definitions: dg.Definitions):
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        asset = graph.get(key)
        assert asset.description, key
        assert asset.description.startswith("One row per"), key
        assert asset.owners, key
        assert asset.metadata["dagster/table_name"], key
        assert asset.metadata["dagster/column_schema"], key
        names = {check.name for check in asset.check_keys}
        assert {"contract", "freshness"} <= names, key
        blocking = [graph.get_check_spec(check) for check in asset.check_keys]
        assert any(spec.blocking for spec in blocking), key


if __name__ == "__main__":
    from definitions import build_definitions
    from resources.settings import load_settings

    with tempfile.TemporaryDirectory() as home:
        data = graph_as_data(build_definitions(build_graph(load_settings({**os.environ, "LIFTLAKE_HOME": home}))))
    RECORD.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
