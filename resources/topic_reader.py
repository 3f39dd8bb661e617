"""The next messages of a topic, read and parsed while the batch before them is judged.

Belongs here: fetching and parsing, beside the work of the server. Does not belong here: which ranges come next and what
is lost (offsets), judging and booking (topic_ingest). Nothing here touches the lake.

A batch grows until the one before it is booked: where messages come all the time, it is what came meanwhile, read
already.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from types import TracebackType
from typing import Self

import polars as pl

from resources.offsets import (
    LostOffsets,
    OffsetRange,
    Position,
    Standing,
    TopicState,
    count_of,
    joined,
    losses,
    next_ranges,
    require_continuity,
)
from resources.records import Text
from resources.staged_messages import StagedMessages
from resources.topics import PATIENCE_SECONDS, Topics

# Messages are read in pieces of so many, of at least so many as long as nobody waits for them.
PIECE, SMALL_PIECE = 10_000, 2_000
# Between two looks at a topic in which less waits.
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Messages:
    """What was read of a topic and is not judged yet.

    Attributes:
        position: up to where the topic is read with them.
        state: what the broker had then.
        ranges: the offsets that they were read from.
        sha256, size_bytes: of the messages in their order.
        path: the Parquet file of their records.
        records: what is in it.
    """

    position: Position
    state: TopicState
    ranges: Sequence[OffsetRange]
    sha256: str
    size_bytes: int
    path: Path
    records: pl.DataFrame


class Coming:
    """Messages that are being read."""

    def __init__(self, wanted: Event, found: Future[Messages | None]) -> None:
        self._wanted = wanted
        self._found = found

    def taken(self, not_before: float = 0) -> Messages | None:
        """What was read so far, with at most one more piece of what waits now; None when nothing does.

        Before that moment of `time.monotonic()` only a full batch is taken.

        Raises:
            LostOffsets: the topic does not go on from there. TopicError: the broker does not answer.
        """
        wait([self._found], max(0.0, not_before - time.monotonic()))
        self._wanted.set()
        return self._found.result()


class TopicReader:
    """Reads one topic batch by batch; a context at whose end what was read and not judged is forgotten."""

    def __init__(self, topics: Topics, topic: str, text: Text, most: int) -> None:
        self._topics = topics
        self._topic = topic
        self._text = text
        self._most = most
        self._open = ExitStack()
        self._folder = Path(self._open.enter_context(TemporaryDirectory()))
        self._reading = self._open.enter_context(topics.reading(topic))
        self._beside = ThreadPoolExecutor(max_workers=1)
        self._wanted = Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wanted.set()
        self._reading.give_up()
        self._beside.shutdown(cancel_futures=True)
        self._open.close()

    def ahead(self, position: Position | None, limit: TopicState | None) -> Coming:
        """Begin to read the messages after a position, beside what the caller does, until they are taken.

        Args:
            position: up to where the topic was read.
            limit: read as many as may be, and no further than the topic went then; None: what comes meanwhile too.
        """
        self._wanted = Event()
        return Coming(self._wanted, self._beside.submit(self._read, position, limit, self._wanted))

    def _read(self, position: Position | None, limit: TopicState | None, wanted: Event) -> Messages | None:
        ordinal = position.ordinal + 1 if position else 1
        staged = StagedMessages(self._text, self._folder / f"{ordinal}.parquet")
        ranges: list[OffsetRange] = []
        while True:
            is_wanted = wanted.is_set()
            now = limit or self._topics.state(self._topic, PATIENCE_SECONDS)
            if ranges and losses(self._topic, position, now):
                # What was read before the loss is judged first.
                break
            require_continuity(self._topic, position, now)
            is_enough = Standing(self._topic, position, now).lag >= (1 if limit or is_wanted else SMALL_PIECE)
            piece = next_ranges(position, now, min(PIECE, self._most - count_of(ranges))) if is_enough else []
            if piece:
                staged.add(self._reading.values(piece))
                ranges = joined(ranges, piece)
                position = Position(now.topic_id, {item.partition: item.end for item in piece}, ordinal)
            if count_of(ranges) >= self._most or (not piece if limit else is_wanted):
                break
            if not piece:
                wanted.wait(LOOK_SECONDS)
        if not ranges or position is None:
            return None
        if self._topics.state(self._topic, PATIENCE_SECONDS).topic_id != position.topic_id:
            raise LostOffsets(f"{self._topic} was created anew while it was read. Nothing was written; run again.")
        records = staged.finish()
        return Messages(position, now, ranges, staged.sha256, staged.size_bytes, staged.path, records)
