"""Bounds in a contract: minimum and maximum of values and of row counts.

Belongs here: reading bounds in the type of their column. Does not belong here: SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from open_data_contract_standard.model import DataQuality

from checks.contracts.place import Place

RANGE_KEYS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
LENGTH_KEYS = ("minLength", "maxLength")


def range_bounds(given: Mapping[str, Any], logical: str, place: Place) -> dict[str, Any]:
    """minimum, maximum (None when absent), exclusive_minimum and exclusive_maximum of a column of a logical type.

    Raises ContractError for a bound of another type, for both forms of one side, and for an empty range.
    """
    bounds: dict[str, Any] = {}
    for side in ("minimum", "maximum"):
        exclusive = f"exclusive{side.capitalize()}"
        if side in given and exclusive in given:
            raise place.error(f"give {side} or {exclusive}, not both")
        key = exclusive if exclusive in given else side
        bounds[side] = _typed(given[key], logical, place.at(key)) if key in given else None
        bounds[f"exclusive_{side}"] = exclusive in given
    low, high = bounds["minimum"], bounds["maximum"]
    if low is not None and high is not None and low > high:
        raise place.error(f"the minimum {low} is above the maximum {high}")
    return bounds


def length_bounds(given: Mapping[str, Any], place: Place) -> dict[str, int | None]:
    """minimum and maximum number of characters (None when absent); ContractError for an empty or impossible length."""
    for key, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise place.at(key).error(f"{value!r} is no number of characters")
    low, high = given.get("minLength"), given.get("maxLength")
    if low is not None and high is not None and low > high:
        raise place.error(f"the minimum {low} is above the maximum {high}")
    return {"minimum": low, "maximum": high}


def count_bounds(entry: DataQuality, place: Place) -> dict[str, int | None]:
    """minimum and maximum (None when open) of a rowCount entry; ContractError when it has no bound or several."""
    given = sorted(name for name in entry.model_fields_set if name.startswith("mustBe"))
    if len(given) != 1:
        raise place.error("rowCount needs exactly one bound, such as mustBeGreaterThan: 0")
    name, value = given[0], getattr(entry, given[0])
    pair = value if name == "mustBeBetween" else [value, value]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in pair):
        raise place.at(name).error(f"{value!r} is no number of rows")
    low, high = pair
    limits: Mapping[str, tuple[int | None, int | None]] = {
        "mustBe": (low, high),
        "mustBeBetween": (low, high),
        "mustBeGreaterThan": (low + 1, None),
        "mustBeGreaterOrEqualTo": (low, None),
        "mustBeLessThan": (None, high - 1),
        "mustBeLessOrEqualTo": (None, high),
    }
    minimum, maximum = limits[name]
    return {"minimum": minimum, "maximum": maximum}


def _typed(value: Any, logical: str, place: Place) -> int | float | date | datetime:
    """A bound in the type of its column: texts become dates and instants (UTC unless they name a zone)."""
    try:
        if logical == "date":
            return date.fromisoformat(value)
        if logical == "timestamp":
            instant = datetime.fromisoformat(value)
            return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
    except (TypeError, ValueError) as error:
        raise place.error(f"{value!r} is no ISO 8601 {logical}") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise place.error(f"{value!r} is no number")
    return value
