"""The contracts of one lake: a table whose source delivers nothing for it is absent, never empty.

Belongs here: which contracts stand when a source delivers this and that. Does not belong here: what a source delivers
(resources.mapping).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from checks.contracts.model import Contract, Rule

Contracts = Mapping[tuple[str, str], Contract]


def present(contracts: Contracts, delivered: Collection[str]) -> dict[tuple[str, str], Contract]:
    """The contracts whose requirements are delivered, without the rules that compare with a table that is absent."""
    kept = {key: contract for key, contract in contracts.items() if set(contract.requires) <= set(delivered)}
    names = {contract.published_name for contract in kept.values()}
    return {key: replace(item, rules=tuple(_checkable(item.rules, names))) for key, item in kept.items()}


def absent(contracts: Contracts, delivered: Collection[str]) -> tuple[str, ...]:
    """The published names of the tables that a lake with this source does not have, in order."""
    return tuple(sorted(c.published_name for c in contracts.values() if not set(c.requires) <= set(delivered)))


def _checkable(rules: Collection[Rule], names: Collection[str]) -> list[Rule]:
    return [rule for rule in rules if rule.arguments.get("other") is None or rule.arguments["other"] in names]
