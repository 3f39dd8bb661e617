"""The service levels of a contract: ODCS slaProperties to `Freshness`.

Belongs here: the two properties that are checked, freshness and a frequency of one business week. Does not belong here:
how they are measured (`resources.ages`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from open_data_contract_standard.model import ServiceLevelAgreementProperty

from checks.contracts.model import WEEK, Column, Contract, Freshness
from checks.contracts.place import Place

FRESHNESS, FREQUENCY = "freshness", "frequency"
WEEK_DAYS = 7
_DAYS_PER_UNIT = {"d": 1.0, "h": 1.0 / 24.0}


def read_freshness(
    entry: ServiceLevelAgreementProperty, table: str, columns: Sequence[Column], place: Place
) -> Freshness:
    """The freshness of a table; ContractError for a value, unit or element that cannot be checked."""
    if isinstance(entry.value, bool) or not isinstance(entry.value, int | float) or entry.value <= 0:
        raise place.at("value").error("must be a positive number")
    if entry.unit not in _DAYS_PER_UNIT:
        raise place.at("unit").error(f"must be d or h, not {entry.unit!r}")
    owner, _, column = str(entry.element).partition(".")
    if owner != table:
        raise place.at("element").error(f"must be {table} or {table}.<column>")
    timed = {item.name for item in columns if item.type in ("DATE", "TIMESTAMP") and not item.is_nullable}
    if column and column not in timed:
        raise place.at("element").error(f"{column!r} is no required DATE or TIMESTAMP column")
    if not column and timed:
        raise place.at("element").error(f"must name one of the time columns {', '.join(sorted(timed))}")
    return Freshness(entry.value * _DAYS_PER_UNIT[entry.unit], column or None)


def read_frequency(
    entry: ServiceLevelAgreementProperty, table: str, columns: Sequence[Column], level: Freshness, place: Place
) -> Freshness:
    """The freshness with the promise of rows for every business week; ContractError for any other frequency."""
    if entry.value != WEEK_DAYS or entry.unit != "d":
        raise place.at("value").error(f"must be {WEEK_DAYS} with the unit d: the business week is what is counted")
    if entry.element != f"{table}.{WEEK}" or WEEK not in {column.name for column in columns}:
        raise place.at("element").error(f"must be {table}.{WEEK}, a column of the table")
    return replace(level, every_week=True)


def level_of_document(entry: Mapping[str, Any], tables: Mapping[str, Contract], place: Place) -> tuple[str, Freshness]:
    """(table, its freshness) with one service level of any ODCS document; ContractError when it is another promise."""
    name = entry.get("property")
    if name not in (FRESHNESS, FREQUENCY):
        raise place.error(f"{name!r} is not checked here; what is checked is {FRESHNESS} and {FREQUENCY}")
    table = str(entry.get("element")).partition(".")[0]
    if table not in tables:
        raise place.at("element").error(f"{table!r} is no table of this document")
    level = ServiceLevelAgreementProperty.model_validate(dict(entry))
    contract = tables[table]
    if name == FREQUENCY:
        return table, read_frequency(level, table, contract.columns, contract.freshness, place)
    found = read_freshness(level, table, contract.columns, place)
    return table, replace(found, every_week=contract.freshness.every_week)
