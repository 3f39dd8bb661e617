"""A draft of a contract for a file that fits no canonical table.

Belongs here: the ODCS document of a bronze table with a file's columns. Does not belong here: the mapping (drafts).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from checks.contracts.column_types import logical_type
from resources.guesses import ColumnGuess, words, words_of_name

PERSONAL = words("customer member card email mail phone mobile household shopper address birth surname forename")


def snake(name: str) -> str:
    """A column's name as the lake writes it."""
    parts = re.findall(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+", name)
    joined = "_".join(part.lower() for part in parts)
    return joined if joined and not joined[0].isdigit() else f"column_{joined}"


def contract_document(
    name: str, columns: Sequence[ColumnGuess], key: Sequence[str], *, has_time: bool
) -> dict[str, Any]:
    """An ODCS 3.1 document of a bronze table with the columns of the file."""
    week = [_property("week_start_date", "DATE", "First day of the business week, by the mapping.", required=True)]
    properties = [
        _property("source", "STRING", "Name of the mapping that read the record.", required=True),
        _property("batch_id", "STRING", "Batch that committed the record.", required=True),
        *(_own(column, key) for column in columns if column.kind != "empty"),
        *(week if has_time else []),
        _property("event_at", "TIMESTAMP", "When it happened, UTC.", required=True),
        _property("known_at", "TIMESTAMP", "When it could have been known, UTC.", required=True),
        _property("row_hash", "BIGINT", "xxhash64 of the record; finds candidates for duplicates.", required=True),
    ]
    grain = f"One row per record ({', '.join(key)})." if key else "One row per record."
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": f"bronze.{name}", "version": "0.1.0", "status": "active",
        "tags": ["bronze", "draft"], "team": {"name": "data-platform"},
        "customProperties": [{"property": "schemaEvolution", "value": "quarantine"}],
        "slaProperties": [{"property": "freshness", "value": 8, "unit": "d", "element": f"{name}.event_at"}],
        "schema": [{
            "id": name, "name": name, "physicalName": f"bronze.{name}", "physicalType": "table",
            "logicalType": "object", "dataGranularityDescription": grain,
            "description": "Drafted from a sample: say what the table is for.", "properties": properties,
        }],
    }  # fmt: skip


def _property(name: str, spark_type: str, description: str, *, required: bool = False) -> dict[str, Any]:
    found = {"name": name, "logicalType": logical_type(spark_type), "physicalType": spark_type}
    return {**found, "description": description, **({"required": True} if required else {})}


def _own(column: ColumnGuess, key: Sequence[str]) -> dict[str, Any]:
    """A column of the file: required where the sample has no null, personal where its name says so."""
    name = snake(column.name)
    found = _property(name, column.spark_type, f"{column.name} of the file: say what it is, with its unit.")
    found |= {"required": True} if not column.nulls and not column.unread else {}
    found |= {"primaryKey": True, "primaryKeyPosition": key.index(name) + 1} if name in key else {}
    return found | ({"classification": "pii"} if words_of_name(column.name) & PERSONAL else {})
