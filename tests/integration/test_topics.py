"""Topics into bronze: every offset once, the same rows as from a file, and a stop wherever something is lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from benchmarks.broker import Broker
from benchmarks.telemetry import Sender, Traffic, write_lines
from checks.contracts.loader import load_contracts
from checks.contracts.model import Contract
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import ValidationPlan, compile_plan
from resources.fixes import Record
from resources.ingest import Ingest
from resources.known_keys import KnownKeys
from resources.lake import Lake
from resources.mapping import SourceMapping, load_mapping
from resources.offsets import LostOffsets
from resources.quarantine import Replay
from resources.receipts import Receipt
from resources.settings import Settings
from resources.topic_ingest import TopicIngest
from resources.topics import Topics

pytestmark = pytest.mark.spark
TOPIC, TABLE = "telemetry", "telemetry_events"
START = datetime(2017, 11, 27, 5, tzinfo=UTC)
BROKEN = [b"", b"no JSON", b'{"event_id": "x"', b"\xff\xfe", b'{"event_id": "y", "event_type": "unheard of"}']
BUSINESS = pl.exclude("batch_id")
Contracts = dict[tuple[str, str], Contract]


@pytest.fixture(scope="module")
def broker(lake_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(lake_settings, tmp_path_factory.mktemp("broker")) as started:
        yield started


@pytest.fixture
def topic(broker: Broker) -> Iterator[Sender]:
    broker.create(TOPIC, 2)
    yield Sender(broker.brokers, TOPIC)
    broker.drop(TOPIC)


@pytest.fixture
def contracts(lake: Lake) -> Iterator[Contracts]:
    lake.prepare()
    found = load_contracts()
    lake.ensure_table(found["bronze", "quarantine"])
    yield found
    for table in (TABLE, "ingest_ledger", "quarantine"):
        lake.spark.sql(f"DROP TABLE IF EXISTS bronze.{table}")


@pytest.fixture
def mapping() -> SourceMapping:
    return load_mapping("completejourney")


@pytest.fixture
def plan(contracts: Contracts) -> ValidationPlan:
    return compile_plan(to_pandera(contracts["bronze", TABLE]))


@pytest.fixture
def reader(lake: Lake, lake_settings: Settings, mapping: SourceMapping, contracts: Contracts, broker: Broker):
    topics = Topics(lake_settings.model_copy(update={"kafka_brokers": broker.brokers}))
    return TopicIngest(lake, mapping, contracts, topics)


def bronze(lake: Lake) -> pl.DataFrame:
    return lake.query(f"SELECT * FROM bronze.{TABLE} ORDER BY event_id").select(BUSINESS)


def test_a_topic_brings_the_rows_that_a_file_of_its_messages_brings(
    lake: Lake, mapping: SourceMapping, contracts: Contracts, plan: ValidationPlan, tmp_path: Path,
    topic: Sender, reader: TopicIngest,
):  # fmt: skip
    messages = [*Traffic(seed=5, count=2000, start=START).messages(), *BROKEN]
    topic.send(messages)
    assert topic.flush() == len(messages)
    receipts = list(reader.batches(TABLE, plan, most=700))
    assert all(receipt.last_event_at and receipt.last_event_at.tzinfo for receipt in receipts)
    assert [receipt.batch_ordinal for receipt in receipts] == [1, 2, 3]
    assert counts(receipts) == (len(messages), 2000, len(BROKEN), len(messages) - 2000 - len(BROKEN))
    assert list(reader.batches(TABLE, plan, most=700)) == []
    streamed, held = bronze(lake), lake.query("SELECT payload, rule_ids FROM bronze.quarantine ORDER BY payload")
    for table in (TABLE, "ingest_ledger", "quarantine"):
        lake.spark.sql(f"DROP TABLE bronze.{table}")
    path = write_lines([item for item in messages if item], tmp_path / "telemetry.jsonl")
    lake.ensure_table(contracts["bronze", "quarantine"])
    whole = Ingest(lake, mapping, contracts).file(TABLE, path, plan)
    assert whole is not None
    assert counts([whole]) == (len(messages) - 1, 2000, len(BROKEN) - 1, len(messages) - 2000 - len(BROKEN))
    assert bronze(lake).equals(streamed)
    same = lake.query("SELECT payload, rule_ids FROM bronze.quarantine ORDER BY payload")
    assert same.equals(held.filter(pl.col("payload") != ""))


def test_what_comes_while_the_topic_is_held_is_read_too_and_nothing_after(
    contracts: Contracts, plan: ValidationPlan, topic: Sender, reader: TopicIngest, monkeypatch: pytest.MonkeyPatch
):
    """A clock that jumps past the hold after the first batch: what comes after the second was read waits."""
    found: list[int] = []
    monkeypatch.setattr("resources.topic_ingest.time.monotonic", lambda: 100.0 if found else 0.0)
    messages = Traffic(seed=8, count=60, start=START, repeated=0).messages()
    topic.send(messages[:20])
    topic.flush()
    for receipt in reader.batches(TABLE, plan, most=20, hold_seconds=60):
        found.append(receipt.received)
        if len(found) < 3:
            topic.send(messages[20 * len(found) : 20 * len(found) + 20])
            topic.flush()
    assert sum(found) == 40


def test_a_stream_that_keeps_the_keys_counts_what_batches_that_ask_the_table_count(
    lake: Lake, plan: ValidationPlan, topic: Sender, reader: TopicIngest, monkeypatch: pytest.MonkeyPatch
):
    """Repeats of earlier batches, a broken record whose key comes again, and rows that somebody takes out meanwhile."""
    asked: list[int] = []
    among = KnownKeys.among

    def watched(self: KnownKeys, keys: pl.DataFrame) -> pl.DataFrame | None:
        known = among(self, keys)
        assert known is not None
        asked.append(known.height)
        return known

    monkeypatch.setattr(KnownKeys, "among", watched)
    messages = Traffic(seed=9, count=300, start=START, repeated=0).messages()
    topic.send([*messages, *messages[:100], *BROKEN])
    topic.flush()
    first = list(reader.batches(TABLE, plan, most=100, hold_seconds=60))
    assert counts(first) == (405, 300, 5, 100)
    assert asked
    lake.spark.sql(f"DELETE FROM bronze.{TABLE} WHERE event_id = '9-7'")
    mended = BROKEN[-1].replace(b"unheard of", b"impression")[:-1] + b', "device_at": "2017-11-27T05:00:00Z"'
    topic.send([*messages[:50], mended + b', "collected_at": "2017-11-27T05:00:00Z"}'])
    topic.flush()
    [second] = reader.batches(TABLE, plan, most=100, hold_seconds=60)
    assert counts([second]) == (51, 2, 0, 49)
    assert asked[-1] == 49
    assert sorted(bronze(lake)["event_id"]) == sorted({f"9-{number}" for number in range(300)} | {"y"})


def counts(receipts: list[Receipt]) -> tuple[int, ...]:
    return tuple(sum(getattr(item, name) for item in receipts)
                 for name in ("received", "accepted", "quarantined", "duplicates"))  # fmt: skip


def test_a_message_that_was_refused_comes_back_mended(
    lake: Lake, mapping: SourceMapping, contracts: Contracts, plan: ValidationPlan, topic: Sender, reader: TopicIngest
):
    """What is no record stays; reading the topic goes on from where it was."""

    def mend(record: Record) -> Record | None:
        at = "2017-11-27T05:00:00Z"
        return {**record, "event_type": "impression", "device_at": at, "collected_at": at}

    topic.send(BROKEN)
    topic.flush()
    assert counts(list(reader.batches(TABLE, plan, most=100))) == (5, 0, 5, 0)
    moved = Replay(lake, mapping, contracts).table(TABLE, plan, mend, "0" * 64)
    assert moved is not None
    assert counts([moved]) == (0, 1, -1, 0)
    assert bronze(lake).select("event_id", "event_type").rows() == [("y", "impression")]
    topic.send(Traffic(seed=7, count=20, start=START, repeated=0).messages())
    topic.flush()
    assert counts(list(reader.batches(TABLE, plan, most=100))) == (20, 20, 0, 0)


def test_a_topic_that_does_not_go_on_is_not_read_until_a_person_accepts_it(
    lake: Lake, plan: ValidationPlan, broker: Broker, topic: Sender, reader: TopicIngest
):
    """Expired, recreated, widened: each stops with what is lost, and what is accepted is in the ledger."""

    def send(seed: int) -> None:
        topic.send(Traffic(seed=seed, count=20, start=START, repeated=0).messages())
        topic.flush()

    def ingest() -> int:
        return sum(receipt.accepted for receipt in reader.batches(TABLE, plan, most=1000))

    def stopped() -> str:
        rows = bronze(lake).height
        with pytest.raises(LostOffsets) as found:
            ingest()
        assert bronze(lake).height == rows
        accepted = reader.accept_loss(TABLE, "nobody has it", "Ann")
        assert accepted is not None
        assert (accepted.outcome, accepted.received) == ("lost", 0)
        assert reader.accept_loss(TABLE, "nobody has it", "Ann") is None
        return str(found.value)

    send(1)
    assert ingest() == 20
    send(2)
    broker.trim(TOPIC)
    assert "expired unread" in stopped()
    send(3)
    assert ingest() == 20
    broker.widen(TOPIC, 3)
    assert "partition 2" in stopped()
    send(4)
    assert ingest() == 20
    broker.drop(TOPIC)
    broker.create(TOPIC, 3)
    send(5)
    assert "deleted and created again" in stopped()
    assert ingest() == 20
    seeds = bronze(lake)["event_id"].str.split("-").list.first()
    assert sorted(set(seeds)) == ["1", "3", "4", "5"]


def test_a_table_that_another_process_took_away_between_two_holds_is_made_again(
    lake: Lake, plan: ValidationPlan, topic: Sender, reader: TopicIngest
):
    messages = Traffic(seed=4, count=20, start=START, repeated=0).messages()
    topic.send(messages)
    topic.flush()
    assert counts(list(reader.batches(TABLE, plan, most=100))) == (20, 20, 0, 0)
    lake.release()
    for table in (TABLE, "ingest_ledger"):
        lake.spark.sql(f"DROP TABLE bronze.{table}")
    assert counts(list(reader.batches(TABLE, plan, most=100))) == (20, 20, 0, 0)
    assert bronze(lake).height == 20


def test_a_batch_that_was_killed_is_undone_and_read_again(
    lake: Lake, plan: ValidationPlan, topic: Sender, reader: TopicIngest, monkeypatch: pytest.MonkeyPatch
):
    """Killed before the ledger: the next attempt, cut otherwise, has every event once."""
    messages = Traffic(seed=6, count=300, start=START).messages()
    topic.send(messages)
    topic.flush()

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("resources.books.ledger_row", killed)
        with pytest.raises(Killed):
            list(reader.batches(TABLE, plan, most=100))
    assert bronze(lake).height > 0
    receipts = list(reader.batches(TABLE, plan, most=10_000))
    assert counts(receipts) == (len(messages), 300, 0, len(messages) - 300)
    assert bronze(lake).height == 300
