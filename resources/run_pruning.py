"""Old runs: their events, their folders, and dbt's output.

Belongs here: what of the orchestrator's own files may go. Does not belong here: tables (upkeep). Nothing of it is data:
a lake whose runs are all gone audits its bronze tables once more, and is otherwise the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dagster import DagsterInstance, RunsFilter
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from resources.lake_file import Retention
from resources.settings import Settings
from resources.upkeep import Freed

FOLDERS = "storage"


def prune_runs(instance: DagsterInstance, settings: Settings, policy: Retention, *, is_dry: bool) -> Iterator[Freed]:
    """Delete finished runs older than the policy, the newest ones aside, and folders of runs that are no more."""
    records = instance.get_run_records(RunsFilter(statuses=list(FINISHED_STATUSES)))
    before = datetime.now(UTC) - timedelta(days=policy.run_days)
    old = [item for item in records[policy.runs_kept :] if item.create_timestamp.astimezone(UTC) < before]
    size = tree_bytes(settings.dagster_home)
    gone = {item.dagster_run.run_id for item in old}
    known = {item.dagster_run.run_id for item in instance.get_run_records()} - gone
    folders = [path for path in _run_folders(settings) if path.name not in known]
    left = sum(tree_bytes(path) for path in folders)
    if not is_dry:
        for run_id in sorted(gone):
            instance.delete_run(run_id)
        for path in folders:
            shutil.rmtree(path)
    yield Freed("runs", len(gone), left if is_dry else size - tree_bytes(settings.dagster_home))


def prune_manifests(settings: Settings, current: Path, *, is_dry: bool) -> Iterator[Freed]:
    """Delete dbt's manifests of earlier states of the project; `current` is the folder of today's."""
    parsed = (path.parent for path in (settings.home / "dbt").glob("*/manifest.json"))
    old = [path for path in parsed if path != current and len(path.name) == len(current.name)]
    size = sum(tree_bytes(path) for path in old)
    if not is_dry:
        for path in old:
            shutil.rmtree(path)
    yield Freed("dbt manifests", len(old), size)


def tree_bytes(folder: Path) -> int:
    """The size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _run_folders(settings: Settings) -> Iterator[Path]:
    """Folders that are named by the id of a run."""
    root = settings.dagster_home / FOLDERS
    ids = (path for path in root.iterdir() if path.is_dir()) if root.is_dir() else iter(())
    return (path for path in ids if len(path.name) == 36 and path.name.count("-") == 4)  # noqa: PLR2004  a UUID
