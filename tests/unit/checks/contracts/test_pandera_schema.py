"""Pandera itself says what is checked: names, severities, built-in checks and their bounds."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping

import pytest

from checks.contracts.model import Contract, Rule
from checks.contracts.pandera_schema import to_pandera

Contracts = Mapping[tuple[str, str], Contract]


def test_columns_types_order_and_key(contracts: Contracts) -> None:
    for contract in contracts.values():
        schema = to_pandera(contract)
        assert schema.name == contract.published_name
        assert (schema.strict, schema.ordered) == (True, True)
        assert tuple(schema.unique or ()) == contract.primary_key
        for (name, column), expected in zip(schema.columns.items(), contract.columns, strict=True):
            assert name == expected.name
            assert column.dtype.type.simpleString().upper() == expected.type
            assert column.nullable == expected.is_nullable
            assert column.metadata == {"classification": expected.classification}


def test_checks_carry_id_severity_and_statistics(contracts: Contracts) -> None:
    for contract in contracts.values():
        schema = to_pandera(contract)
        checks = {check.name: check for column in schema.columns.values() for check in column.checks}
        checks |= {check.name: check for check in schema.checks}
        rules = {rule.id: rule for rule in contract.all_rules if rule.kind not in ("schema", "not_null")}
        rules.pop("primary_key", None)
        assert checks.keys() == rules.keys()
        for rule_id, rule in rules.items():
            assert checks[rule_id].error == rule_id
            assert checks[rule_id].raise_warning == (rule.severity == "warn")
            if rule.kind in ("expression", "foreign_key", "row_count", "reconcile", "unique"):
                assert checks[rule_id].statistics == {"kind": rule.kind, "columns": rule.columns, **rule.arguments}


def test_built_in_checks_are_used(contracts: Contracts) -> None:
    def found(layer: str, table: str, column: str) -> dict[str | None, dict[str, object]]:
        checks = to_pandera(contracts[layer, table]).columns[column].checks
        return {check.registry_name: check.statistics for check in checks}

    assert found("bronze", "promotions", "kind") == {"isin": {"allowed_values": ["display", "mailer"]}}
    assert found("bronze", "pos_lines", "sales_amount_usd") == {"greater_than_or_equal_to": {"min_value": 0}}
    assert found("silver", "fct_receipt_lines", "household_token") == {
        "str_matches": {"pattern": "^hk[1-9][0-9]*_[0-9a-f]{64}$"}
    }
    assert found("bronze", "pos_lines", "store_id")["str_length"]["min_value"] == 1
    assert found("silver", "dim_date", "month")["in_range"]["max_value"] == 12


def test_every_double_is_finite(contracts: Contracts) -> None:
    """NaN is above every number in Spark: only an upper bound refuses it."""
    for contract in contracts.values():
        schema = to_pandera(contract)
        for column in contract.columns:
            if column.type == "DOUBLE":
                check = next(c for c in schema.columns[column.name].checks if c.name == f"{column.name}_finite")
                assert check.statistics["max_value"] == sys.float_info.max
                assert check.statistics["min_value"] == -sys.float_info.max


def test_rule_of_unknown_kind_is_an_error(contracts: Contracts) -> None:
    contract = contracts["silver", "dim_date"]
    rules = (*contract.rules, Rule("mine", "magic", "error", ("date",), {}))
    with pytest.raises(ValueError, match="mine: no Pandera check for the kind 'magic'"):
        to_pandera(dataclasses.replace(contract, rules=rules))
