"""Event to feature: how old an event is when its household's and its store's features have it, and a recompute beside.

Belongs here: what is sent, what is killed, and the figures. Does not belong here: sending, following and ages
(topic_runs), the features (ml.event_features).

First events come at a rate for a minute. Then a million come as fast as they can, out of order and in part days late,
while the broker is killed once; the follower goes on where it was, as whoever supervises `liftlake topic follow` does.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from polars.testing import assert_frame_equal

from benchmarks.broker import Broker
from benchmarks.memory import MemoryWatch
from benchmarks.program import Options, progress
from benchmarks.side_by_side import throwaway_lake
from benchmarks.topic_runs import TOPIC, Booked, ages_of, follow, lines_of, reader_of, send
from checks.contracts.loader import load_contracts
from resources.event_features import KEYS, FeatureTable, FollowedFeatures, features_where
from resources.lake import Lake
from resources.spans import between
from resources.topics import TopicError

RATE_PER_SECOND, SECONDS, BYTES_EACH, PARTITIONS = 2_000, 60, 1_000, 2
# What is measured is a stream that has been running: a minute like the measured one goes before it.
WARM_UP_SECONDS = 60
MILLION = 1_000_000
AS_FAST_AS_CAN = 200_000
WEEKS = between(date(2017, 11, 27), date(2017, 12, 18))


@dataclass
class _Disorder:
    """What became of the million: figures, and how often the follower had to go on."""

    acknowledged: int
    seconds: float
    restarts: int


def bench_events(_options: Options) -> dict[str, Any]:
    """Follow a topic with features and print their age. The object is what `bench --json` promises."""
    began = time.monotonic()
    with throwaway_lake() as lake, MemoryWatch(lake.settings.home, with_self=True) as memory:
        folder = lake.settings.home / "kafka"
        with Broker(lake.settings, folder / "broker") as broker:
            broker.create(TOPIC, PARTITIONS)
            reader, features = reader_of(lake, broker.brokers), followed(lake)
            progress("making the events")
            # The app's time runs faster than ours: the events lie in many hours.
            each = {"per_second": RATE_PER_SECOND / 100, "bytes_each": BYTES_EACH}
            warm = lines_of(folder / "warm.jsonl", seed=1, count=RATE_PER_SECOND * WARM_UP_SECONDS, **each)
            lines = lines_of(folder / "events.jsonl", seed=2, count=RATE_PER_SECOND * SECONDS, **each)
            progress("warming up")
            features.catch_up()
            warming = send(broker.brokers, warm, RATE_PER_SECOND)
            follow(reader, Booked(), until=_ended(warming), then=features.add)
            progress(f"{RATE_PER_SECOND:,} events a second for {SECONDS} s")
            sender, booked = send(broker.brokers, lines, RATE_PER_SECOND), Booked()
            follow(reader, booked, until=_ended(sender), then=features.add)
            sent = json.loads(sender.communicate()[0])
            ages = ages_of(broker.brokers, booked)
            steady = require_equal(lake)
            progress(f"{MILLION:,} events out of order, the broker killed once")
            disorder = _disordered(lake, broker, features)
        rows = require_equal(lake)
        peak = memory.peak_mb()
    return {
        "name": "events",
        "configuration": {
            "threads": lake.settings.threads, "spark_memory": lake.settings.spark_memory, "bytes_each": BYTES_EACH,
            "partitions": PARTITIONS, "rate_per_second": RATE_PER_SECOND, "sent_seconds": sent["seconds"],
            "warm_up_seconds": WARM_UP_SECONDS, "disordered_events": MILLION,
        },
        "metrics": {
            "events": sent["acknowledged"],
            "batches": len(booked.receipts),
            "age_seconds_p50": round(float(np.quantile(ages, 0.5)), 2),
            "age_seconds_p95": round(float(np.quantile(ages, 0.95)), 2),
            "age_seconds_max": round(float(ages.max()), 2),
            "feature_rows": steady,
            "disordered_acknowledged": disorder.acknowledged,
            "disordered_seconds": round(disorder.seconds, 1),
            "follower_restarts": disorder.restarts,
            "feature_rows_equal_to_a_recompute": rows,
        },
        "published": {},
        "seconds": round(time.monotonic() - began, 1),
        "peak_rss_mb": peak,
        "rivals": {},
    }  # fmt: skip


def followed(lake: Lake) -> FollowedFeatures:
    """The feature tables of a lake without a graph."""
    contracts = load_contracts()
    tables = [FeatureTable(contracts["gold", name], "bench") for name in KEYS]
    by_name = {contract.published_name: contract for contract in contracts.values()}
    return FollowedFeatures(lake, tables, by_name, WEEKS)


def require_equal(lake: Lake) -> int:
    """How many rows of features are published, each equal to one of a recompute of all events."""
    rows = 0
    for name, key in KEYS.items():
        order = [key, "week_start_date", "hour_start_at"]
        held = lake.query(f"SELECT * FROM gold.{name}").sort(order)
        assert_frame_equal(held, features_where(lake, name, "TRUE").select(held.columns), check_dtypes=False)
        rows += held.height
    return rows


def _disordered(lake: Lake, broker: Broker, features: FollowedFeatures) -> _Disorder:
    """A million events of six days, sent as fast as they can be; the broker dies when half of them are in."""
    lines = lines_of(
        lake.settings.home / "kafka" / "million.jsonl", seed=3, count=MILLION, per_second=2, bytes_each=BYTES_EACH,
        disorder=100_000, late=0.05,
    )  # fmt: skip
    began, restarts, booked = time.monotonic(), 0, Booked()
    sender = send(broker.brokers, lines, AS_FAST_AS_CAN)
    ended = _ended(sender)
    killed = False

    def kill_once(*_: object) -> None:
        nonlocal killed
        if not killed and sum(item.received for item in booked.receipts) > MILLION // 2:
            killed = True
            broker.kill()

    while True:
        reader = reader_of(lake, broker.brokers)
        try:
            features.catch_up()
            follow(reader, booked, until=ended, then=lambda receipt: (features.add(receipt), kill_once())[0])
            break
        except TopicError:
            restarts += 1
            broker.start()
    sent = json.loads(sender.communicate()[0])
    assert killed
    assert sent["acknowledged"] == sum(item.received for item in booked.receipts)
    return _Disorder(sent["acknowledged"], time.monotonic() - began, restarts)


def _ended(process: subprocess.Popen[str]) -> Callable[[], bool]:
    return lambda: process.poll() is not None
