"""Whom a broken column stops: its users, and nobody beside them."""

from __future__ import annotations

from assets.automation.stops import stopped_by
from checks.contracts.impact import Consumer
from resources.verdicts import Fault

EVENTS = "bronze.events"


def table(name: str, *reads: str, words: str, columns: str = "id", is_shown: bool = True) -> Consumer:
    return Consumer(name, tuple(columns.split()), ("id",), reads, frozenset(words.split()), is_shown=is_shown)


GRAPH = [
    table("stg_events", EVENTS, words="id price colour", columns="id price colour", is_shown=False),
    table("silver.prices", "stg_events", words="id price", columns="id price"),
    table("silver.colours", "stg_events", words="id colour", columns="id colour"),
    table("gold.totals", "silver.prices", words="id price", columns="id total"),
    table("gold.counts", "silver.prices", words="id", columns="id n"),
]


def stopped(*columns: str) -> set[str]:
    fault = Fault(("a_rule",), frozenset(columns))
    return {".".join(key) for key in stopped_by({("bronze", "events"): fault}, GRAPH)}


def test_only_users_of_the_broken_column_wait():
    assert stopped("price") == {"silver.prices", "gold.totals"}
    assert stopped("colour") == {"silver.colours"}


def test_a_broken_key_stops_everything_that_is_made_from_it():
    assert stopped("id") == {"silver.prices", "silver.colours", "gold.totals", "gold.counts"}


def test_the_reason_names_columns_and_rules():
    (reason,) = stopped_by({("bronze", "events"): Fault(("known_colour",), frozenset({"colour"}))}, GRAPH).values()
    assert reason == "uses colour, and rule known_colour of bronze.events does not hold"


def test_no_fault_stops_nobody():
    assert stopped_by({}, GRAPH) == {}
