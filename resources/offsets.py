"""What of a topic is read next, and what of it is lost.

Belongs here: decisions, as pure functions of the ledger's receipts and of the topic's state. Does not belong here:
reading topics (topics) or committing what was read (topic_ingest).

The newest receipt of a topic says up to where it was read: every receipt names all partitions. A topic that does not go
on from there is not read: a person decides (`accepted_loss`), and the ledger says who and what.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from resources.receipts import Receipt

_RANGE = re.compile(r"(\d+):(\d+)-(\d+)")


@dataclass(frozen=True, order=True)
class OffsetRange:
    """Offsets of one partition, from `first` up to but not including `end`."""

    partition: int
    first: int
    end: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.first}-{self.end}"


@dataclass(frozen=True)
class TopicState:
    """A topic at one moment: its id, and by partition the oldest offset that is kept and the one after the newest."""

    topic_id: str
    first: Mapping[int, int]
    end: Mapping[int, int]


@dataclass(frozen=True)
class Position:
    """Up to where a topic was read: its id then, by partition the next offset, and how many batches that took."""

    topic_id: str
    next_offsets: Mapping[int, int]
    ordinal: int


class LostOffsets(RuntimeError):
    """A topic does not go on from where it was read; the message names what is lost. Nothing was read."""


def parse_range(text: str) -> OffsetRange:
    """A range as the ledger keeps it: partition:first-end."""
    found = _RANGE.fullmatch(text)
    assert found is not None, text
    return OffsetRange(*(int(number) for number in found.groups()))


def position_of(receipts: Iterable[Receipt]) -> Position | None:
    """Up to where the topic of a table was read; None when none of it was."""
    read = [item for item in receipts if item.batch_ordinal is not None]
    if not read:
        return None
    newest = max(read, key=lambda item: item.batch_ordinal or 0)
    ends = [parse_range(text) for text in newest.offset_ranges]
    return Position(newest.topic_id or "", {item.partition: item.end for item in ends}, newest.batch_ordinal or 0)


def losses(topic: str, position: Position | None, state: TopicState) -> list[str]:
    """Every way in which a topic does not go on from where it was read, as sentences; none when it does."""
    if position is None:
        return []
    if position.topic_id != state.topic_id:
        was = ", ".join(f"partition {part} from offset {end}" for part, end in sorted(position.next_offsets.items()))
        return [f"{topic} was deleted and created again: what came to the former topic after {was} is lost"]
    found = []
    for partition, first in sorted(state.first.items()):
        following, end = position.next_offsets.get(partition), state.end[partition]
        if following is None:
            rest = f", of which offsets 0 to {first - 1} are lost" if first else ""
            found.append(f"{topic} has got partition {partition}{rest}: keys may have moved to it")
        elif first > following:
            found.append(f"{topic} partition {partition}: offsets {following} to {first - 1} expired unread")
        elif end < following:
            found.append(f"{topic} partition {partition}: offsets {end} to {following - 1} were read and are gone")
    gone = sorted(set(position.next_offsets) - set(state.first))
    return [*found, *(f"{topic} has no partition {partition} any more" for partition in gone)]


def require_continuity(topic: str, position: Position | None, state: TopicState) -> None:
    """Raise LostOffsets where the topic does not go on from where it was read."""
    found = losses(topic, position, state)
    if found:
        raise LostOffsets(
            f"{'; '.join(found)}. Nothing was read. Bring what is lost as a file if you have it, then "
            "`liftlake topic accept` goes on from what the topic holds now."
        )


def next_ranges(position: Position | None, state: TopicState, most: int) -> list[OffsetRange]:
    """What is read next: at most about `most` offsets, shared among the partitions by what waits in each.

    All partitions are named, those without news with an empty range; no range at all when nothing waits.
    """
    start = {part: position.next_offsets[part] if position else first for part, first in state.first.items()}
    waiting = {part: max(state.end[part] - start[part], 0) for part in start}
    total = sum(waiting.values())
    if not total:
        return []
    share = min(1.0, most / total)
    return [OffsetRange(part, start[part], start[part] + math.ceil(waiting[part] * share)) for part in sorted(start)]


def count_of(ranges: Iterable[OffsetRange]) -> int:
    """How many offsets ranges have."""
    return sum(item.end - item.first for item in ranges)


def joined(ranges: Sequence[OffsetRange], following: Sequence[OffsetRange]) -> list[OffsetRange]:
    """Ranges of the same partitions that follow on each other, as one each."""
    first = {item.partition: item.first for item in ranges}
    return [OffsetRange(item.partition, first.get(item.partition, item.first), item.end) for item in following]


def restart(position: Position, state: TopicState) -> list[OffsetRange]:
    """The ranges that a person's acceptance books: lost ones, and empty ones where the topic is read on or anew."""
    same = position.topic_id == state.topic_id
    ranges = []
    for part, first in sorted(state.first.items()):
        following = position.next_offsets.get(part) if same else None
        begin = 0 if following is None else min(following, state.end[part])
        ranges.append(OffsetRange(part, begin, max(begin, first)))
    return ranges


def names(ranges: Sequence[OffsetRange]) -> list[str]:
    """Ranges as the ledger keeps them."""
    return [str(item) for item in sorted(ranges)]


@dataclass(frozen=True)
class Standing:
    """Where the reading of a topic stands.

    Attributes:
        position: up to where it was read; None where nothing was.
        state: what the broker has.
    """

    topic: str
    position: Position | None
    state: TopicState

    @property
    def lag(self) -> int:
        """Messages that wait to be read."""
        start = self.position.next_offsets if self.position else {}
        return sum(max(end - start.get(part, self.state.first[part]), 0) for part, end in self.state.end.items())

    @property
    def losses(self) -> list[str]:
        return losses(self.topic, self.position, self.state)
