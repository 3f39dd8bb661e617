"""Events against their contracts: the examples keep them, and everything else is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from checks.contracts.diff import diff_contracts
from checks.contracts.loader import FOLDER, ContractError, load_contract, load_contracts, load_event_contracts
from checks.contracts.messages import broken_rules, json_value
from checks.contracts.model import EVENTS, Contract
from tests.unit.checks.contracts.odcs_reference import plain_yaml

CONTRACTS = load_event_contracts()
ACTION = CONTRACTS[EVENTS, "action_approved"]
DRIFT = CONTRACTS[EVENTS, "drift_found"]
Change = Callable[[dict[str, Any]], None]


def example(contract: Contract) -> dict[str, Any]:
    return {column.name: column.examples[0] for column in contract.columns}


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)
def test_the_examples_of_a_contract_keep_it(contract: Contract) -> None:
    assert all(column.examples for column in contract.columns)
    assert broken_rules(contract, example(contract)) == []


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)
def test_no_event_says_who_or_why_or_names_a_household(contract: Contract) -> None:
    assert contract.classified_columns == ()
    assert not {"decided_by", "note", "household_key", "household_id"} & set(contract.column_names)


@pytest.mark.parametrize(
    ("contract", "column", "value", "rule"),
    [
        (ACTION, "entry_number", 0, "entry_number_range"),
        (ACTION, "entry_number", True, "BIGINT"),
        (ACTION, "entry_number", "1", "BIGINT"),
        (ACTION, "entry_number", 1.5, "BIGINT"),
        (ACTION, "store_id", None, "not_null"),
        (ACTION, "store_id", "", "store_id_length"),
        (ACTION, "store_id", 367, "STRING"),
        (ACTION, "kind", "billboard", "kind_enum"),
        (ACTION, "is_hold_out", 0, "BOOLEAN"),
        (ACTION, "incremental_transactions", float("nan"), "DOUBLE"),
        (ACTION, "incremental_transactions", True, "DOUBLE"),
        (ACTION, "assumed_cost_usd", 12.5, "DECIMAL(18,4)"),
        (ACTION, "assumed_cost_usd", "12.50001", "DECIMAL(18,4)"),
        (ACTION, "assumed_cost_usd", "1" + "0" * 14, "DECIMAL(18,4)"),
        (ACTION, "assumed_cost_usd", "NaN", "DECIMAL(18,4)"),
        (ACTION, "assumed_cost_usd", "much", "DECIMAL(18,4)"),
        (ACTION, "target_week_start_date", "11.12.2017", "DATE"),
        (ACTION, "decided_at", "2017-12-04T05:00:00", "TIMESTAMP"),
        (ACTION, "decided_at", "2017-12-04T05:00:00+01:00", "TIMESTAMP"),
        (DRIFT, "model_version", "76f4", "model_version_pattern"),
        (DRIFT, "cause", "blip", "cause_enum"),
        (DRIFT, "reasons", "one", "ARRAY<STRING>"),
        (DRIFT, "reasons", [1], "ARRAY<STRING>"),
    ],
)
def test_what_breaks_a_rule_is_named(contract: Contract, column: str, value: object, rule: str) -> None:
    assert broken_rules(contract, {**example(contract), column: value}) == [f"{column}: {rule}"]


def test_a_column_more_or_less_is_named() -> None:
    data = {**example(ACTION), "note": "late"}
    del data["kind"]
    assert broken_rules(ACTION, data) == ["kind: schema", "note: schema"]


def test_values_as_json_has_them() -> None:
    instant = datetime(2017, 12, 4, 5, tzinfo=UTC)
    given = (instant, date(2017, 12, 4), Decimal("12.5000"), "x", 1, None, ["a"])
    assert [json_value(value) for value in given] == [
        "2017-12-04T05:00:00Z", "2017-12-04", "12.5000", "x", 1, None, ["a"],
    ]  # fmt: skip


def test_tables_and_events_are_loaded_apart() -> None:
    assert {layer for layer, _ in CONTRACTS} == {EVENTS}
    assert EVENTS not in {layer for layer, _ in load_contracts()}


def without_key(document: dict[str, Any]) -> None:
    for column in document["schema"][0]["properties"]:
        column.pop("primaryKey", None), column.pop("primaryKeyPosition", None)


def with_table_rule(document: dict[str, Any]) -> None:
    document["schema"][0]["quality"] = [{"id": "rows", "type": "library", "metric": "rowCount", "mustBeGreaterThan": 0}]


def as_table(document: dict[str, Any]) -> None:
    document["schema"][0]["dataGranularityDescription"] = "One row per entry."


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without_key, "its id is made of them"),
        (with_table_rule, "an event is checked by itself"),
        (as_table, "One event per"),
    ],
)
def test_what_is_no_contract_of_an_event_is_refused(
    write: Callable[[dict[str, Any]], Path], change: Change, sentence: str
) -> None:
    document = plain_yaml(FOLDER / EVENTS / "action_approved.odcs.yaml")
    change(document)
    with pytest.raises(ContractError, match=sentence):
        load_contract(write(document))


def test_only_additions_leave_the_readers_of_an_event_alone() -> None:
    """`contract diff` says so; the key makes the id, so that another one is breaking too."""
    key = (EVENTS, "action_approved")
    more = replace(ACTION, columns=(*ACTION.columns, replace(ACTION.columns[-1], name="more", is_nullable=True)))
    assert {change.effect for change in diff_contracts({key: ACTION}, {key: more})} == {"additive"}
    for other in (replace(ACTION, columns=ACTION.columns[:-1]), replace(ACTION, primary_key=("entry_number",))):
        assert "breaking" in {change.effect for change in diff_contracts({key: ACTION}, {key: other})}
