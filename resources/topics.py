"""Kafka topics: where a topic stands, the records of exact ranges of offsets, and messages to one.

Belongs here: everything that imports confluent_kafka. Does not belong here: which ranges are read and what is lost
(offsets), what a record means (mapping, records), what is sent (outbound).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec, TopicDescription  # type: ignore[reportPrivateImportUsage]

from resources.offsets import OffsetRange, TopicState
from resources.settings import Settings

# A broker answers within this time; one that restarts under a reader is back within the other.
ANSWER_SECONDS, PATIENCE_SECONDS = 10.0, 60.0
POLL_SECONDS = 1.0
FETCHED_AT_ONCE = 10_000
# Of a partition that is ahead of the others no more messages are taken in.
MOST_KEPT = 50_000
# A message that the broker has not confirmed by then is given up.
DELIVERY_SECONDS = 30.0
# Aborted transactions are no events, and their offsets hold nothing.
COMMITTED_ONLY = IsolationLevel.READ_COMMITTED


class TopicError(RuntimeError):
    """The broker does not answer or has no such topic; the message says what to do. Nothing was read."""


class Topics:
    """The topics of one lake's broker; a context that closes its connections."""

    def __init__(self, settings: Settings) -> None:
        assert settings.kafka_brokers is not None
        self._config = {
            **_extra(settings.kafka_config),
            "bootstrap.servers": settings.kafka_brokers,
            # What the client would print of every retry is in the error, if it comes to one.
            "log_level": 0,
        }

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient(self._config)

    def state(self, topic: str, seconds: float = ANSWER_SECONDS) -> TopicState:
        """The topic's id and the offsets that can be read now, of one moment for each partition.

        Args:
            topic: its name.
            seconds: how long the broker may take.

        Raises:
            TopicError: the broker does not answer, or has no such topic.
        """
        with _reachable(topic):
            found = self._describe(topic, seconds)
            partitions = [TopicPartition(topic, item.id) for item in found.partitions]
            first = self._offsets(partitions, OffsetSpec.earliest(), seconds)
            end = self._offsets(partitions, OffsetSpec.latest(), seconds)
        return TopicState(str(found.topic_id), first, end)

    def _describe(self, topic: str, seconds: float) -> TopicDescription:
        return self._admin.describe_topics(TopicCollection([topic]), request_timeout=seconds)[topic].result()

    def _offsets(
        self, partitions: Sequence[TopicPartition], which: OffsetSpec | None, seconds: float
    ) -> dict[int, int]:
        assert which is not None
        asked = self._admin.list_offsets(
            dict.fromkeys(partitions, which), isolation_level=COMMITTED_ONLY, request_timeout=seconds
        )
        return {partition.partition: future.result().offset for partition, future in asked.items()}

    def reading(self, topic: str) -> Reading:
        """What reads the topic; it holds a connection until it is closed."""
        config = {
            **self._config, "group.id": "liftlake", "enable.auto.commit": False, "enable.partition.eof": True,
            "auto.offset.reset": "error", "isolation.level": "read_committed", "check.crcs": True,
        }  # fmt: skip
        return Reading(topic, config)

    @cached_property
    def _producer(self) -> Producer:
        # Confirmed by all replicas in sync, and a retry adds no second message.
        sure = {"acks": "all", "enable.idempotence": True, "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000)}
        return Producer({**self._config, **sure})

    def send(self, topic: str, messages: Sequence[tuple[str, bytes]], content_type: str) -> list[str | None]:
        """Send messages and wait until the broker has each; why it has not, None where it has, in their order.

        Args:
            topic: that exists.
            messages: (key, value); a key always goes to the same partition.
            content_type: of the values, a header of every message.

        Raises:
            TopicError: the broker does not answer, or has no such topic. Nothing was sent.
        """
        found: list[str | None] = ["no answer"] * len(messages)
        with _reachable(topic, "written", "LIFTLAKE_EVENTS_TOPIC"):
            self._describe(topic, ANSWER_SECONDS)
            for number, (key, value) in enumerate(messages):
                report = partial(_report, found, number)
                self._producer.produce(
                    topic, value=value, key=key, headers={"content-type": content_type}, on_delivery=report
                )
            self._producer.flush(DELIVERY_SECONDS + ANSWER_SECONDS)
        return found


def _report(found: list[str | None], number: int, error: KafkaError | None, _message: Message) -> None:
    found[number] = None if error is None else error.name()


class Reading:
    """Reads one topic range after range; a context that closes its connection.

    Ranges that follow on each other cost no new question to the broker.
    """

    def __init__(self, topic: str, config: Mapping[str, str | bool]) -> None:
        self._topic = topic
        with _reachable(topic):
            self._consumer = Consumer(dict(config))
        # By partition: up to where messages were handed out, up to where they came, and those between the two.
        self._given: dict[int, int] = {}
        self._reached: dict[int, int] = {}
        self._kept: dict[int, list[tuple[int, bytes]]] = {}
        self._paused: set[int] = set()
        self._is_given_up = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def give_up(self) -> None:
        """Let who waits for messages in another thread wait no longer."""
        self._is_given_up = True

    def values(self, ranges: Sequence[OffsetRange]) -> list[bytes]:
        """The values of the records in the ranges, by partition and offset; a record without a value has none: b"".

        Offsets that hold no record (compacted away, ends of transactions) are no records.

        Raises:
            TopicError: the broker does not answer, or a range cannot be read to its end.
        """
        with _reachable(self._topic):
            if any(self._given.get(item.partition) != item.first for item in ranges):
                self._begin({item.partition: item.first for item in ranges})
            self._go_on({item.partition: item.end for item in ranges})
        return [value for item in ranges for value in self._taken(item)]

    def _begin(self, first: Mapping[int, int]) -> None:
        self._consumer.assign([TopicPartition(self._topic, *place) for place in first.items()])
        self._given, self._reached, self._kept = dict(first), dict(first), {part: [] for part in first}
        self._paused.clear()

    def _go_on(self, ends: Mapping[int, int]) -> None:
        """Take in messages until all of them before these offsets have come."""
        self._hold(set())
        waited = 0.0
        while waiting := {part: end for part, end in ends.items() if self._reached[part] < end}:
            first = self._consumer.poll(POLL_SECONDS)
            waited = 0.0 if first is not None else waited + POLL_SECONDS
            if waited >= PATIENCE_SECONDS or self._is_given_up:
                raise TopicError(_unread(self._topic, waiting))
            if first is None:
                continue
            for message in (first, *self._consumer.consume(FETCHED_AT_ONCE, timeout=0)):
                self._keep(message)
            # Past the end of a range, or past markers that are no messages.
            for place in self._consumer.position([TopicPartition(self._topic, part) for part in self._reached]):
                self._reached[place.partition] = max(self._reached[place.partition], place.offset)
            # One partition may be slow: the others wait for it.
            self._hold({part for part, kept in self._kept.items() if part not in waiting and len(kept) > MOST_KEPT})

    def _keep(self, message: Message) -> None:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        if error is None:
            self._kept[partition].append((offset, message.value() or b""))

    def _hold(self, partitions: set[int]) -> None:
        """Fetch nothing of these partitions, and of all others again."""
        self._consumer.resume([TopicPartition(self._topic, part) for part in self._paused - partitions])
        self._consumer.pause([TopicPartition(self._topic, part) for part in partitions - self._paused])
        self._paused = partitions

    def _taken(self, item: OffsetRange) -> list[bytes]:
        kept = self._kept[item.partition]
        place = bisect_left(kept, item.end, key=itemgetter(0))
        self._kept[item.partition], self._given[item.partition] = kept[place:], item.end
        return [value for _, value in kept[:place]]


def _unread(topic: str, ends: Mapping[int, int]) -> str:
    rest = ", ".join(f"{partition} up to offset {end}" for partition, end in sorted(ends.items()))
    return f"Topic {topic} could not be read in {PATIENCE_SECONDS:.0f} s: partition {rest}. Is the broker up?"


@contextmanager
def _reachable(topic: str, done: str = "read", named_in: str = "the mapping") -> Iterator[None]:
    """Turns what the client raises into a sentence without the broker's address and credentials."""
    try:
        yield
    except KafkaException as error:
        problem = error.args[0]
        if problem.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise TopicError(f"The broker has no topic {topic}: create it, or mend {named_in}.") from error
        raise TopicError(
            f"Topic {topic} cannot be {done} ({problem.name()}): see that the broker that LIFTLAKE_KAFKA_BROKERS names "
            "is up and admits this user, or unset the variable to go on without topics."
        ) from error


def _extra(path: Path | None) -> dict[str, str]:
    """Further properties of the client (security, mostly), `name=value` a line; they may hold secrets.

    Raises:
        TopicError: the file cannot be read, or a line is no property.
    """
    if path is None:
        return {}
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise TopicError(f"LIFTLAKE_KAFKA_CONFIG: {path} cannot be read: {error.strerror}.") from error
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    if not all(sign for _, sign, _ in pairs):
        raise TopicError(f"LIFTLAKE_KAFKA_CONFIG: {path} has a line that is not `name=value`.")
    return {name.strip(): value.strip() for name, _, value in pairs}
