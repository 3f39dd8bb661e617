"""Sensors: what arrives is ingested and the weeks that it touches rebuilt; what drift asks for is trained.

Belongs here: when to ask for runs. Does not belong here: reading files and topics (bronze). What was ingested is
decided by content and offsets in the ledger, and what was asked for by run keys and the names of backfills; the cursor
only remembers sizes, so that a lost cursor adds no row and misses no file.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.automation.backfills import MADE_AND_CHECKED, ask, is_backfilled
from assets.automation.jobs import INGEST, RETRAIN
from assets.automation.plan import Key, Node, reached
from assets.automation.runs import note
from assets.automation.state import nodes_of
from assets.automation.watchdog import watchdog
from assets.graph import TOPIC_POSITION, TOUCHED_WEEKS, Graph
from assets.provenance import pair
from ml.drift_decisions import Response
from resources.deliveries import matching_files
from resources.mapping import SourceMapping
from resources.offsets import Position, Standing, TopicState
from resources.spans import Weeks, from_texts, in_order, said, spans
from resources.topics import TopicError, Topics

REQUESTED_BY = {"requested_by": "landing_folder"}
TOPICS_TAG = {"requested_by": "topics"}
# On a run that ingests: a digest of the files, or of how far the topics went, when it was asked for.
FILES_TAG, ENDS_TAG = "liftlake/landed_files", "liftlake/topic_ends"
# How often the same files and messages are asked for when the run that should bring them fails.
TRIES = 3
UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING,
             dg.DagsterRunStatus.STARTED]  # fmt: skip
FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
# How many past ingests a tick looks at for weeks that were not asked for yet.
INGESTS_LOOKED_AT = 20
# With more spans than these, the title of a backfill counts its weeks.
SPANS_SHOWN = 3
DECISIONS = dg.AssetKey(["models", "drift_decisions"])
DECISIONS_LOOKED_AT = 20
Sizes = Mapping[str, tuple[int, int]]


def sensors(graph: Graph, jobs: Sequence[UnresolvedAssetJobDefinition]) -> list[dg.SensorDefinition]:
    """Those of the landing folder, of topics where the lake has any, of drift, and of automation, which start stopped;
    and the watchdog, which does not.
    """
    automation = dg.AutomationConditionSensorDefinition(
        "automation", target=dg.AssetSelection.all(), run_tags={"requested_by": "automation"}
    )
    by_name = {job.name: job for job in jobs}
    ingest = by_name[INGEST]
    topics = [_topics(graph, ingest)] if any(graph.topic(name) for name in graph.mapping.tables) else []
    return [_landing(graph, ingest), *topics, _drift_response(by_name[RETRAIN]), automation, watchdog()]


def _drift_response(job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    @dg.sensor(
        name="drift_response",
        job=job,
        minimum_interval_seconds=60,
        description="Trains anew where a drift decision asks for it, once for each decision; the gate decides.",
    )
    def drift_response(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        weeks = requested_weeks(context.instance)
        tags = {"requested_by": "drift_response"}
        requests = [dg.RunRequest(run_key=f"retrain-{week}", partition_key=week, tags=tags) for week in weeks]
        return dg.SensorResult(run_requests=requests)

    return drift_response


def requested_weeks(instance: dg.DagsterInstance) -> list[str]:
    """The weeks whose newest published drift decision asks for a retraining, oldest first.

    A decision counts once the run that made it has succeeded, its contract check included; made again, the later one
    counts. The run key keeps each week to one request.
    """
    found = instance.fetch_materializations(DECISIONS, limit=DECISIONS_LOOKED_AT)
    newest: dict[str, bool] = {}
    for record in found.records:
        run = instance.get_run_by_id(record.run_id)
        made = record.asset_materialization.metadata if record.asset_materialization else {}
        if run is not None and run.status == dg.DagsterRunStatus.SUCCESS and "week" in made:
            newest.setdefault(str(made["week"].value), made["response"].value == Response.RETRAIN)
    return sorted(week for week, is_requested in newest.items() if is_requested)


def _landing(graph: Graph, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    @dg.sensor(
        name="landing_folder",
        job=job,
        minimum_interval_seconds=30,
        description="Ingests complete files of the landing folder, then rebuilds the weeks that they touched.",
    )
    def landing_folder(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before = {name: tuple(size) for name, size in json.loads(context.cursor or "{}").items()}
        now = file_sizes(graph.settings.landing, graph.mapping)
        asked = ask_for_weeks(context.instance, *assets_of(context, graph), REQUESTED_BY)
        complete = complete_files(now, before)
        told = json.dumps(complete, sort_keys=True)
        requests = request_of(context.instance, FILES_TAG, told, REQUESTED_BY) if complete else []
        return dg.SensorResult(
            run_requests=requests, cursor=json.dumps(now, sort_keys=True), skip_reason=skipped(requests, asked)
        )

    return landing_folder


def assets_of(context: dg.SensorEvaluationContext, graph: Graph) -> tuple[BaseAssetGraph, list[Node]]:
    """The assets that a sensor's code location has, as Dagster sees them and as the plan does."""
    assert context.repository_def is not None
    asset_graph = context.repository_def.asset_graph
    return asset_graph, nodes_of(asset_graph, graph)


