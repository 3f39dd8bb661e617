"""Batches of a topic into bronze: exact ranges of offsets, each read, judged and booked once.

Belongs here: one batch after the other, and what a person accepts as lost. Does not belong here: which ranges come next
(offsets), what becomes of the records (ingest: the same as of a file's).

A batch is booked with its ranges, and the newest receipt says where the next one begins. What a killed batch left is
undone before anything is read (delivery_plan), so that the next may be cut otherwise.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from checks.contracts.model import Contract
from checks.contracts.plan import ValidationPlan
from resources.books import Books
from resources.ingest import Ingest
from resources.lake import Lake
from resources.mapping import SourceMapping
from resources.offsets import (
    LostOffsets,
    OffsetRange,
    Standing,
    TopicState,
    names,
    next_ranges,
    position_of,
    require_continuity,
    restart,
)
from resources.receipts import Outcome, Receipt, batch_id
from resources.staging import messages_on_server
from resources.topics import Topics


class TopicIngest:
    """Ingests the topics of one source into the bronze tables of one lake."""

    def __init__(
        self, lake: Lake, mapping: SourceMapping, contracts: Mapping[tuple[str, str], Contract], topics: Topics
    ) -> None:
        self._lake = lake
        self._mapping = mapping
        self._contracts = contracts
        self._topics = topics
        self._books = Books(lake, contracts)
        self._ingest = Ingest(lake, mapping, contracts)

    def batches(self, table: str, plan: ValidationPlan, most: int, hold_seconds: float = 0) -> Iterator[Receipt]:
        """Ingest what the topic of a table holds now, in batches of at most about `most` offsets.

        For `hold_seconds` what comes meanwhile is ingested too; nobody else can write as long as something waits.

        Yields:
            The receipt of each batch, once it is booked.

        Raises:
            LostOffsets: the topic does not go on from where it was read. TopicError: the broker does not answer.
        """
        topic = self.topic_of(table)
        # Become the writer before the books are read.
        self._books.undo_unbooked()
        receipts = self._receipts(table)
        state = self._topics.state(topic)
        require_continuity(topic, position_of(receipts), state)
        until = time.monotonic() + hold_seconds
        while ranges := next_ranges(position_of(receipts), state, most):
            receipt = self._batch(table, state.topic_id, ranges, plan, receipts)
            receipts.append(receipt)
            yield receipt
            if time.monotonic() < until:
                state = self._topics.state(topic)
                require_continuity(topic, position_of(receipts), state)

    def accept_loss(self, table: str, reason: str, by: str) -> Receipt | None:
        """Book that what a topic has lost is lost, so that reading goes on from what it holds now; None: nothing is.

        Raises:
            TopicError: the broker does not answer. Locked: another process writes.
        """
        self._books.undo_unbooked()
        receipts = self._receipts(table)
        standing = self._standing(table, receipts)
        position, state, found = standing.position, standing.state, standing.losses
        if position is None or not found:
            return None
        ranges = restart(position, state)
        told = f"{'; '.join(found)}. {by}: {reason}"
        lost = self._receipt(table, state.topic_id, position.ordinal + 1, ranges, [], outcome="lost", reason=told)
        return self._books.commit(lost, {}, receipts)

    def standing(self, table: str) -> Standing:
        """Where the reading of a table's topic stands.

        Raises:
            TopicError: the broker does not answer.
        """
        return self._standing(table, self._receipts(table))

    def state(self, table: str) -> TopicState:
        """What the broker has of a table's topic now. Raises TopicError."""
        return self._topics.state(self.topic_of(table))

    def _standing(self, table: str, receipts: Iterable[Receipt]) -> Standing:
        topic = self.topic_of(table)
        return Standing(topic, position_of(receipts), self._topics.state(topic))

    def _receipts(self, table: str) -> list[Receipt]:
        return self._books.receipts(self._mapping.source, table)

    def topic_of(self, table: str) -> str:
        topic = self._mapping.tables[table].topic
        assert topic is not None, table
        return topic

    def _batch(
        self, table: str, topic_id: str, ranges: Sequence[OffsetRange], plan: ValidationPlan, earlier: list[Receipt]
    ) -> Receipt:
        topic, position = self.topic_of(table), position_of(earlier)
        values = self._topics.values(topic, ranges)
        if self._topics.state(topic).topic_id != topic_id:
            raise LostOffsets(f"{topic} was created anew while it was read. Nothing was written; run again.")
        batch = self._receipt(table, topic_id, position.ordinal + 1 if position else 1, ranges, values)
        rules = self._mapping.tables[table]
        with messages_on_server(self._lake, values, rules, batch.batch_id, batch.file_name) as relation:
            return self._ingest.take(batch, relation, plan, earlier)

    def _receipt(
        self, table: str, topic_id: str, ordinal: int, ranges: Sequence[OffsetRange], values: Sequence[bytes],
        *, outcome: Outcome = "ingested", reason: str | None = None,
    ) -> Receipt:  # fmt: skip
        """A batch before it is counted. It is named by its topic, its ranges, its bytes and what they are read by."""
        content, offsets = digest(values), names(ranges)
        rules = f"{self._mapping.sha256}/{self._contracts['bronze', table].sha256}"
        named_by = f"{topic_id}/{ordinal}/{offsets}/{outcome}/{content}/{rules}"
        return Receipt(
            source=self._mapping.source, table_name=table, batch_id=batch_id(self._mapping.source, table, named_by),
            file_name=f"{self.topic_of(table)}/{ordinal}", file_sha256=content, content_sha256=content,
            file_bytes=sum(map(len, values)), mapping_sha256=self._mapping.sha256, file_columns=[],
            file_column_types=[], outcome=outcome, reason=reason, received=0, accepted=0, quarantined=0, duplicates=0,
            late=0, rows_written=0, topic_id=topic_id, batch_ordinal=ordinal, offset_ranges=offsets,
        )  # fmt: skip


def digest(values: Sequence[bytes]) -> str:
    """SHA-256 of messages in their order, each with its length, so that no two lists of messages have one digest."""
    found = hashlib.sha256()
    for value in values:
        found.update(len(value).to_bytes(8, "big"))
        found.update(value)
    return found.hexdigest()
