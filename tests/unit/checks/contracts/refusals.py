"""Changes that make a contract wrong, with the spot and the words that the refusal must name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]


def column(document: Document, name: str) -> Document:
    return next(entry for entry in document["schema"][0]["properties"] if entry["name"] == name)


def quality(document: Document, rule_id: str) -> Document:
    return next(entry for entry in document["schema"][0]["quality"] if entry["id"] == rule_id)


def _drop(key: str) -> Callable[[Document], None]:
    return lambda document: document.pop(key)


def _set(path: str, value: Any) -> Callable[[Document], None]:
    """Sets a value at a path such as schema.0.name."""

    def change(document: Document) -> None:
        *steps, last = path.split(".")
        spot: Any = document
        for step in steps:
            spot = spot[int(step)] if step.isdigit() else spot[step]
        spot[last] = value

    return change


def _column(name: str, /, **values: Any) -> Callable[[Document], None]:
    return lambda document: column(document, name).update(values)


def _rule(rule_id: str, /, **values: Any) -> Callable[[Document], None]:
    return lambda document: quality(document, rule_id).update(values)


def _implementation(**values: Any) -> Callable[[Document], None]:
    return _rule("zero_quantity_flag", implementation=values)


def _add_quality(entry: Document) -> Callable[[Document], None]:
    return lambda document: document["schema"][0]["quality"].append(entry)


CUSTOM = {"id": "x", "type": "custom", "engine": "liftlake"}
STORE = "schema[0].properties[6]"
FLAG = "schema[0].quality[1]"
REFUSALS: dict[str, tuple[Callable[[Document], None], str, str]] = {
    "no owner": (_drop("team"), "team.name", "must be one of data-platform"),
    "unknown team": (_set("team.name", "nobody"), "team.name", "'nobody'"),
    "other version": (_set("apiVersion", "v3.0.2"), "apiVersion", "must be 'v3.1.0'"),
    "draft": (_set("status", "draft"), "status", "must be 'active'"),
    "no semantic version": (_set("version", "1"), "version", "MAJOR.MINOR.PATCH"),
    "two tables": (lambda d: d["schema"].append(dict(d["schema"][0])), "schema", "exactly one table"),
    "other physical name": (_set("schema.0.physicalName", "x.y"), "schema[0].physicalName", "'bronze.pos_lines'"),
    "no grain": (
        _set("schema.0.dataGranularityDescription", "Lines."),
        "schema[0].dataGranularityDescription",
        "One row per",
    ),
    "grain of two sentences": (
        _set("schema.0.dataGranularityDescription", "One row per line. And so on."),
        "schema[0].dataGranularityDescription",
        "one sentence",
    ),
    "no table description": (_set("schema.0.description", ""), "schema[0].description", "what the table is for"),
    "no freshness": (_drop("slaProperties"), "slaProperties", "must hold freshness"),
    "further service level": (
        lambda d: d["slaProperties"].append({"property": "retention", "value": 1}),
        "slaProperties",
        "must hold freshness, and frequency after it",
    ),
    "frequency of a day": (_set("slaProperties.1.value", 1), "slaProperties[1].value", "business week"),
    "frequency of another column": (
        _set("slaProperties.1.element", "pos_lines.event_at"),
        "slaProperties[1].element",
        "pos_lines.week_start_date",
    ),
    "freshness of no column": (
        _set("slaProperties.0.element", "pos_lines.nothing"),
        "slaProperties[0].element",
        "'nothing'",
    ),
    "freshness of the table only": (
        _set("slaProperties.0.element", "pos_lines"),
        "slaProperties[0].element",
        "event_at",
    ),
    "freshness unit": (_set("slaProperties.0.unit", "y"), "slaProperties[0].unit", "d or h"),
    "freshness of zero": (_set("slaProperties.0.value", 0), "slaProperties[0].value", "positive"),
    "field of nobody": (_set("price", {"priceAmount": 1}), "price", "not supported"),
    "nested field of nobody": (_column("store_id", encryptedName="x"), f"{STORE}.encryptedName", "not supported"),
    "misspelt field": (_column("store_id", requierd=True), f"{STORE}.requierd", "is no field"),
    "wrong shape": (_set("schema.0.properties", "none"), "schema[0].properties", "must be a list"),
    "column described at length": (
        _column("store_id", description="x" * 257),
        f"{STORE}.description",
        "longer than 256",
    ),
    "unknown type": (
        _column("store_id", physicalType="VARCHAR(9)"),
        f"{STORE}.physicalType",
        "'VARCHAR(9)' is not one of",
    ),
    "impossible decimal": (_column("store_id", physicalType="DECIMAL(4,18)"), f"{STORE}.physicalType", "DECIMAL(4,18)"),
    "types that differ": (
        _column("store_id", logicalType="number", logicalTypeOptions={}),
        f"{STORE}.logicalType",
        "must be 'string'",
    ),
    "no column description": (_column("store_id", description=" "), f"{STORE}.description", "needs a description"),
    "classification": (_column("store_id", classification="secret"), f"{STORE}.classification", "one of pii"),
    "key with a hole": (_column("line_id", primaryKeyPosition=3), "schema[0].properties", "count the key columns"),
    "key that may be null": (
        _column("line_id", required=False),
        "schema[0].properties",
        "'line_id' must be required",
    ),
    "week that is a text": (_column("store_id", partitioned=True), "schema[0].properties", "must be a required DATE"),
    "column twice": (_column("store_id", name="line_id"), "schema[0].properties", "'line_id' stands 2 times"),
    "minimum of a text": (
        _column("store_id", logicalTypeOptions={"minimum": 1}),
        f"{STORE}.logicalTypeOptions.minimum",
        "is no field",
    ),
    "minimum of a flag": (
        _column("is_zero_quantity", logicalTypeOptions={"minimum": 1}),
        "schema[0].properties[14].logicalTypeOptions",
        "no minimum",
    ),
    "pattern that is none": (
        _column("store_id", logicalTypeOptions={"pattern": "^("}),
        f"{STORE}.logicalTypeOptions.pattern",
        "no regular expression",
    ),
    "pattern without anchor": (
        _column("store_id", logicalTypeOptions={"pattern": "x"}),
        f"{STORE}.logicalTypeOptions.pattern",
        "start with ^",
    ),
    "two minimums": (
        _column("week_start_date", logicalTypeOptions={"minimum": "2000-01-01", "exclusiveMinimum": "2000-01-01"}),
        "schema[0].properties[8].logicalTypeOptions",
        "not both",
    ),
    "no date": (
        _column("week_start_date", logicalTypeOptions={"minimum": "soon"}),
        "schema[0].properties[8].logicalTypeOptions.minimum",
        "no ISO 8601 date",
    ),
    "empty range": (
        _column("quantity_units", logicalTypeOptions={"minimum": 2, "maximum": 1}),
        "schema[0].properties[9].logicalTypeOptions",
        "above the maximum",
    ),
    "unknown severity": (_rule("zero_quantity_flag", severity="info"), f"{FLAG}.severity", "'info'"),
    "other engine": (_rule("zero_quantity_flag", engine="soda"), f"{FLAG}.engine", "must be 'liftlake'"),
    "unknown kind": (_implementation(kind="magic"), f"{FLAG}.implementation.kind", "'magic'"),
    "unknown column": (
        _implementation(kind="expression", expression="store = 1"),
        f"{FLAG}.implementation.expression",
        "'store' is no column",
    ),
    "no column": (
        _implementation(kind="expression", expression="1 = 1"),
        f"{FLAG}.implementation.expression",
        "names no column",
    ),
    "argument of nobody": (
        _implementation(kind="expression", expression="quantity_units = 0", tolerance=1),
        f"{FLAG}.implementation.tolerance",
        "is not supported",
    ),
    "threshold that would be ignored": (_rule("zero_quantity_flag", mustBe=3), f"{FLAG}.mustBe", "is no field"),
    "metric that is not checked": (
        _add_quality({"id": "x", "metric": "missingValues", "mustBe": 0}),
        "schema[0].quality[5]",
        "'missingValues' is not supported",
    ),
    "query in SQL": (
        _add_quality({"id": "x", "type": "sql", "query": "SELECT 1", "mustBe": 1}),
        "schema[0].quality[5].query",
        "not supported",
    ),
    "duplicates that are allowed": (
        _add_quality({"id": "x", "metric": "duplicateValues", "arguments": {"properties": ["store_id"]}, "mustBe": 5}),
        "schema[0].quality[5].mustBe",
        "must be 0",
    ),
    "row count without a bound": (
        _add_quality({"id": "x", "metric": "rowCount"}),
        "schema[0].quality[5]",
        "exactly one bound",
    ),
    "rule without an id": (
        _add_quality({"type": "custom", "engine": "liftlake", "implementation": {"kind": "expression"}}),
        "schema[0].quality[5]",
        "needs an id",
    ),
    "nulls of a required column": (
        _column("store_id", quality=[{"metric": "nullValues", "mustBe": 0, "severity": "warning"}]),
        f"{STORE}.quality[0]",
        "required already",
    ),
    "length of a number": (
        _column("quantity_units", quality=[{**CUSTOM, "implementation": {"kind": "length", "minLength": 1}}]),
        "schema[0].properties[9].quality[0].implementation",
        "a length needs",
    ),
    "length upside down": (
        _column("store_id", quality=[{**CUSTOM, "implementation": {"kind": "length", "minLength": 3, "maxLength": 1}}]),
        f"{STORE}.quality[0].implementation",
        "above the maximum",
    ),
    "owner of a rule": (
        _rule("zero_quantity_flag", customProperties=[{"property": "owner", "value": "nobody"}]),
        f"{FLAG}.customProperties.owner",
        "one of data-platform",
    ),
    "unknown evolution": (
        _set("customProperties.0.value", "anything"),
        "customProperties.schemaEvolution",
        "freeze, quarantine, evolve",
    ),
    "evolution twice": (
        lambda d: d["customProperties"].append(dict(d["customProperties"][0])),
        "customProperties.schemaEvolution",
        "stands twice",
    ),
    "rule id twice": (_rule("zero_quantity_flag", id="row_count"), "", "'row_count' stands 2 times"),
    "reference of another shape": (
        _column("store_id", relationships=[{"to": "dim_store.store_id"}]),
        f"{STORE}.relationships[0].to",
        "must be FILE.odcs.yaml#",
    ),
    "custom property of nobody": (
        _column(
            "store_id",
            relationships=[
                {
                    "to": "../silver/dim_store.odcs.yaml#/schema/dim_store/properties/store_id",
                    "customProperties": [{"property": "x", "value": 1}],
                }
            ],
        ),
        f"{STORE}.relationships[0].customProperties.x",
        "is not supported",
    ),
}
