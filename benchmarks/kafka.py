"""Kafka to bronze: a broker, a producer, Spark and the ingest on one machine, at a rate, for a minute.

Belongs here: what is sent at which rate, and the figures. Does not belong here: sending, following and ages
(topic_runs).
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np

from benchmarks.broker import Broker
from benchmarks.memory import MemoryWatch
from benchmarks.program import Options, progress
from benchmarks.side_by_side import throwaway_lake
from benchmarks.topic_runs import TOPIC, Booked, ages_of, follow, lines_of, reader_of, rows_of, send

RATE_PER_SECOND, SECONDS, BYTES_EACH, PARTITIONS = 20_000, 60, 1_000, 2
# What is measured is a stream that has been running: two minutes like the measured one go before it, in which Java
# compiles what it runs often.
WARM_UP_SECONDS = 120
LAW = ("received", "accepted", "quarantined", "duplicates")


def bench_kafka(_options: Options) -> dict[str, Any]:
    """Ingest a topic while it is written, and print rate, lag and age. The object is what `bench --json` promises."""
    began = time.monotonic()
    with throwaway_lake() as lake, MemoryWatch(lake.settings.home, with_self=True) as memory:
        folder = lake.settings.home / "kafka"
        with Broker(lake.settings, folder / "broker") as broker:
            broker.create(TOPIC, PARTITIONS)
            reader = reader_of(lake, broker.brokers)
            progress("making the events")
            each = {"per_second": RATE_PER_SECOND, "bytes_each": BYTES_EACH}
            warm = lines_of(folder / "warm.jsonl", seed=1, count=RATE_PER_SECOND * WARM_UP_SECONDS, **each)
            lines = lines_of(folder / "events.jsonl", seed=2, count=RATE_PER_SECOND * SECONDS, **each)
            progress("warming up")
            warming = send(broker.brokers, warm, RATE_PER_SECOND)
            follow(reader, Booked(), until=lambda: warming.poll() is not None)
            warmed = rows_of(lake)
            progress(f"{RATE_PER_SECOND:,} events a second for {SECONDS} s")
            sender, booked = send(broker.brokers, lines, RATE_PER_SECOND), Booked()
            follow(reader, booked, until=lambda: sender.poll() is not None)
            sent = json.loads(sender.communicate()[0])
            ages = ages_of(broker.brokers, booked)
            rows = rows_of(lake) - warmed
        peak = memory.peak_mb()
    law = {name: sum(getattr(item, name) for item in booked.receipts) for name in LAW}
    assert law["received"] == sent["acknowledged"] == law["accepted"] + law["quarantined"] + law["duplicates"]
    assert rows == law["accepted"] == RATE_PER_SECOND * SECONDS
    return {
        "name": "kafka",
        "configuration": {
            "threads": lake.settings.threads, "spark_memory": lake.settings.spark_memory, "bytes_each": BYTES_EACH,
            "partitions": PARTITIONS, "rate_per_second": RATE_PER_SECOND, "sent_seconds": sent["seconds"],
            "warm_up_seconds": WARM_UP_SECONDS,
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
