"""One message against its contract, without Spark: the data of an event, as JSON has them.

Belongs here: what a value of each type looks like in JSON, and the rules about single values. Does not belong here:
what is told in which event, and how it is sent (resources).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from checks.contracts.column_types import decimal_parts
from checks.contracts.model import Column, Contract


def json_value(value: object) -> Any:
    """A value as messages hold it: days and instants (UTC, ending in Z) by ISO 8601, exact numbers as texts."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def broken_rules(contract: Contract, data: Mapping[str, Any]) -> list[str]:
    """The rules of a contract that a message breaks, as `column: rule`; none when it keeps all of them.

    Args:
        contract: of an event.
        data: column name -> value as JSON has it.
    """
    found = [f"{name}: schema" for name in sorted(set(data) ^ set(contract.column_names))]
    return found + [
        f"{column.name}: {rule}"
        for column in contract.columns
        if column.name in data
        for rule in _broken(column, data[column.name])
    ]


def _broken(column: Column, given: Any) -> Iterator[str]:
    if given is None:
        if not column.is_nullable:
            yield "not_null"
        return
    try:
        value = _typed(column.type, given)
    except (TypeError, ValueError, InvalidOperation):
        yield column.type
        return
    for rule in column.rules:
        if not _HOLDS[rule.kind](value, rule.arguments):
            yield rule.id


def _typed(spark_type: str, given: Any) -> Any:
    """The value that a JSON value stands for; raises where it is none of the type."""
    parts = decimal_parts(spark_type)
    if parts is not None:
        return _decimal(given, *parts)
    value = _READ[spark_type](given)
    # JSON's true is no number, and a number no text.
    if type(value) is not _PYTHON[spark_type]:
        raise TypeError(spark_type)
    return value


def _decimal(given: Any, precision: int, scale: int) -> Decimal:
    value = Decimal(_text(given))
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > scale or abs(value) >= 10 ** (precision - scale):
        raise ValueError(given)
    return value


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError(given)
    return given


def _instant(given: Any) -> datetime:
    if not _text(given).endswith("Z"):
        raise ValueError(given)
    return datetime.fromisoformat(given)


def _number(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise TypeError(given)
    return float(given)


def _texts(given: Any) -> list[str]:
    if not isinstance(given, list):
        raise TypeError(given)
    return [_text(item) for item in given]


_READ: Mapping[str, Callable[[Any], Any]] = {
    "STRING": _text,
    "BIGINT": lambda given: given,
    "INT": lambda given: given,
    "DOUBLE": _number,
    "BOOLEAN": lambda given: given,
    "DATE": lambda given: date.fromisoformat(_text(given)),
    "TIMESTAMP": _instant,
    "ARRAY<STRING>": _texts,
}
_PYTHON: Mapping[str, type] = {
    "STRING": str, "BIGINT": int, "INT": int, "DOUBLE": float, "BOOLEAN": bool, "DATE": date, "TIMESTAMP": datetime,
    "ARRAY<STRING>": list,
}  # fmt: skip


def _in_range(value: Any, given: Mapping[str, Any]) -> bool:
    low, high = given["minimum"], given["maximum"]
    above = low is None or (value > low if given["exclusive_minimum"] else value >= low)
    return above and (high is None or (value < high if given["exclusive_maximum"] else value <= high))


def _has_length(value: str, given: Mapping[str, Any]) -> bool:
    low, high = given["minimum"], given["maximum"]
    return (low is None or len(value) >= low) and (high is None or len(value) <= high)


# By the kinds of checks.contracts.model.VALUE_KINDS.
_HOLDS: Mapping[str, Callable[[Any, Mapping[str, Any]], bool]] = {
    "range": _in_range,
    "enum": lambda value, given: value in given["values"],
    "pattern": lambda value, given: re.match(given["pattern"], value) is not None,
    "length": _has_length,
}
