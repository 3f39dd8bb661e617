"""A lake that follows its landing folder and rebuilds what lies below, its run worker and its daemon killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import dagster as dg
import polars as pl
import psutil
import pytest
import yaml
from dagster._core.execution.backfill import BulkActionStatus

from assets.automation.watchdog import worker_of
from benchmarks.sample import write_sample
from benchmarks.telemetry import Traffic, write_lines
from ml.event_features import COUNTED
from resources import spark_server
from resources.instance import open_instance
from resources.settings import DEMO_LAKE, PROJECT_ROOT, child_environment, load_settings
from resources.spark_server import free_port
from tests.command_lake import CommandLake

pytestmark = [pytest.mark.spark, pytest.mark.e2e, pytest.mark.certify]
START = datetime(2017, 11, 27, 5, tzinfo=UTC)
EVENTS = 500
PATIENCE_SECONDS, NOTICED_SECONDS, BUILT_SECONDS = 240, 30, 1200
Found = TypeVar("Found")


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[CommandLake]:
    """A lake of one store with an app."""
    home, files = tmp_path / "home", tmp_path / "files"
    (home / "landing").mkdir(parents=True)
    write_sample(load_settings(), files, stores=1)
    settings = yaml.safe_load(DEMO_LAKE.read_text(encoding="utf-8"))
    (home / "lake.yaml").write_text(yaml.safe_dump({**settings, "tables": ["telemetry_events"]}), encoding="utf-8")
    found = CommandLake(home, {"LIFTLAKE_SOURCE_FILES": str(files), "LIFTLAKE_UI_PORT": str(free_port())})
    yield found
    spark_server.stop(load_settings(found.environment))


@contextmanager
def up(lake: CommandLake) -> Iterator[psutil.Process]:
    """Webserver and daemon as `liftlake up` starts them; all that is left of them dies at the end."""
    with (lake.home / "up.log").open("a", encoding="utf-8") as log:
        own = subprocess.Popen(
            [sys.executable, "-m", "cli", "up"], env=child_environment(lake.environment), cwd=PROJECT_ROOT,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield psutil.Process(own.pid)
    finally:
        for process in (*psutil.Process(own.pid).children(recursive=True), psutil.Process(own.pid)):
            process.kill()
        own.wait()


def until(find: Callable[[], Found | None], seconds: float = PATIENCE_SECONDS) -> Found:
    """What is found, as soon as it is."""
    deadline = time.monotonic() + seconds
    while (found := find()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def daemon_of(ui: psutil.Process) -> psutil.Process | None:
    return next((item for item in ui.children(recursive=True) if "dagster._daemon" in " ".join(item.cmdline())), None)


def test_what_lands_is_ingested_though_the_worker_and_the_daemon_are_killed(lake: CommandLake):
    """The dead worker's run is failed in time and gives its place to the next, which brings every event once.

    The daemon then executes the backfill of the weeks that the events are in.
    """
    instance = open_instance(load_settings(lake.environment))
    messages = Traffic(seed=4, count=EVENTS, start=START).messages()
    write_lines(messages, lake.home / "landing" / "telemetry.jsonl")
    with up(lake) as ui:
        until(lambda: daemon_of(ui))
        start = [str(Path(sys.executable).parent / "dagster"), "sensor", "start", "landing_folder"]
        home = {**lake.environment, "DAGSTER_HOME": str(load_settings(lake.environment).dagster_home)}
        subprocess.run(
            [*start, "-w", "workspace.yaml"],
            env=child_environment(home),
            cwd=PROJECT_ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        killed = {
            kill_worker(instance, status) for status in (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED)
        }
        daemon = until(lambda: daemon_of(ui))
        daemon.kill()
    with up(lake):
        last = until(lambda: run_of(instance, [dg.DagsterRunStatus.SUCCESS]))
        assert len({*killed, last}) == 3
        until(lambda: is_through(instance, f"late-{last.partition('-')[0]}") or None, BUILT_SECONDS)
    rows = lake.table("bronze.telemetry_events")
    assert (rows.height, rows["event_id"].n_unique()) == (EVENTS, EVENTS)
    (booked,) = lake.sql("SELECT COUNT(*) FROM bronze.ingest_ledger WHERE table_name = 'telemetry_events'").row(0)
    assert booked == 1
    for table, key in {"household_event_features": "household_id", "store_event_features": "store_id"}.items():
        counted = lake.table(f"gold.{table}").select(pl.sum_horizontal(pl.col(*COUNTED.values()).sum())).item()
        assert counted == rows[key].count()


def kill_worker(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> str:
    """Kill the worker of the run that is so far, and wait until somebody notices; returns the run's id."""
    run_id = until(lambda: run_of(instance, [status]))
    pid, _ = until(lambda: worker_of(instance, run_id))
    os.kill(pid, signal.SIGKILL)
    killed_at = time.monotonic()
    run = until(
        lambda: next(iter(instance.get_runs(dg.RunsFilter([run_id], statuses=[dg.DagsterRunStatus.FAILURE]))), None)
    )
    assert time.monotonic() - killed_at < NOTICED_SECONDS
    assert has_begun(instance, run_id) == (status == dg.DagsterRunStatus.STARTED)
    return run.run_id


def has_begun(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the worker of a run got to its beginning."""
    return bool(instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_START))


def is_through(instance: dg.DagsterInstance, backfill_id: str) -> bool:
    """Whether the daemon has executed a backfill; one that failed is no use."""
    record = instance.get_backfill(backfill_id)
    assert record is None or record.status not in (BulkActionStatus.FAILED, BulkActionStatus.COMPLETED_FAILED)
    return record is not None and record.status == BulkActionStatus.COMPLETED_SUCCESS


def run_of(instance: dg.DagsterInstance, statuses: list[dg.DagsterRunStatus]) -> str | None:
    """A run of the landing folder that is so far."""
    found = instance.get_runs(dg.RunsFilter(tags={"requested_by": "landing_folder"}, statuses=statuses), limit=1)
    return found[0].run_id if found else None
