"""What is made once and kept: the study, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg

from assets.automation.state import nodes_of
from assets.graph import Graph
from assets.models.study import study_assets
from definitions import build_graph
from resources.lake_file import Study
from resources.settings import Settings

STUDY = dg.AssetKey(["models", "demand_studies"])


def study_code(graph: Graph, **lake: object) -> str:
    """The version of the study's code in a lake with other settings."""
    settings = graph.settings.model_copy(update={"lake": graph.settings.lake.model_copy(update=lake)})
    (study,) = study_assets(replace(graph, settings=settings))
    return study.get_asset_spec(STUDY).code_version or ""


def test_the_study_alone_is_kept(graph_settings: Settings, definitions: dg.Definitions) -> None:
    nodes = nodes_of(definitions.resolve_asset_graph(), build_graph(graph_settings))
    assert [node.key for node in nodes if node.is_kept] == [("models", "demand_studies")]


def test_a_study_is_due_for_other_settings_and_not_for_another_week(graph_settings: Settings) -> None:
    graph = build_graph(graph_settings)
    lake = graph.settings.lake
    as_it_is = study_code(graph)
    assert lake.as_of is not None
    assert study_code(graph, as_of=lake.as_of + timedelta(weeks=1)) == as_it_is
    assert study_code(graph, study=Study(trials=1)) != as_it_is
    assert study_code(graph, forecast=lake.forecast.model_copy(update={"measure": "quantity_units"})) != as_it_is
    # A lake that was too young for a study is old enough now.
    young = study_code(graph, as_of=lake.as_of - timedelta(weeks=20))
    assert young == study_code(graph, as_of=lake.as_of - timedelta(weeks=19)) != as_it_is
    before_its_first_week = lake.as_of - timedelta(weeks=60)
    assert study_code(graph, as_of=before_its_first_week) == young


def test_the_weekly_schedule_makes_the_study_once(tmp_path: Path, definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    schedule = repository.get_schedule_def("weekly")
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        dg.build_schedule_context(instance=instance, repository_def=repository) as context,
    ):
        first = schedule.evaluate_tick(context).run_requests
        assert first is not None
        assert [request.asset_selection for request in first] == [None]
        instance.report_runless_asset_event(dg.AssetMaterialization(STUDY))
        second = schedule.evaluate_tick(context).run_requests
        assert second is not None
        selection = set(second[0].asset_selection or [])
        assert selection == repository.asset_graph.materializable_asset_keys - {STUDY}
        assert second[0].partition_key == first[0].partition_key
