"""A topic that is written while it is followed: what kafka and events have in common.

Belongs here: sending at a rate, following, and how old an event is when it has arrived. Does not belong here: what is
measured (kafka, events), the broker (broker), the events (telemetry).

An event's age is from the time that the broker keeps of it (when the producer made it) to the moment at which the batch
that holds it is where it should be.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from confluent_kafka import Consumer, TopicPartition

from benchmarks.telemetry import Traffic, write_lines
from checks.contracts.loader import load_contracts
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from resources.lake import Lake
from resources.mapping import load_mapping
from resources.offsets import parse_range
from resources.receipts import Receipt
from resources.settings import PROJECT_ROOT, Settings
from resources.topic_ingest import TopicIngest
from resources.topics import Topics

TOPIC, TABLE = "telemetry", "telemetry_events"
# As `liftlake topic follow`.
HOLD_SECONDS: float = 60
EVERY_SECONDS: float = Settings.model_fields["kafka_batch_seconds"].default
MOST = 200_000
START = datetime(2017, 12, 5, tzinfo=UTC)


@dataclass
class Booked:
    """Batches with the moment at which each was booked (seconds since 1970)."""

    receipts: list[Receipt] = field(default_factory=list)
    at: list[float] = field(default_factory=list)


def reader_of(lake: Lake, brokers: str) -> TopicIngest:
    """What ingests the topic, its tables made."""
    contracts = load_contracts()
    lake.prepare()
    for name in (TABLE, "quarantine"):
        lake.ensure_table(contracts["bronze", name])
    settings = lake.settings.model_copy(update={"kafka_brokers": brokers})
    return TopicIngest(lake, load_mapping("completejourney"), contracts, Topics(settings))


def lines_of(path: Path, **traffic: Any) -> Path:
    """A file of so much traffic, a message a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_lines(Traffic(start=START, **traffic).messages(), path)


def send(brokers: str, lines: Path, per_second: int) -> subprocess.Popen[str]:
    """A producer in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.kafka_sender", brokers, TOPIC, str(lines), str(per_second)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT)


def follow(
    reader: TopicIngest, booked: Booked, until: Callable[[], bool], then: Callable[[Receipt], None] = lambda _: None
) -> None:
    """Ingest batch after batch, each followed by `then`, until `until` holds and nothing waits."""
    plan = compile_plan(to_pandera(load_contracts()["bronze", TABLE]))
    while True:
        is_last = until()
        for receipt in reader.batches(TABLE, plan, MOST, HOLD_SECONDS, EVERY_SECONDS):
            then(receipt)
            booked.receipts.append(receipt)
            booked.at.append(time.time())
        if is_last:
            return


def rows_of(lake: Lake) -> int:
    """How many events bronze has."""
    return int(lake.query(f"SELECT COUNT(*) AS rows FROM bronze.{TABLE}").item())


def ages_of(brokers: str, booked: Booked) -> np.ndarray[Any, np.dtype[np.float64]]:
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
