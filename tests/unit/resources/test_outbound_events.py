"""Events: the same facts are the same events, whatever their order, and what the documents show is what is sent."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.contracts.loader import load_event_contracts
from checks.contracts.messages import broken_rules
from checks.contracts.model import EVENTS
from resources.outbound_events import KINDS, Kind, event_of, events_of
from resources.settings import PROJECT_ROOT

CONTRACTS = load_event_contracts()
PAGE = (PROJECT_ROOT / "docs" / "events.md").read_text(encoding="utf-8")
ACTIONS = next(kind for kind in KINDS if kind.name == "action_approved")
CONTRACT = CONTRACTS[EVENTS, ACTIONS.name]
ATTRIBUTES = {
    "specversion", "id", "source", "type", "subject", "time", "dataschema", "datacontenttype", "data",
}  # fmt: skip
ROWS = st.lists(
    st.fixed_dictionaries({
        "entry_number": st.integers(1, 10**6),
        "batch_id": st.sampled_from(["a1", "b2"]),
        "decision": st.sampled_from(["approved", "edited"]),
        "issue_week_start_date": st.just(date(2017, 11, 27)),
        "target_week_start_date": st.dates(date(2017, 12, 4), date(2018, 1, 1)),
        "store_id": st.text(min_size=1, max_size=4),
        "product_group": st.sampled_from(["SOFT DRINKS", "BIÈRE"]),
        "kind": st.sampled_from(["display", "mailer", "none"]),
        "is_hold_out": st.booleans(),
        "incremental_transactions": st.floats(-5, 50),
        "assumed_cost_usd": st.decimals(0, 1000, places=4),
        "decided_at": st.just(datetime(2017, 12, 4, 5, tzinfo=UTC)),
    }),
    unique_by=lambda row: (row["entry_number"], row["batch_id"]),
    max_size=8,
)  # fmt: skip


def example(kind: Kind) -> dict[str, Any]:
    """The example of a contract, as a row of the lake has it."""
    contract = CONTRACTS[EVENTS, kind.name]
    return {column.name: python_value(column.type, column.examples[0]) for column in contract.columns}


def python_value(spark_type: str, value: Any) -> Any:
    if spark_type == "DATE":
        return date.fromisoformat(value)
    if spark_type == "TIMESTAMP":
        return datetime.fromisoformat(value)
    return Decimal(value) if spark_type.startswith("DECIMAL") else value


def test_every_contract_of_an_event_has_its_kind() -> None:
    assert {(EVENTS, kind.name) for kind in KINDS} == set(CONTRACTS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_documents_show_what_is_sent(kind: Kind) -> None:
    """The id as well: another one for the same fact would be a second event."""
    event = event_of(kind, CONTRACTS[EVENTS, kind.name], "completejourney", example(kind))
    shown = {entry["type"]: entry for entry in map(json.loads, re.findall(r"```json\n(.+?)```", PAGE, re.DOTALL))}
    assert event.envelope() == shown[kind.type], json.dumps(event.envelope(), indent=2)
    assert set(event.envelope()) == ATTRIBUTES
    assert f"| `{kind.type}` |" in PAGE
    assert all(f"`{name}`" in PAGE for name in CONTRACTS[EVENTS, kind.name].primary_key)


@given(rows=ROWS, data=st.data())
def test_the_same_facts_in_any_order_are_the_same_events(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    events = events_of(ACTIONS, CONTRACT, "shop", rows)
    assert events_of(ACTIONS, CONTRACT, "shop", data.draw(st.permutations(rows))) == events
    assert len({event.id for event in events}) == len(rows)
    assert [event.data["entry_number"] for event in events] == sorted(row["entry_number"] for row in rows)
    assert all(broken_rules(CONTRACT, event.data) == [] for event in events)
    assert all(json.loads(json.dumps(event.envelope(), allow_nan=False)) == event.envelope() for event in events)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_id_is_that_of_lake_type_and_key(kind: Kind) -> None:
    contract, row = CONTRACTS[EVENTS, kind.name], example(kind)
    own = event_of(kind, contract, "shop", row).id
    for column in contract.columns:
        changed = {**row, column.name: other_value(row[column.name])}
        is_same = event_of(kind, contract, "shop", changed).id == own
        assert is_same == (column.name not in contract.primary_key), column.name
    assert event_of(kind, contract, "another", row).id != own


def other_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(hour=6)
    if isinstance(value, date):
        return value.replace(day=1)
    if isinstance(value, list):
        return [*value, "more"]
    return value + 1 if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else f"other {value}"
