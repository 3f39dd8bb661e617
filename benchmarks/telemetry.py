"""Events of an app that nobody has: seeded, out of order, repeated, late, by clocks that are wrong.

Belongs here: what is sent, as a file's lines or as a topic's messages: the same bytes either way. Does not belong here:
the broker (broker) and what Liftlake makes of the events.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import numpy as np
from confluent_kafka import KafkaError, Message, Producer

TYPES = ("impression", "offer_view", "add_to_basket", "redemption")
TYPE_SHARES = (0.6, 0.2, 0.15, 0.05)
OFFER_TYPES = {"offer_view", "redemption"}
SECONDS = timedelta(seconds=1)
# The producer's memory for messages that are not acknowledged yet.
IN_FLIGHT = 200_000


@dataclass(frozen=True)
class Traffic:
    """What is sent.

    Attributes:
        seed: of everything that is drawn.
        count: distinct events.
        start: when the first of them happens, UTC.
        per_second: how many happen a second.
        repeated, late, ahead: shares of events that are sent twice, an hour to two days after they happened, or by a
            device whose clock is up to ten minutes ahead.
        disorder: events arrive up to so many places from where they belong.
        bytes_each: the least size of a message.
        households, products, stores: ids as the source knows them.
    """

    seed: int
    count: int
    start: datetime
    per_second: float = 100
    repeated: float = 0.02
    late: float = 0.01
    ahead: float = 0.01
    disorder: int = 50
    bytes_each: int = 0
    households: Sequence[str] = tuple(str(number) for number in range(1, 501))
    products: Sequence[str] = tuple(str(number) for number in range(1, 101))
    stores: Sequence[str] = tuple(str(number) for number in range(1, 21))

    def messages(self) -> list[bytes]:
        """The messages in the order in which they are sent; a repeat is the same bytes."""
        draw = np.random.default_rng(self.seed)
        events = list(self._events(draw))
        order = np.arange(self.count) + draw.uniform(0, self.disorder, self.count)
        is_late = draw.random(self.count) < self.late
        order[is_late] += self.disorder + draw.uniform(0, self.count, is_late.sum())
        repeats = np.flatnonzero(draw.random(self.count) < self.repeated)
        again = order[repeats] + draw.uniform(1, self.disorder * 20 + 1, repeats.size)
        which = np.concatenate([np.arange(self.count), repeats])
        return [events[index] for index in which[np.argsort(np.concatenate([order, again]), kind="stable")]]

    def _events(self, draw: np.random.Generator) -> Iterator[bytes]:
        kinds = draw.choice(len(TYPES), self.count, p=TYPE_SHARES)
        household = draw.integers(0, len(self.households), self.count)
        product = draw.integers(0, len(self.products), self.count)
        store = draw.integers(0, len(self.stores), self.count)
        delay = draw.uniform(0.05, 2, self.count)
        is_ahead = draw.random(self.count) < self.ahead
        ahead = np.where(is_ahead, draw.uniform(3, 600, self.count), 0)
        for index in range(self.count):
            happened = self.start + SECONDS * (index / self.per_second)
            kind, place = TYPES[kinds[index]], self.stores[store[index]]
            event = {
                "event_id": f"{self.seed}-{index}",
                "event_type": kind,
                "household_id": self.households[household[index]],
                "session_id": f"s{self.seed}-{household[index]}-{index // 1000}",
                "store_id": place,
                "product_id": self.products[product[index]],
                "device_at": stamp(happened + SECONDS * float(ahead[index])),
                "collected_at": stamp(happened + SECONDS * float(delay[index])),
            }
            if kind in OFFER_TYPES:
                event |= {"offer_id": f"o{product[index] % 10}", "campaign_id": f"c{product[index] % 3}"}
            if kind == "add_to_basket":
                event["quantity_units"] = 1 + int(product[index]) % 3
            yield padded(event, self.bytes_each)


def stamp(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def padded(event: dict[str, object], bytes_each: int) -> bytes:
    """The event as JSON of at least so many bytes: what is missing is said of the device."""
    plain = json.dumps(event)
    missing = bytes_each - len(plain) - len(', "properties": {"agent": ""}')
    return (f'{plain[:-1]}, "properties": {{"agent": "{"a" * missing}"}}}}' if missing > 0 else plain).encode()


def write_lines(messages: Iterable[bytes], path: Path) -> Path:
    """The messages as a JSON lines file."""
    with path.open("wb") as out:
        _write(messages, out)
    return path


def _write(messages: Iterable[bytes], out: IO[bytes]) -> None:
    for message in messages:
        out.write(message + b"\n")


class Sender:
    """Sends messages to a topic, idempotently, and counts those that the broker acknowledged."""

    def __init__(self, brokers: str, topic: str) -> None:
        self.acknowledged = 0
        self._topic = topic
        self._producer = Producer({
            "bootstrap.servers": brokers, "enable.idempotence": True, "acks": "all", "linger.ms": 20, "log_level": 0,
            "queue.buffering.max.messages": IN_FLIGHT, "compression.type": "lz4", "message.timeout.ms": 120_000,
        })  # fmt: skip

    def send(self, messages: Iterable[bytes]) -> None:
        """Hand messages to the client, which spreads them over the partitions."""
        for message in messages:
            while True:
                try:
                    self._producer.produce(self._topic, message, on_delivery=self._noted)
                    break
                except BufferError:
                    self._producer.poll(0.1)
            self._producer.poll(0)

    def flush(self) -> int:
        """Wait until everything sent is acknowledged, and say how much that is so far.

        Raises:
            RuntimeError: the broker did not take all of it.
        """
        left = self._producer.flush(120)
        if left:
            raise RuntimeError(f"{left} messages were not acknowledged")
        return self.acknowledged

    def _noted(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            raise RuntimeError(error.str())
        self.acknowledged += 1
