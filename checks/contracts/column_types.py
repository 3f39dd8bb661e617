"""The Spark SQL types a contract may use, and what they are called in ODCS.

Belongs here: the closed list of types. Does not belong here: the same types in Arrow (`spark_schema`) or in
Pandera (`pandera_schema`).
"""

from __future__ import annotations

import re

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
