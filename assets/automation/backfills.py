"""Backfills: what was asked for, and what became of it, both by Dagster's own records.

Belongs here: writing the record of a backfill and reading it with the events of its runs. Does not belong here: which
weeks are behind (plan), who asks (sensors, cli), executing (runs).

The record is the one that the UI's Backfills page shows. What is done is not read from it but from the events: a week
counts when it was made and its contract check published it, whoever executed the run.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import date

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.storage.tags import BACKFILL_ID_TAG

from assets.automation.plan import Key
from assets.automation.rest import Done, Part
from assets.automation.runs import Failed, failures_in, note, weeks_of_run
from assets.provenance import pair
from resources.spans import Weeks, in_order

MADE_AND_CHECKED = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
}


def is_backfilled(key: Key) -> bool:
    """Whether a table is made anew when weeks come late: all that lies between the files and the training sets."""
    return key[0] in ("bronze", "silver", "gold") and key != ("gold", "training_sets")


def tags_of(backfill_id: str) -> dict[str, str]:
    """The tags of the runs of a backfill."""
    return {BACKFILL_ID_TAG: backfill_id}


def ask(
    instance: dg.DagsterInstance,
    asset_graph: BaseAssetGraph,
    backfill_id: str,
    asked: Part,
    title: str,
    *,
    tags: Mapping[str, str] | None = None,
    by_daemon: bool,
) -> None:
    """Record a backfill. The UI's daemon executes it when it is asked `by_daemon`; otherwise whoever asked does.

    Until that is through, the record says `canceled`: so it is right whatever becomes of the process.
    """
    record = PartitionBackfill.from_asset_graph_subset(
        backfill_id=backfill_id,
        backfill_timestamp=time.time(),
        tags=tags or {},
        dynamic_partitions_store=instance,
        asset_graph_subset=_subset(asset_graph, asked),
        title=title,
        description=f"What failed or is missing: liftlake backfill --resume {backfill_id}",
        run_config=None,
    )
    instance.add_backfill(record if by_daemon else record.with_status(BulkActionStatus.CANCELED))


def asked_by(instance: dg.DagsterInstance, asset_graph: BaseAssetGraph, backfill_id: str) -> dict[Key, Weeks | None]:
    """The asset partitions that a backfill asked for.

    Raises:
        LookupError: there is no such backfill of assets.
    """
    record = instance.get_backfill(backfill_id)
    if record is None or not record.is_asset_backfill:
        raise LookupError(f"There is no backfill {backfill_id}: the UI lists them under Runs, Backfills.")
    weeks: dict[Key, set[date] | None] = {}
    for item in record.get_asset_backfill_data(asset_graph).target_subset.iterate_asset_partitions():
        key = pair(item.asset_key)
        if item.partition_key is None:
            weeks[key] = None
        else:
            found = weeks.setdefault(key, set())
            assert found is not None
            found.add(date.fromisoformat(item.partition_key))
    return {key: None if found is None else in_order(found) for key, found in weeks.items()}


def take_over(instance: dg.DagsterInstance, asset_graph: BaseAssetGraph, backfill_id: str) -> dict[Key, Weeks | None]:
    """What a backfill asked for, as `asked_by` says it; the daemon asks for no more runs of it."""
    asked = asked_by(instance, asset_graph, backfill_id)
    record = instance.get_backfill(backfill_id)
    if record is not None and record.status == BulkActionStatus.REQUESTED:
        instance.update_backfill(record.with_status(BulkActionStatus.CANCELED))
    return asked


def outcome_of(instance: dg.DagsterInstance, backfill_id: str) -> tuple[Done, list[Failed]]:
    """What the runs of a backfill have done so far, and what failed in them, oldest first."""
    done: dict[Key, set[date | None]] = {}
    failures: list[Failed] = []
    for run in reversed(instance.get_runs(dg.RunsFilter(tags=tags_of(backfill_id)))):
        made: dict[Key, set[date | None]] = {}
        for entry in instance.all_logs(run.run_id, of_type=MADE_AND_CHECKED):
            if entry.dagster_event is not None:
                note(entry.dagster_event, made, done)
                failures += failures_in(entry.dagster_event, weeks_of_run(run.tags))
    return done, failures


def close(instance: dg.DagsterInstance, asset_graph: BaseAssetGraph, backfill_id: str, done: Done) -> None:
    """Say in the record what is done, and whether that is all."""
    record = instance.get_backfill(backfill_id)
    assert record is not None
    data = record.get_asset_backfill_data(asset_graph)
    made = _subset(asset_graph, {key: _weeks_of(weeks) for key, weeks in done.items()})
    made = made & data.target_subset
    missing = data.target_subset - made
    data = data._replace(
        requested_runs_for_target_roots=True, materialized_subset=made, requested_subset=data.target_subset,
        failed_and_downstream_subset=missing,
    )  # fmt: skip
    ended = BulkActionStatus.COMPLETED_SUCCESS if missing.is_empty else BulkActionStatus.COMPLETED_FAILED
    record = record.with_asset_backfill_data(data, dynamic_partitions_store=instance, asset_graph=asset_graph)
    instance.update_backfill(record.with_status(ended).with_end_timestamp(time.time()))


def _weeks_of(done: Collection[date | None]) -> Weeks | None:
    return None if None in done else in_order(week for week in done if week is not None)


def _subset(asset_graph: BaseAssetGraph, part: Part) -> AssetGraphSubset:
    partitions = {
        AssetKeyPartitionKey(dg.AssetKey(key), None if week is None else week.isoformat())
        for key, weeks in part.items()
        for week in ((None,) if weeks is None else weeks)
    }
    return AssetGraphSubset.from_asset_partition_set(partitions, asset_graph)
