"""The sample's lake after its second week: drift, the model's card, and a champion that has to go."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import polars as pl
import pytest

from assets.models.drift import MONITORED, SCORE
from assets.models.gate import published_history
from assets.models.rollback import append
from definitions import build_graph
from ml.champions import champion_at, gate_row
from ml.promotion import Decision
from resources.champions import project_champion
from resources.lake import Lake
from resources.registry import MODEL_NAME, Registry
from resources.settings import load_settings
from resources.spark import SparkDoor
from tests.e2e.conftest import SampleLake
from tests.receivers import Receiver

pytestmark = [pytest.mark.spark, pytest.mark.e2e]
NEWEST = "2017-12-04"


def test_the_week_is_held_against_the_training_of_the_model_that_it_found(sample: SampleLake, built: dict[str, Any]):
    first = sample.liftlake("drift", "--week", "2017-11-27")
    assert (first["decision"]["model_version"], first["statistics"]) == (None, [])
    found = sample.liftlake("drift")
    champion = built["champions"]["demand"]["model_version"]
    assert (found["decision"]["week_start_date"], found["decision"]["model_version"]) == (NEWEST, champion)
    assert {row["subject"] for row in found["statistics"]} == {*MONITORED, SCORE}
    features = sample.sql(f"SELECT * FROM gold.demand_features WHERE week_start_date = DATE'{NEWEST}'")
    for row in found["statistics"]:
        missing = 0 if row["subject"] == SCORE else features[row["subject"]].null_count()
        assert row["missing_share"] == pytest.approx(missing / features.height)
        assert row["row_count"] == features.height


def test_plans_that_end_before_the_horizon_are_an_incident_and_all_are_told(sample: SampleLake, told: Receiver):
    """The source's plans end with its year: of the newest week's longest horizon nobody knows them."""
    decision = sample.liftlake("drift")["decision"]
    assert (decision["cause"], decision["response"]) == ("data_fault", "incident")
    assert "display_share_target: missing" in decision["reasons"]
    (line,) = (sample.home / "notifications.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(word in line for word in ("incident", "team:demand-science", "docs/runbooks/drift.md", NEWEST))
    (found,) = [body["data"] for _, body in told.got if body["type"] == "liftlake.drift.found"]
    assert (found["week_start_date"], found["cause"], found["reasons"]) == (NEWEST, "data_fault", decision["reasons"])


def test_a_model_has_a_card(sample: SampleLake, built: dict[str, Any]):
    version = built["champions"]["demand"]["model_version"]
    card = sample.liftlake("card", version[:12])
    assert card["model_version"] == version
    assert all(f"## {title}" in card["card"] for title in ("What it was trained on", "How good it is", "Limits"))
    assert "promoted" in card["card"]
    assert (sample.home / "artifacts" / "cards" / f"{version}.md").exists()
    assert "0 models begin with" in sample.liftlake("card", "none", code=2)["error"]


def test_a_rollback_is_one_command_and_the_next_run_issues_by_it(
    sample: SampleLake, built: dict[str, Any], told: Receiver
):
    first = built["champions"]["demand"]["model_version"]
    second = promoted(sample)
    assert sample.liftlake("status", "--no-digests")["champions"]["demand"]["model_version"] == second != first
    sample.liftlake("run", "forecasts.demand_forecasts")
    assert issued_by(sample) == {second}
    row = sample.liftlake("rollback", "--reason", "it erred", "--by", "A. Planner", "--instead-of", second[:8])
    assert (row["decision"], row["model_version"], row["decided_by"]) == ("rolled_back", first, "A. Planner")
    assert Registry(load_settings(sample.environment)).champion() == first
    behind = {item["table"] for item in sample.liftlake("plan")["work"]}
    assert "forecasts.demand_forecasts" in behind
    assert not {"models.champion_history", "models.demand_models"} & behind
    sample.liftlake("run", "forecasts.demand_forecasts")
    assert issued_by(sample) == {first}
    kinds = ("liftlake.model.promoted", "liftlake.forecast.published")
    heard = [(body["type"], body["data"]["model_version"]) for _, body in told.got if body["type"] in kinds]
    assert heard[-2:] == [(kind, first) for kind in kinds]
    assert {(kind, second) for kind in kinds} <= set(heard)
    assert len({body["id"] for _, body in told.got}) == len(told.got)
    before = sample.table("models.champion_history").sort("ordinal")
    sample.liftlake("run", "models.champion_history")
    assert sample.table("models.champion_history").sort("ordinal").equals(before)
    asked = [sample.liftlake("champion", "--at", f"2017-12-{day:02}T05:00:00Z")["champion"] for day in (3, 4, 11)]
    assert asked == [None, first, first]
    refused = sample.liftlake("rollback", "--reason", "once more", "--by", "A. Planner", code=2)
    assert "nothing to roll back to" in refused["error"]


def test_scoring_a_week_twice_changes_nothing(sample: SampleLake, built: dict[str, Any]):
    key = ["issue_week_start_date", "store_id", "product_group", "horizon_weeks", "method"]
    before = sample.table("forecasts.demand_forecasts").sort(key)
    sample.liftlake("run", "forecasts.demand_forecasts")
    assert sample.table("forecasts.demand_forecasts").sort(key).equals(before)


def promoted(sample: SampleLake) -> str:
    """The newest model, which the gate may have refused, in charge as if it had not."""
    settings = load_settings(sample.environment)
    graph, registry = build_graph(settings), Registry(settings)
    with closing(Lake(settings, SparkDoor(settings))) as lake:
        asked = f"cutoff_week_start_date = DATE'{NEWEST}'"
        version = str(lake.read("models.demand_models", ["model_version"], asked)["model_version"][0])
        history = published_history(lake, graph)
        if champion_at(history) != version:
            decision = Decision(promoted=True, reasons=("for this test",))
            append(lake, graph, history, gate_row(MODEL_NAME, history, settings.as_of, version, decision))
            project_champion(lake, registry)
    return version


def issued_by(sample: SampleLake) -> set[str]:
    rows = sample.table("forecasts.demand_forecasts")
    newest = rows.filter(pl.col("issue_week_start_date").cast(pl.String) == NEWEST, pl.col("method") == "catboost")
    return set(newest["model_version"])
