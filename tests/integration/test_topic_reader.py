"""Messages of a topic: each once and in order, however they come, and what is said where they do not come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from threading import Event, Timer
from time import monotonic

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from benchmarks.broker import Broker
from benchmarks.telemetry import Sender, Traffic
from resources.offsets import LostOffsets, OffsetRange, Position, next_ranges
from resources.records import Text
from resources.settings import Settings
from resources.staged_messages import StagedMessages
from resources.topic_reader import SMALL_PIECE, TopicReader
from resources.topics import Reading, TopicError, Topics

pytestmark = pytest.mark.spark
TOPIC = "telemetry"
START = datetime(2017, 11, 27, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def broker(lake_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(lake_settings, tmp_path_factory.mktemp("broker")) as started:
        yield started


@pytest.fixture
def topics(lake_settings: Settings, broker: Broker) -> Iterator[Topics]:
    broker.create(TOPIC, 2)
    yield Topics(lake_settings.model_copy(update={"kafka_brokers": broker.brokers}))
    broker.drop(TOPIC)


def send(broker: Broker, sent: dict[int, list[bytes]]) -> None:
    producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0})
    for partition, values in sent.items():
        for value in values:
            producer.produce(TOPIC, value, partition=partition)
    assert producer.flush(60) == 0


def wait_for_end(broker: Broker, partition: int, offset: int) -> None:
    """Until the broker has told a reader that stands there that nothing follows."""
    config = {"bootstrap.servers": broker.brokers, "group.id": "end", "enable.partition.eof": True, "log_level": 0}
    consumer = Consumer({**config, "enable.auto.commit": False})
    consumer.assign([TopicPartition(TOPIC, partition, offset)])
    while True:
        message = consumer.poll(60)
        assert message is not None
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            break
    consumer.close()


def test_a_partition_that_came_whole_before_it_was_asked_for_is_handed_out(
    broker: Broker, topics: Topics, monkeypatch: pytest.MonkeyPatch
):
    """Nothing comes after it that would say so."""
    sent = {0: [b"%d" % number for number in range(500)], 1: [b"a", b"b"]}
    send(broker, sent)
    monkeypatch.setattr("resources.topics.PATIENCE_SECONDS", 5.0)
    with topics.reading(TOPIC) as reading:
        assert reading.values([OffsetRange(0, 0, 500), OffsetRange(1, 0, 0)]) == sent[0]
        send(broker, {0: [b"last"]})
        wait_for_end(broker, 0, 500)
        assert reading.values([OffsetRange(0, 500, 501), OffsetRange(1, 0, 0)]) == [b"last"]
        assert reading.values([OffsetRange(0, 501, 501), OffsetRange(1, 0, 2)]) == sent[1]


def test_ranges_are_read_whole_however_far_one_partition_is_ahead(
    broker: Broker, topics: Topics, monkeypatch: pytest.MonkeyPatch
):
    """Nine of ten messages are in one partition, and little of what comes before its turn is kept."""
    sent = {part: [b"%d" % number for number in range(20_000) if int(number % 10 == 0) == part] for part in (0, 1)}
    send(broker, sent)
    held, hold = [], Reading._hold

    def watched(self: Reading, partitions: set[int]) -> None:
        held.append(partitions)
        hold(self, partitions)

    monkeypatch.setattr("resources.topics.MOST_KEPT", 100)
    monkeypatch.setattr(Reading, "_hold", watched)
    state = topics.state(TOPIC)
    found: dict[int, list[bytes]] = {0: [], 1: []}
    with topics.reading(TOPIC) as reading:
        position = None
        while ranges := next_ranges(position, state, 700):
            values = reading.values(ranges)
            for item in ranges:
                found[item.partition] += values[: item.end - item.first]
                values = values[item.end - item.first :]
            position = Position(state.topic_id, {item.partition: item.end for item in ranges}, 1)
        assert reading.values([OffsetRange(0, 5, 7), OffsetRange(1, 0, 1)]) == [*sent[0][5:7], sent[1][0]]
    assert found == sent
    assert any(held)


def test_what_was_read_before_a_loss_is_a_batch_and_the_loss_stops_the_next(
    broker: Broker, topics: Topics, monkeypatch: pytest.MonkeyPatch
):
    """The topic gets a partition after a piece was read ahead."""
    was_read, add = Event(), StagedMessages.add

    def watched_add(self: StagedMessages, values: Sequence[bytes]) -> None:
        add(self, values)
        was_read.set()

    monkeypatch.setattr(StagedMessages, "add", watched_add)
    messages = Traffic(seed=3, count=SMALL_PIECE, start=START, repeated=0).messages()
    sender = Sender(broker.brokers, TOPIC)
    sender.send(messages)
    sender.flush()
    with TopicReader(topics, TOPIC, Text(columns=("event_id",)), most=10_000) as reader:
        coming = reader.ahead(None, None)
        assert was_read.wait(60)
        broker.widen(TOPIC, 3)
        found = coming.taken()
        assert found is not None
        assert sorted(found.records["_raw"]) == sorted(message.decode() for message in messages)
        with pytest.raises(LostOffsets, match="has got partition 2"):
            reader.ahead(found.position, None).taken()


def test_a_broker_that_is_gone_and_a_topic_that_is_not_there_are_named(lake_settings: Settings, topics: Topics):
    with pytest.raises(TopicError, match="no topic nowhere"):
        topics.state("nowhere")
    with pytest.raises(TopicError, match="LIFTLAKE_KAFKA_BROKERS"):
        Topics(lake_settings.model_copy(update={"kafka_brokers": "127.0.0.1:1"})).state(TOPIC, seconds=1)


def test_until_its_time_comes_a_batch_grows_and_only_a_full_one_is_taken(broker: Broker, topics: Topics):
    sent = [b'{"a": "%d"}' % number for number in range(SMALL_PIECE)]
    send(broker, {0: sent})
    with TopicReader(topics, TOPIC, Text(columns=("a",)), SMALL_PIECE) as reader:
        full = reader.ahead(None, None).taken(not_before=monotonic() + 3_600)
        assert full is not None
        send(broker, {0: [b'{"a": "early"}']})
        coming, due = reader.ahead(full.position, None), monotonic() + 2
        later = Timer(0.5, send, (broker, {0: [b'{"a": "late"}']}))
        later.start()
        grown = coming.taken(due)
        later.join()
    assert monotonic() >= due
    assert grown is not None
    assert grown.records["a"].to_list() == ["early", "late"]
