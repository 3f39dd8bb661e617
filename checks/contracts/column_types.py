"""The Spark SQL types a contract may use, what they are called in ODCS, and which type holds the values of which.

Belongs here: the closed list of types, and widening. Does not belong here: the same types in Arrow (`spark_schema`) or
in Pandera (`pandera_schema`).
"""

from __future__ import annotations

import re
from typing import Literal

TypeChange = Literal["same", "widened", "narrowed", "changed"]
_LOGICAL = {
    "STRING": "string",
    "BIGINT": "integer",
    "INT": "integer",
    "DOUBLE": "number",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "ARRAY<STRING>": "array",
}
_MAX_PRECISION = 38
_DECIMAL = re.compile(r"DECIMAL\((\d{1,2}),(\d{1,2})\)")


def decimal_parts(spark_type: str) -> tuple[int, int] | None:
    """(precision, scale) of a DECIMAL type, None for every other type."""
    match = _DECIMAL.fullmatch(spark_type)
    if match is None:
        return None
    precision, scale = int(match.group(1)), int(match.group(2))
    return (precision, scale) if scale <= precision <= _MAX_PRECISION and precision > 0 else None


def logical_type(spark_type: str) -> str | None:
    """The ODCS logical type of a supported Spark SQL type, None when the type is not supported."""
    if decimal_parts(spark_type) is not None:
        return "number"
    return _LOGICAL.get(spark_type)


def supported_types() -> tuple[str, ...]:
    """The names for an error message."""
    return (*_LOGICAL, "DECIMAL(p,s)")


def type_change(old: str, new: str) -> TypeChange:
    """What a change of a Spark SQL type means for the values: widened when the new type holds every old value exactly.

    Narrowed is the way back; changed is everything else, such as a number that becomes a text. Types that are not known
    here are changed unless they are equal.
    """
    before, after = old.upper().replace(" ", ""), new.upper().replace(" ", "")
    if before == after:
        return "same"
    if _holds(after, before):
        return "widened"
    return "narrowed" if _holds(before, after) else "changed"


# Decimal digits that a whole-number type needs, and those that a floating type keeps exactly.
_WHOLE_DIGITS = {"TINYINT": 3, "SMALLINT": 5, "INT": 10, "BIGINT": 19}
_FLOAT_DIGITS = {"FLOAT": 7, "DOUBLE": 15}


def _holds(wide: str, narrow: str) -> bool:
    """Whether every value of `narrow` is a value of `wide`."""
    if wide in _WHOLE_DIGITS and narrow in _WHOLE_DIGITS:
        return _WHOLE_DIGITS[wide] >= _WHOLE_DIGITS[narrow]
    if (wide, narrow) == ("DOUBLE", "FLOAT"):
        return True
    digits = _WHOLE_DIGITS.get(narrow)
    if wide in _FLOAT_DIGITS:
        return digits is not None and digits <= _FLOAT_DIGITS[wide]
    wide_parts = decimal_parts(wide)
    if wide_parts is None:
        return False
    precision, scale = decimal_parts(narrow) or (digits or _MAX_PRECISION + 1, 0)
    return wide_parts[1] >= scale and wide_parts[0] - wide_parts[1] >= precision - scale
