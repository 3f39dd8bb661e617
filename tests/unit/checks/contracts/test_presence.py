"""Contracts of a lake whose source lacks some tables."""

from __future__ import annotations

from checks.contracts.loader import load_contracts
from checks.contracts.presence import absent, present


def test_everything_stands_when_everything_is_delivered():
    contracts = load_contracts()
    delivered = {name for contract in contracts.values() for name in contract.requires}
    assert present(contracts, delivered) == dict(contracts)
    assert absent(contracts, delivered) == ()


def test_rules_about_an_absent_table_go_with_it():
    contracts = load_contracts()
    needed = {name for contract in contracts.values() for name in contract.requires} - {"bronze.offers"}
    kept = present(contracts, needed)
    assert ("bronze", "offers") not in kept
    assert absent(contracts, needed) == ("bronze.offers",)
    lost = [
        rule.id
        for rule in contracts["silver", "fct_redemptions"].rules
        if rule.arguments.get("other") == "bronze.offers"
    ]
    assert lost
    ids = {rule.id for rule in kept["silver", "fct_redemptions"].rules}
    assert not ids & set(lost)
    assert len(ids) == len(contracts["silver", "fct_redemptions"].rules) - len(lost)
