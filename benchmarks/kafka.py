"""Kafka to bronze: a broker, a producer, Spark and the ingest on one machine, at a rate, for a minute.

Belongs here: what is sent at which rate, and how old an event is when bronze has it. Does not belong here: the broker
(broker), the events (telemetry), the reading (resources.topic_ingest).

An event's age is from the time that the broker keeps of it (when the producer made it) to the moment at which the batch
that holds it is booked.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from confluent_kafka import Consumer, TopicPartition

from benchmarks.broker import Broker
from benchmarks.memory import MemoryWatch
from benchmarks.program import Options, progress
from benchmarks.side_by_side import throwaway_lake
from benchmarks.telemetry import Traffic, write_lines
from checks.contracts.loader import load_contracts
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from resources.lake import Lake
from resources.mapping import load_mapping
from resources.offsets import parse_range
from resources.receipts import Receipt
from resources.settings import PROJECT_ROOT
from resources.topic_ingest import TopicIngest
from resources.topics import Topics

TOPIC, TABLE = "telemetry", "telemetry_events"
RATE_PER_SECOND, SECONDS, BYTES_EACH, PARTITIONS = 20_000, 60, 1_000, 2
WARM_UP = 20_000
# As `liftlake topic follow`.
HOLD_SECONDS = 60.0
START = datetime(2017, 12, 5, tzinfo=UTC)
LAW = ("received", "accepted", "quarantined", "duplicates")


@dataclass
class Booked:
    """Batches with the moment at which each was booked (seconds since 1970)."""

    receipts: list[Receipt]
    at: list[float]


def bench_kafka(_options: Options) -> dict[str, Any]:
    """Ingest a topic while it is written, and print rate, lag and age. The object is what `bench --json` promises."""
    began = time.monotonic()
    with throwaway_lake() as lake, MemoryWatch(lake.settings.home, with_self=True) as memory:
        folder = lake.settings.home / "kafka"
        with Broker(lake.settings, folder / "broker") as broker:
            broker.create(TOPIC, PARTITIONS)
            reader = _reader(lake, broker.brokers)
            progress("making the events")
            warm = _lines(folder / "warm.jsonl", seed=1, count=WARM_UP)
            lines = _lines(folder / "events.jsonl", seed=2, count=RATE_PER_SECOND * SECONDS)
            progress("warming up")
            _send(broker.brokers, warm, 10 * RATE_PER_SECOND).wait()
            _follow(reader, until=lambda: True)
            warmed = _rows(lake)
            progress(f"{RATE_PER_SECOND:,} events a second for {SECONDS} s")
            sender = _send(broker.brokers, lines, RATE_PER_SECOND)
            booked = _follow(reader, until=lambda: sender.poll() is not None)
            sent = json.loads(sender.communicate()[0])
            ages = _ages(broker.brokers, booked)
            rows = _rows(lake) - warmed
        peak = memory.peak_mb()
    law = {name: sum(getattr(item, name) for item in booked.receipts) for name in LAW}
    assert law["received"] == sent["acknowledged"] == law["accepted"] + law["quarantined"] + law["duplicates"]
    assert rows == law["accepted"] == RATE_PER_SECOND * SECONDS
    return {
        "name": "kafka",
        "configuration": {
            "threads": lake.settings.threads, "spark_memory": lake.settings.spark_memory, "bytes_each": BYTES_EACH,
            "partitions": PARTITIONS, "rate_per_second": RATE_PER_SECOND, "sent_seconds": sent["seconds"],
        },
        "metrics": {
            "events": law["received"],
            "events_per_second": round(law["received"] / (booked.at[-1] - sent["began_at"])),
            "sent_per_second": round(sent["acknowledged"] / sent["seconds"]),
            "batches": len(booked.receipts),
            "age_seconds_p50": round(float(np.quantile(ages, 0.5)), 2),
            "age_seconds_p95": round(float(np.quantile(ages, 0.95)), 2),
            "age_seconds_max": round(float(ages.max()), 2),
            "behind_at_the_end_seconds": round(booked.at[-1] - sent["began_at"] - sent["seconds"], 2),
        },
        "published": {},
        "seconds": round(time.monotonic() - began, 1),
        "peak_rss_mb": peak,
        "rivals": {},
    }  # fmt: skip


def _reader(lake: Lake, brokers: str) -> TopicIngest:
    contracts = load_contracts()
    lake.prepare()
    for name in (TABLE, "quarantine"):
        lake.ensure_table(contracts["bronze", name])
    settings = lake.settings.model_copy(update={"kafka_brokers": brokers})
    return TopicIngest(lake, load_mapping("completejourney"), contracts, Topics(settings))


def _lines(path: Path, seed: int, count: int) -> Path:
    traffic = Traffic(seed=seed, count=count, start=START, per_second=RATE_PER_SECOND, bytes_each=BYTES_EACH)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_lines(traffic.messages(), path)


def _send(brokers: str, lines: Path, per_second: int) -> subprocess.Popen[str]:
    """A producer in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.kafka_sender", brokers, TOPIC, str(lines), str(per_second)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT)


def _follow(reader: TopicIngest, until: Any) -> Booked:
    """Ingest batch after batch, until `until` holds and nothing waits."""
    plan = compile_plan(to_pandera(load_contracts()["bronze", TABLE]))
    booked = Booked([], [])
    while True:
        is_last = until()
        for receipt in reader.batches(TABLE, plan, 10 * RATE_PER_SECOND, HOLD_SECONDS):
            booked.receipts.append(receipt)
            booked.at.append(time.time())
        if is_last:
            return booked


def _rows(lake: Lake) -> int:
    return int(lake.query(f"SELECT COUNT(*) AS rows FROM bronze.{TABLE}").item())


def _ages(brokers: str, booked: Booked) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The age of every message when its batch was booked, in seconds."""
    made = _made_at(brokers, {part for item in booked.receipts for part in _ranges(item)})
    ages = [
        at - made[part][first:end]
        for receipt, at in zip(booked.receipts, booked.at, strict=True)
        for part, (first, end) in _ranges(receipt).items()
    ]
    return np.concatenate(ages)


def _ranges(receipt: Receipt) -> dict[int, tuple[int, int]]:
    ranges = [parse_range(text) for text in receipt.offset_ranges]
    return {item.partition: (item.first, item.end) for item in ranges}


def _made_at(brokers: str, partitions: Iterable[int]) -> Mapping[int, np.ndarray[Any, np.dtype[np.float64]]]:
    """Partition -> when each of its messages was made (seconds since 1970), by offset."""
    config = {"bootstrap.servers": brokers, "group.id": "bench", "enable.partition.eof": True, "log_level": 0}
    consumer = Consumer({**config, "enable.auto.commit": False})
    waiting = set(partitions)
    consumer.assign([TopicPartition(TOPIC, part, 0) for part in waiting])
    found: dict[int, list[float]] = {part: [] for part in waiting}
    while waiting:
        for message in consumer.consume(10_000, timeout=1):
            part = message.partition()
            assert part is not None
            if message.error() is not None:
                waiting.discard(part)
            else:
                found[part].append(message.timestamp()[1] / 1000)
    consumer.close()
    return {part: pl.Series(times, dtype=pl.Float64).to_numpy() for part, times in found.items()}
