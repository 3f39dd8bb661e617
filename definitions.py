"""The composition root: settings in, the whole asset graph out. No process is started and no table is read here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing

import dagster as dg

from assets.automation.after_publication import followed_by
from assets.automation.jobs import jobs, schedules
from assets.automation.sensors import sensors
from assets.catalogue import graph_assets
from assets.graph import Graph
from assets.lake_graph import build_graph
from checks.asset_checks.audit import audit_checks
from checks.asset_checks.freshness import freshness_checks
from resources.dbt import dbt_resource
from resources.lake import Lake
from resources.registry import Registry
from resources.settings import Settings, load_settings
from resources.spark import SparkDoor


def build_definitions(graph: Graph, overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """The whole asset graph of one lake; `overrides` replaces resources by name."""
    settings = graph.settings
    all_jobs = jobs()
    contracts = list(graph.contracts.values())
    return dg.Definitions(
        assets=dg.with_source_code_references(graph_assets(graph)),
        asset_checks=[
            *audit_checks(contracts, followed_by(graph)),
            *freshness_checks(contracts, graph.mapping),
        ],
        jobs=all_jobs,
        schedules=schedules(graph),
        sensors=sensors(graph, all_jobs),
        resources={"lake": _lake(settings), "dbt": dbt_resource(), "registry": Registry(settings), **(overrides or {})},
        # A step costs 0.01 s in process and 1.7 CPU-seconds in a process of its own; Spark does the heavy work anyway.
        executor=dg.in_process_executor,
    )


def _lake(settings: Settings) -> dg.ResourceDefinition:
    def opened(_context: dg.InitResourceContext) -> Iterator[Lake]:
        with closing(Lake(settings, SparkDoor(settings))) as lake:
            lake.claim()
            yield lake

    return dg.ResourceDefinition(opened, description="The tables of the lake; one run writes at a time.")


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads: the graph of the lake that the environment names."""
    return build_definitions(build_graph(load_settings()))
