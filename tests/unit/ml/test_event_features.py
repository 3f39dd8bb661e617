"""The features of an hour against a loop over events, and the law that makes them incremental."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ml.event_features import COUNTED, HOUR, event_features, together, trailing

SCHEMA = {
    "store_id": pl.String, "week_start_date": pl.Date, "event_type": pl.String, "quantity_units": pl.Decimal(18, 4),
    "event_at": pl.Datetime("us", "UTC"), "known_at": pl.Datetime("us", "UTC"),
}  # fmt: skip
START = datetime(2017, 12, 4, tzinfo=UTC)


@st.composite
def an_event(draw: st.DrawFn) -> dict[str, Any]:
    at = START + timedelta(seconds=draw(st.integers(0, 5 * 3600)))
    kind = draw(st.sampled_from(list(COUNTED)))
    units = Decimal(draw(st.integers(0, 99_999))).scaleb(-4) if kind == "add_to_basket" else None
    return {
        "store_id": draw(st.sampled_from(["1", "2", None])), "week_start_date": START.date(), "event_type": kind,
        "quantity_units": units, "event_at": at, "known_at": at + timedelta(seconds=draw(st.integers(0, 9))),
    }  # fmt: skip


def frame(events: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(events, schema=SCHEMA)


@given(st.lists(an_event(), max_size=40))
def test_the_features_of_an_hour_are_what_a_loop_over_the_events_counts(events: list[dict[str, Any]]) -> None:
    found: dict[Any, dict[str, Any]] = defaultdict(lambda: dict.fromkeys(COUNTED.values(), 0) | {"units": Decimal(0)})
    for event in events:
        if event["store_id"] is not None:
            row = found[event["store_id"], event["event_at"].replace(minute=0, second=0)]
            row[COUNTED[event["event_type"]]] += 1
            row["units"] += event["quantity_units"] or 0
            row["first"] = min(row.get("first", event["event_at"]), event["event_at"])
            row["last"] = max(row.get("last", event["event_at"]), event["event_at"])
            row["known"] = max(row.get("known", event["known_at"]), event["known_at"])
    rows = event_features(frame(events), "store_id")
    assert [(row["store_id"], row[HOUR]) for row in rows.iter_rows(named=True)] == sorted(found)
    for row in rows.iter_rows(named=True):
        told = found[row["store_id"], row[HOUR]]
        assert {name: row[name] for name in COUNTED.values()} == {name: told[name] for name in COUNTED.values()}
        assert (row["added_quantity_units"], row["first_event_at"]) == (told["units"], told["first"])
        assert (row["last_event_at"], row["known_at"]) == (told["last"], told["known"])


@given(st.lists(an_event(), max_size=40), st.lists(st.integers(0, 3), min_size=40, max_size=40), st.randoms())
def test_in_any_pieces_and_any_order_the_features_are_the_same(
    events: list[dict[str, Any]], piece: list[int], draw: Any
) -> None:
    pieces = [[event for event, place in zip(events, piece, strict=False) if place == number] for number in range(4)]
    parts = [event_features(frame(draw.sample(some, len(some))), "store_id") for some in pieces]
    assert_frame_equal(together(parts, "store_id"), event_features(frame(events), "store_id"))


def test_a_trailing_window_is_the_hours_that_end_at_its_instant() -> None:
    hours = [3, 4, 5, 5, 6]
    events = [
        {"store_id": "1", "week_start_date": START.date(), "event_type": "impression", "quantity_units": None,
         "event_at": START + timedelta(hours=hour, minutes=59), "known_at": START + timedelta(hours=hour + 1)}
        for hour in hours
    ]  # fmt: skip
    features = event_features(frame(events), "store_id")
    window = trailing(features, "store_id", START + timedelta(hours=6), hours=2)
    assert window["impression_events"].to_list() == [3]
    assert window["first_event_at"].to_list() == [START + timedelta(hours=4, minutes=59)]
    with pytest.raises(ValueError, match="full hour"):
        trailing(features, "store_id", START + timedelta(minutes=30), hours=2)
