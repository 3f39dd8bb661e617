"""The life of the local Spark server: one per home, back after a kill, gone when idle, none beside a remote."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from resources import spark_server
from resources.settings import Settings
from resources.spark import SparkDoor
from tests.conftest import throwaway_settings

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home with a server of its own, which these tests may kill."""
    settings = throwaway_settings(tmp_path_factory.mktemp("server"))
    yield settings
    spark_server.stop(settings)


def test_callers_at_the_same_time_get_one_server(own: Settings):
    with ThreadPoolExecutor(3) as pool:
        records = list(pool.map(lambda _: spark_server.ensure(own), range(3)))
    assert len({record.pid for record in records}) == 1
    listening = psutil.Process(records[0].pid).net_connections(kind="tcp")
    assert {connection.laddr.ip for connection in listening if connection.status == psutil.CONN_LISTEN} <= {
        "127.0.0.1", "::ffff:127.0.0.1",
    }  # fmt: skip
    assert stat.S_IMODE(spark_server.record_path(own).stat().st_mode) == 0o600


def test_a_client_without_the_token_is_refused(own: Settings):
    record = spark_server.ensure(own)
    stranger = SparkDoor(own.model_copy(update={"spark_remote": f"sc://localhost:{record.port}"}))
    with pytest.raises(spark_server.SparkServerError, match=rf"sc://localhost:{record.port} of SPARK_REMOTE"):
        stranger.session()


def test_after_a_kill_the_same_door_leads_to_a_new_server_and_the_same_rows(own: Settings):
    door = SparkDoor(own)
    door.session().sql("CREATE SCHEMA IF NOT EXISTS kept")
    door.session().sql("CREATE TABLE IF NOT EXISTS kept.numbers USING delta AS SELECT 7 AS number")
    killed = spark_server.ensure(own)
    os.kill(killed.pid, signal.SIGKILL)
    psutil.Process(killed.pid).wait(10) if psutil.pid_exists(killed.pid) else None
    rows = door.session().table("kept.numbers")
    assert [row["number"] for row in rows.collect()] == [7]
    assert spark_server.ensure(own).pid != killed.pid
    door.close()


def test_a_remote_is_used_and_nothing_local_starts(own: Settings, tmp_path: Path):
    elsewhere = spark_server.ensure(own)
    settings = throwaway_settings(tmp_path).model_copy(update={"spark_remote": elsewhere.url})
    door = SparkDoor(settings)
    rows = door.session().table("kept.numbers")
    assert [row["number"] for row in rows.collect()] == [7]
    assert spark_server.running(settings) is None
    assert not spark_server.state_folder(settings).exists()
    door.close()


def test_a_taken_port_is_named_before_anything_starts(own: Settings, tmp_path: Path):
    taken = spark_server.ensure(own).port
    settings = throwaway_settings(tmp_path).model_copy(update={"spark_port": taken})
    with pytest.raises(spark_server.SparkServerError, match=f"Port {taken} is taken"):
        spark_server.ensure(settings)


def test_a_server_that_nobody_uses_stops_by_itself(tmp_path: Path):
    """Even where whoever starts it ignores the signal that stops it."""
    settings = throwaway_settings(tmp_path).model_copy(update={"spark_idle_minutes": 0.05})
    handled = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        pid = spark_server.ensure(settings).pid
    finally:
        signal.signal(signal.SIGTERM, handled)
    psutil.Process(pid).wait(timeout=60)
    assert spark_server.running(settings) is None


def test_stop_is_clean_and_can_be_repeated(own: Settings):
    pid = spark_server.ensure(own).pid
    assert spark_server.stop(own)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert spark_server.running(own) is None
    assert not spark_server.stop(own)
