"""The next messages of a topic, read and parsed, while the batch before them is judged where a lot waits.

Belongs here: fetching and parsing, beside the work of the server. Does not belong here: which ranges come next and what
is lost (offsets), judging and booking (topic_ingest). Nothing here touches the lake.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from resources.offsets import (
    LostOffsets,
    OffsetRange,
    Position,
    Standing,
    TopicState,
    next_ranges,
    require_continuity,
)
from resources.records import Text, stage_messages
from resources.topics import Topics

# Fewer are read when their turn comes: ahead of it they would wait for the batch before them, and be many small
# batches.
WORTH_READING_AHEAD = 50_000


@dataclass(frozen=True)
class Messages:
    """What was read of a topic and is not judged yet.

    Attributes:
        position: up to where the topic is read with them.
        state: what the broker had then.
        ranges: the offsets that they were read from.
        sha256, size_bytes: of the messages in their order.
        records: the Parquet file of their records.
    """

    position: Position
    state: TopicState
    ranges: Sequence[OffsetRange]
    sha256: str
    size_bytes: int
    records: Path


class TopicReader:
    """Reads one topic batch by batch; a context at whose end what was read and not judged is forgotten."""

    def __init__(self, topics: Topics, topic: str, text: Text, most: int) -> None:
        self._topics = topics
        self._topic = topic
        self._text = text
        self._most = most
        self._folder = TemporaryDirectory()
        self._beside = ThreadPoolExecutor(max_workers=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beside.shutdown(cancel_futures=True)
        self._folder.cleanup()

    def following(self, position: Position | None, state: TopicState | None, least: int = 1) -> Messages | None:
        """The messages after a position, None when fewer than `least` wait.

        Args:
            position: up to where the topic was read.
            state: read no further than the topic went then; None: than it goes now.
            least: how many have to wait.

        Raises:
            LostOffsets: the topic does not go on from there. TopicError: the broker does not answer.
        """
        now = state or self._topics.state(self._topic)
        require_continuity(self._topic, position, now)
        if Standing(self._topic, position, now).lag < least:
            return None
        ranges = next_ranges(position, now, self._most)
        values = self._topics.values(self._topic, ranges)
        if self._topics.state(self._topic).topic_id != now.topic_id:
            raise LostOffsets(f"{self._topic} was created anew while it was read. Nothing was written; run again.")
        after = Position(now.topic_id, {item.partition: item.end for item in ranges}, _ordinal(position) + 1)
        records = Path(self._folder.name) / f"{after.ordinal}.parquet"
        stage_messages(values, self._text, records)
        return Messages(after, now, ranges, digest(values), sum(map(len, values)), records)

    def ahead(self, position: Position, state: TopicState | None) -> Future[Messages | None]:
        """`following`, beside what the caller does, where enough waits to be worth it."""
        return self._beside.submit(self.following, position, state, WORTH_READING_AHEAD)


def _ordinal(position: Position | None) -> int:
    return position.ordinal if position else 0


def digest(values: Sequence[bytes]) -> str:
    """SHA-256 of messages in their order, each with its length, so that no two lists of messages have one digest."""
    found = hashlib.sha256()
    for value in values:
        found.update(len(value).to_bytes(8, "big"))
        found.update(value)
    return found.hexdigest()
