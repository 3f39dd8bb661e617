"""Which offsets come next, and what is lost: every offset is read once, or named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.offsets import (
    LostOffsets,
    OffsetRange,
    Position,
    TopicState,
    losses,
    names,
    next_ranges,
    parse_range,
    position_of,
    require_continuity,
    restart,
)
from resources.receipts import Receipt

NOTHING = Receipt("shop", "events", "b", "f", "", "", 0, "", [], [], "ingested", None, 0, 0, 0, 0, 0, 0)
READ = Position("a", {0: 10, 1: 20}, 3)


def state(topic_id: str = "a", first: tuple[int, ...] = (0, 0), end: tuple[int, ...] = (10, 20)) -> TopicState:
    return TopicState(topic_id, dict(enumerate(first)), dict(enumerate(end)))


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (state(end=(50, 20)), None),
        (state(first=(10, 20), end=(10, 20)), None),
        (state(first=(13, 0), end=(20, 20)), "telemetry partition 0: offsets 10 to 12 expired unread"),
        (state(end=(7, 20)), "telemetry partition 0: offsets 7 to 9 were read and are gone"),
        (state(first=(0, 0, 0), end=(10, 20, 5)), "telemetry has got partition 2: keys may have moved to it"),
        (state(first=(0, 0, 3), end=(10, 20, 5)), "telemetry has got partition 2, of which offsets 0 to 2 are lost"),
        (state(first=(0,), end=(10,)), "telemetry has no partition 1 any more"),
        (state("b"), "what came to the former topic after partition 0 from offset 10, partition 1 from offset 20"),
    ],
)
def test_a_topic_that_does_not_go_on_says_which_offsets_are_lost(now: TopicState, said: str | None):
    if said is None:
        require_continuity("telemetry", READ, now)
        return
    with pytest.raises(LostOffsets, match=said):
        require_continuity("telemetry", READ, now)
    # What a person accepts is where the topic goes on from.
    accepted = Position(now.topic_id, {item.partition: item.end for item in restart(READ, now)}, 4)
    assert losses("telemetry", accepted, now) == []


def test_a_topic_is_read_from_its_oldest_message_on():
    require_continuity("telemetry", None, state(first=(5, 5)))
    assert next_ranges(None, state(first=(5, 0)), 100) == [OffsetRange(0, 5, 10), OffsetRange(1, 0, 20)]


def test_the_newest_receipt_says_where_reading_goes_on():
    assert position_of([NOTHING]) is None
    first = replace(NOTHING, topic_id="a", batch_ordinal=1, offset_ranges=["0:0-4", "1:0-0"])
    second = replace(first, batch_ordinal=2, offset_ranges=["0:4-9", "1:0-7"])
    assert position_of([second, NOTHING, first]) == Position("a", {0: 9, 1: 7}, 2)
    assert [str(parse_range(text)) for text in second.offset_ranges] == second.offset_ranges


@given(
    ends=st.lists(st.integers(0, 400), min_size=1, max_size=5),
    later=st.lists(st.integers(0, 400), min_size=5, max_size=5),
    most=st.integers(1, 150),
)
def test_every_offset_is_read_once_whatever_the_size_of_a_batch(ends: list[int], later: list[int], most: int):
    """A batch holds at most one offset a partition more than asked; what comes meanwhile comes next."""
    read: dict[int, list[int]] = {part: [] for part in range(len(ends))}
    position = None
    for now in (ends, [end + more for end, more in zip(ends, later, strict=False)]):
        topic = state(first=(0,) * len(ends), end=tuple(now))
        while ranges := next_ranges(position, topic, most):
            assert sum(item.end - item.first for item in ranges) <= most + len(ends)
            assert len(names(ranges)) == len(ends)
            for item in ranges:
                read[item.partition] += range(item.first, item.end)
            position = Position("a", {item.partition: item.end for item in ranges}, 1)
        assert read == {part: list(range(end)) for part, end in enumerate(now)}
