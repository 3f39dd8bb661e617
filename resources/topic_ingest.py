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
from resources.ingest import Ingest
from resources.known_keys import KnownKeys
from resources.lake import Lake
from resources.mapping import SourceMapping
from resources.offsets import OffsetRange, Position, Standing, TopicState, names, position_of, restart
from resources.receipts import Outcome, Receipt, batch_id
from resources.staging import messages_on_server
from resources.topic_reader import Messages, TopicReader
from resources.topics import Topics

# The digest of no messages.
NOTHING = hashlib.sha256().hexdigest()


class TopicIngest:
    """Ingests the topics of one source into the bronze tables of one lake."""

    def __init__(
        self, lake: Lake, mapping: SourceMapping, contracts: Mapping[tuple[str, str], Contract], topics: Topics
    ) -> None:
        self._lake = lake
        self._mapping = mapping
        self._contracts = contracts
        self._topics = topics
        self._ingest = Ingest(lake, mapping, contracts)
        self._books = self._ingest.books
        self._held: dict[str, KnownKeys] = {}

    def batches(
        self, table: str, plan: ValidationPlan, most: int, hold_seconds: float = 0, every_seconds: float = 0
    ) -> Iterator[Receipt]:
        """Ingest what the topic of a table holds now, in batches of at most about `most` offsets.

        For `hold_seconds` what comes meanwhile is ingested too, but for full batches one every so many seconds; nobody
        else can write as long as something waits.

        Yields:
            The receipt of each batch, once it is booked.

        Raises:
            LostOffsets: the topic does not go on from where it was read. TopicError: the broker does not answer.
        """
        # Become the writer before the books are read.
        self._books.undo_unbooked()
        receipts = self._receipts(table)
        until = time.monotonic() + hold_seconds
        limit = None if hold_seconds else self.state(table)
        with TopicReader(self._topics, self.topic_of(table), self._mapping.tables[table].text, most) as reader:
            coming = reader.ahead(position_of(receipts), limit)
            due = 0.0
            while (messages := coming.taken(due)) is not None:
                now = time.monotonic()
                due = now + every_seconds if hold_seconds else 0.0
                if limit is None and now >= until:
                    limit = messages.state
                coming = reader.ahead(messages.position, limit)
                # Now and then a batch: the table is asked. One after the other: its keys are kept.
                held = self._keys_of(table) if hold_seconds and any(item.accepted for item in receipts) else None
                receipts.append(self._batch(table, messages, plan, receipts, held))
                messages.path.unlink()
                yield receipts[-1]

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
        after = Position(state.topic_id, {}, position.ordinal + 1)
        lost = self._receipt(table, after, ranges, sha256=NOTHING, size_bytes=0, outcome="lost", reason=told)
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

    def _keys_of(self, table: str) -> KnownKeys:
        """The keys of a table that is followed, kept from batch to batch."""
        if table not in self._held:
            key = self._mapping.tables[table].duplicates.key
            self._held[table] = KnownKeys(self._lake, self._contracts["bronze", table], key)
        return self._held[table]

    def _batch(
        self, table: str, messages: Messages, plan: ValidationPlan, earlier: list[Receipt], held: KnownKeys | None
    ) -> Receipt:
        batch = self._receipt(
            table, messages.position, messages.ranges, sha256=messages.sha256, size_bytes=messages.size_bytes
        )
        rules = self._mapping.tables[table]
        name, delivery = batch.batch_id, batch.file_name
        with messages_on_server(self._lake, messages, rules, name, delivery, held) as relation:
            return self._ingest.take(batch, relation, plan, earlier)

    def _receipt(
        self, table: str, position: Position, ranges: Sequence[OffsetRange], *, sha256: str, size_bytes: int,
        outcome: Outcome = "ingested", reason: str | None = None,
    ) -> Receipt:  # fmt: skip
        """A batch before it is counted. It is named by its topic, its ranges, its bytes and what they are read by."""
        offsets = names(ranges)
        rules = f"{self._mapping.sha256}/{self._contracts['bronze', table].sha256}"
        named_by = f"{position.topic_id}/{position.ordinal}/{offsets}/{outcome}/{sha256}/{rules}"
        return Receipt(
            source=self._mapping.source, table_name=table, batch_id=batch_id(self._mapping.source, table, named_by),
            file_name=f"{self.topic_of(table)}/{position.ordinal}", file_sha256=sha256, content_sha256=sha256,
            file_bytes=size_bytes, mapping_sha256=self._mapping.sha256, file_columns=[], file_column_types=[],
            outcome=outcome, reason=reason, received=0, accepted=0, quarantined=0, duplicates=0, late=0,
            rows_written=0, topic_id=position.topic_id, batch_ordinal=position.ordinal, offset_ranges=offsets,
        )  # fmt: skip
