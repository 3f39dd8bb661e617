"""A topic followed from the command line while everything around it is killed: every event once, as it was sent.

Its features follow it, and equal a recompute."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import yaml

from benchmarks.broker import Broker
from benchmarks.telemetry import Sender, Traffic
from resources import spark_server
from resources.settings import DEMO_LAKE, load_settings
from tests.command_lake import CommandLake

pytestmark = [pytest.mark.spark, pytest.mark.e2e, pytest.mark.certify]
TOPIC, TABLE = "telemetry", "bronze.telemetry_events"
START = datetime(2017, 11, 27, 5, tzinfo=UTC)
SAME = ("event_id", "event_type", "household_id", "session_id", "store_id", "product_id", "campaign_id", "offer_id")
FEATURES = ("gold.household_event_features", "gold.store_event_features")
KINDS = ("impression_events", "offer_view_events", "add_to_basket_events", "redemption_events")
LAW = ("received", "accepted", "quarantined", "duplicates")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(load_settings(), tmp_path_factory.mktemp("broker")) as started:
        started.create(TOPIC, 3)
        yield started


def app_lake(home: Path, **variables: str) -> CommandLake:
    """A lake of the demo's source with an app, and without any file."""
    home.mkdir()
    lake = yaml.safe_load(DEMO_LAKE.read_text(encoding="utf-8"))
    (home / "lake.yaml").write_text(yaml.safe_dump({**lake, "tables": ["telemetry_events"]}), encoding="utf-8")
    return CommandLake(home, variables)


def test_a_followed_topic_has_every_event_once_whatever_is_killed(tmp_path: Path, broker: Broker):
    """The broker and the follower die on the way, the follower between two commits; messages go on coming."""
    messages = Traffic(seed=9, count=6_000, start=START, disorder=500).messages()
    batch = {"LIFTLAKE_KAFKA_BROKERS": broker.brokers, "LIFTLAKE_KAFKA_BATCH_RECORDS": "1500"}
    lake = app_lake(tmp_path / "followed", **batch)
    sender = Sender(broker.brokers, TOPIC)
    try:
        assert "messages" in plan_of(lake, sender, messages[:2500])
        killed = lake.start("topic", "follow")
        assert killed.stderr is not None
        while f"{TOPIC}/1 ->" not in killed.stderr.readline():
            assert killed.poll() is None
        while not (lake.home / "ingest-intent.json").exists():
            assert killed.poll() is None
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        broker.kill()
        refused = lake.liftlake("topic", "status", code=2)
        assert "LIFTLAKE_KAFKA_BROKERS" in refused["error"]
        broker.start()
        sender.send(messages[2500:])
        assert sender.flush() == len(messages)
        lake.liftlake("topic", "follow", "--until-idle", "3")
        status = lake.liftlake("topic", "status")["topics"]["telemetry_events"]
        assert (status["lag"], status["losses"]) == (0, [])
        rows = lake.table(TABLE)
        features = {name: lake.table(name).sort(pl.all()) for name in FEATURES}
        lake.liftlake("run", *FEATURES)
        recomputed = {name: lake.table(name).sort(pl.all()) for name in FEATURES}
        (counts,) = lake.sql(f"SELECT {', '.join(f'SUM({name})' for name in LAW)} FROM bronze.ingest_ledger").rows()
    finally:
        spark_server.stop(load_settings(lake.environment))
    for name, found in features.items():
        assert found.select(pl.sum_horizontal(KINDS).sum()).item() == rows.height
        assert found.equals(recomputed[name])
    sent = pl.DataFrame([json.loads(message) for message in messages], infer_schema_length=None)
    once = sent.unique("event_id").sort("event_id")
    assert counts == (len(messages), once.height, 0, len(messages) - once.height)
    assert rows.sort("event_id").select(SAME).equals(once.select(SAME))


def plan_of(lake: CommandLake, sender: Sender, messages: list[bytes]) -> str:
    """Why the plan says that telemetry is behind, once these messages are sent."""
    sender.send(messages)
    sender.flush()
    reasons = {item["table"]: item["reason"] for item in lake.liftlake("plan")["work"]}
    return str(reasons[TABLE])
