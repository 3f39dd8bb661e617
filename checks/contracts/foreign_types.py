"""The types that other people's contracts use, as ours.

Belongs here: widely used SQL names and ODCS logical types. Does not belong here: the types of our own contracts, which
are spelled as Spark spells them (`column_types`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from checks.contracts.column_types import decimal_parts, logical_type
from checks.contracts.place import Place

_BY_NAME = {
    **dict.fromkeys(("STRING", "TEXT", "VARCHAR", "CHAR", "NVARCHAR", "NCHAR", "CHARACTER VARYING"), "STRING"),
    **dict.fromkeys(("INT", "INTEGER", "SMALLINT", "TINYINT"), "INT"),
    **dict.fromkeys(("BIGINT", "LONG"), "BIGINT"),
    **dict.fromkeys(("DOUBLE", "FLOAT", "REAL", "DOUBLE PRECISION"), "DOUBLE"),
    **dict.fromkeys(("BOOL", "BOOLEAN"), "BOOLEAN"),
    "DATE": "DATE",
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMPTZ", "DATETIME"), "TIMESTAMP"),
}
_BY_MEANING = {
    "string": "STRING",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
_NUMBERS = {"number", "integer"}
_SIZED = re.compile(r"(?P<name>[A-Z ]+?)\s*\((?P<sizes>[\d, ]+)\)")


def spark_type(column: Mapping[str, Any], place: Place) -> str:
    """The Spark SQL type of a column of any ODCS document: by its physical type, else by its logical type.

    Raises ContractError where we have none, and where the two types mean different things.
    """
    physical, logical = column.get("physicalType"), column.get("logicalType")
    ours = logical_type(str(physical))
    if ours is not None and logical in (None, ours):
        return str(physical)
    if logical == "array":
        items = column.get("items") or {}
        if items.get("logicalType") == "string" and "properties" not in items:
            return "ARRAY<STRING>"
        raise place.at("logicalType").error("an array needs items of the logical type string")
    found = _by_name(str(physical).upper()) if physical is not None else None
    found = found or _BY_MEANING.get(str(logical))
    if found is None:
        raise place.at("logicalType" if logical else "physicalType").error(
            f"there is no column type for {logical or physical!r}"
        )
    meant = {str(logical_type(found))}
    fits = logical in meant or (logical in _NUMBERS and meant <= _NUMBERS)
    if logical is not None and not fits:
        raise place.at("logicalType").error(f"{logical!r} does not fit the physical type {physical!r}")
    return found


def _by_name(physical: str) -> str | None:
    sized = _SIZED.fullmatch(physical)
    name, sizes = (sized["name"], sized["sizes"].replace(" ", "")) if sized else (physical, "")
    if name in ("DECIMAL", "NUMERIC"):
        exact = f"DECIMAL({sizes if ',' in sizes else f'{sizes or 10},0'})"
        return exact if decimal_parts(exact) else None
    return _BY_NAME.get(name)