def skipped(requests: Sequence[dg.RunRequest], asked: Sequence[str]) -> str | None:
    """Why a tick asks for no run, where it asked for a backfill; None otherwise."""
    return f"Asked for backfill {', '.join(asked)}." if asked and not requests else None


def file_sizes(folder: Path, mapping: SourceMapping) -> dict[str, tuple[int, int]]:
    """Name -> (bytes, time of last change in nanoseconds) of the source's files in a folder."""
    paths = [path for _, path in matching_files(mapping, folder)] if folder.is_dir() else []
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def complete_files(now: Sizes, before: Sizes) -> dict[str, tuple[int, int]]:
    """The files that did not change between two ticks: one that is still being written is not read."""
    return {name: size for name, size in now.items() if before.get(name) == size}


def _topics(graph: Graph, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    @dg.sensor(
        name="topics",
        job=job,
        minimum_interval_seconds=30,
        description="Ingests what has come to the lake's topics, then rebuilds the weeks that it touches.",
    )
    def topics(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        tables = {name: topic for name in graph.mapping.tables if (topic := graph.topic(name)) is not None}
        try:
            broker = Topics(graph.settings)
            states = {table: broker.state(topic) for table, topic in tables.items()}
        except TopicError as error:
            return dg.SkipReason(str(error))
        asked = ask_for_weeks(context.instance, *assets_of(context, graph), TOPICS_TAG)
        requests = topic_requests(context.instance, states)
        return dg.SensorResult(run_requests=requests, skip_reason=skipped(requests, asked))

    return topics


def topic_requests(instance: dg.DagsterInstance, states: Mapping[str, TopicState]) -> list[dg.RunRequest]:
    """At most one ingest of the tables in whose topics something waits; none while one is under way.

    The run key is made of how far the topics went: the same messages are asked for once, and again only after a run
    that failed.
    """
    waiting = {table: state for table, state in states.items() if is_waiting(instance, table, state)}
    if not waiting or instance.get_runs(dg.RunsFilter(tags=TOPICS_TAG, statuses=UNDER_WAY), limit=1):
        return []
    told = json.dumps({table: [state.topic_id, sorted(state.end.items())] for table, state in sorted(waiting.items())})
    return request_of(instance, ENDS_TAG, told, TOPICS_TAG)


def request_of(instance: dg.DagsterInstance, tag: str, told: str, tags: Mapping[str, str]) -> list[dg.RunRequest]:
    """A request to ingest, named by what it is for: made once, and again only after a run that failed.

    Args:
        instance: whose runs are looked at.
        tag: on the run, with a digest of what it is for.
        told: what it is for.
        tags: further tags.
    """
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    failed = instance.get_runs(dg.RunsFilter(tags={tag: digest}, statuses=FAILED), limit=TRIES)
    if len(failed) == TRIES:
        return []
    key = f"{tag.rpartition('/')[2]}-{digest}-{len(failed)}"
    return [dg.RunRequest(run_key=key, job_name=INGEST, tags={**tags, tag: digest})]


def is_waiting(instance: dg.DagsterInstance, table: str, state: TopicState) -> bool:
    """Whether a topic goes further than its newest ingest says that it was read."""
    newest = instance.get_latest_materialization_event(dg.AssetKey(["bronze", table]))
    found = newest.asset_materialization.metadata if newest and newest.asset_materialization else {}
    if TOPIC_POSITION not in found:
        return Standing(table, None, state).lag > 0
    read = json.loads(str(found[TOPIC_POSITION].value))
    position = Position(read["topic_id"], {int(part): offset for part, offset in read["next_offsets"].items()}, 0)
    return position.topic_id != state.topic_id or Standing(table, position, state).lag > 0


def ask_for_weeks(
    instance: dg.DagsterInstance, asset_graph: BaseAssetGraph, nodes: Sequence[Node], tags: Mapping[str, str]
) -> list[str]:
    """Ask for one backfill of exactly the weeks that each ingest with these tags touched; the ids of the new ones.

    The backfill is named by the ingest, so that it is asked for once, whatever the cursor says.
    """
    found = []
    for run in instance.get_runs(
        dg.RunsFilter(job_name=INGEST, tags=tags, statuses=[dg.DagsterRunStatus.SUCCESS, *FAILED]),
        limit=INGESTS_LOOKED_AT,
    ):
        backfill_id = f"late-{run.run_id.partition('-')[0]}"
        touched = touched_by(instance, run.run_id)
        if not touched or instance.get_backfill(backfill_id) is not None:
            continue
        below = reached(nodes, touched)
        made = {node.key for node in nodes if node.wanted is None and node.key[0] in ("bronze", "silver")}
        asked = {key: weeks for key, weeks in below.items() if is_backfilled(key) and key not in made}
        # A rule over a whole table holds of one that is new when all of its weeks are made.
        asked |= {node.key: node.wanted for node in nodes if node.key in asked and not is_made(instance, node.key)}
        if asked:
            weeks = in_order(week for part in touched.values() for week in part or ())
            title = f"weeks {said(weeks)}" if len(spans(weeks)) <= SPANS_SHOWN else f"{len(weeks)} weeks"
            ask(instance, asset_graph, backfill_id, asked, f"Late rows of {title}", tags=tags, by_daemon=True)
            found.append(backfill_id)
    return found


def is_made(instance: dg.DagsterInstance, key: Key) -> bool:
    """Whether any run has made something of a table."""
    return instance.get_latest_materialization_event(dg.AssetKey(key)) is not None


def touched_by(instance: dg.DagsterInstance, run_id: str) -> dict[Key, Weeks | None]:
    """The tables to which an ingest run added rows that passed their check, and their weeks; None: any."""
    touched: dict[Key, Weeks | None] = {}
    made: dict[Key, set[date | None]] = {}
    done: dict[Key, set[date | None]] = {}
    for entry in instance.all_logs(run_id, of_type=MADE_AND_CHECKED):
        if entry.dagster_event is None:
            continue
        note(entry.dagster_event, made, done)
        materialised = entry.asset_materialization
        if materialised is not None and TOUCHED_WEEKS in materialised.metadata:
            texts: Any = materialised.metadata[TOUCHED_WEEKS].value
            touched[pair(materialised.asset_key)] = from_texts(texts) or None
    return {key: weeks for key, weeks in touched.items() if key in done}
