"""The service levels of a contract: ODCS slaProperties to `Freshness`.

Belongs here: the one property that is checked. Does not belong here: how freshness is measured (`checks.asset_checks`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from open_data_contract_standard.model import ServiceLevelAgreementProperty

from checks.contracts.model import Column, Contract, Freshness
from checks.contracts.place import Place

FRESHNESS = "freshness"
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


def freshness_of_document(
    entry: Mapping[str, Any], tables: Mapping[str, Contract], place: Place
) -> tuple[str, Freshness]:
    """(table, its freshness) of one service level of any ODCS document; ContractError when it is another promise."""
    name = entry.get("property")
    if name != FRESHNESS:
        raise place.error(f"{name!r} is not checked here; what is checked is {FRESHNESS}")
    table = str(entry.get("element")).partition(".")[0]
    if table not in tables:
        raise place.at("element").error(f"{table!r} is no table of this document")
    level = ServiceLevelAgreementProperty.model_validate(dict(entry))
    return table, read_freshness(level, table, tables[table].columns, place)
