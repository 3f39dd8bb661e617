"""Jobs and schedules.

Belongs here: named selections of the graph and when they run. Does not belong here: conditions, sensors, plans.
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.graph import KEPT_TAG, WEEKS_TAG, Graph

WHOLE_GRAPH = "whole_graph"
INGEST, WEEKS, RETRAIN, CI = "ingest_files", "rebuild_weeks", "retrain", "ci_sample"
OWNERS = ["team:data-platform"]


def jobs() -> list[UnresolvedAssetJobDefinition]:
    """The jobs of the lake; their weeks follow from the assets."""
    everything = dg.AssetSelection.all()
    # What is made whole is made with what arrives; what is made by week is asked for by week.
    weekly = dg.AssetSelection.tag(WEEKS_TAG, "covered")
    arriving = dg.AssetSelection.groups("bronze") | (dg.AssetSelection.groups("silver") - weekly)
    tables = dg.AssetSelection.groups("silver", "gold") - dg.AssetSelection.assets(["gold", "training_sets"])
    return [
        dg.define_asset_job(
            WHOLE_GRAPH,
            everything,
            owners=OWNERS,
            description="Everything for one business week: ingest what is new, rebuild the week, train, forecast.",
        ),
        dg.define_asset_job(
            INGEST,
            arriving,
            owners=OWNERS,
            description="Ingests files that are not in the ledger yet, and rebuilds the silver tables without weeks.",
        ),
        dg.define_asset_job(WEEKS, tables, owners=OWNERS, description="Rebuilds silver and gold for a range of weeks."),
        dg.define_asset_job(
            RETRAIN,
            dg.AssetSelection.groups("models", "forecasts"),
            owners=OWNERS,
            description="Searches hyper-parameters anew, trains, judges by the gate and issues the newest week again.",
        ),
        dg.define_asset_job(
            CI,
            everything,
            owners=OWNERS,
            tags={"purpose": "ci"},
            description="Materialises the sample and runs every check; CI fails when the run does.",
        ),
    ]


def schedules(graph: Graph) -> list[dg.ScheduleDefinition]:
    """Every Monday the week that has just ended goes through the whole graph."""

    @dg.schedule(
        job_name=WHOLE_GRAPH,
        cron_schedule="0 6 * * 1",
        execution_timezone="UTC",
        name="weekly",
        description="Mondays 06:00 UTC: the last week that is over goes through the whole graph. What is made once "
        "(the study) is left as it is.",
        owners=OWNERS,
    )
    def weekly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        week = graph.cutoff_week().isoformat()
        assets = context.repository_def.asset_graph
        made = {
            key
            for key in assets.materializable_asset_keys
            if KEPT_TAG in assets.get(key).tags and context.instance.get_latest_materialization_event(key)
        }
        selection = sorted(assets.materializable_asset_keys - made) if made else None
        return dg.RunRequest(run_key=f"weekly-{week}", partition_key=week, asset_selection=selection)

    return [weekly]
