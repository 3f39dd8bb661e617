"""The Open Data Contract Standard 3.1 as shapes: which fields a document may have, and of which form.

Belongs here: what the standard says of structure, all of it but the fields that a server has by its kind. Does not
belong here: what our compiler makes of a field (`loader`, `quality`) or that it honours a field at all (`odcs`).

A test holds these shapes against the published JSON schema: over every file of ours, every published example and
hundreds of small changes of them, both accept and reject the same documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from checks.contracts.place import ContractError, Place
from checks.contracts.shape import (
    Record,
    Shape,
    anything,
    boolean,
    either,
    list_of,
    mapping,
    number,
    scalar,
    text,
)

API_VERSION = "v3.1.0"
_EARLIER_VERSIONS = ("v3.0.2", "v3.0.1", "v3.0.0", "v2.2.2", "v2.2.1", "v2.2.0")
_SERVER_TYPES = (
    "api", "athena", "azure", "bigquery", "clickhouse", "databricks", "denodo", "dremio", "duckdb", "glue",
    "cloudsql", "db2", "hive", "impala", "informix", "kafka", "kinesis", "local", "mysql", "oracle",
    "postgresql", "postgres", "presto", "pubsub", "redshift", "s3", "sftp", "snowflake", "sqlserver", "synapse",
    "trino", "vertica", "zen", "custom",
)  # fmt: skip
_DIMENSIONS = ("accuracy", "completeness", "conformity", "consistency", "coverage", "timeliness", "uniqueness")
_METRICS = ("nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount")
_LOGICAL_TYPES = ("string", "date", "timestamp", "time", "number", "integer", "object", "array", "boolean")
_INTEGER_FORMATS = ("i8", "i16", "i32", "i64", "i128", "u8", "u16", "u32", "u64", "u128")
_WORD, _WHOLE = r"[A-Za-z_][A-Za-z0-9_]*", number(whole=True)
_SHORT_REFERENCE = rf"^{_WORD}\.{_WORD}$"
_STEPS = rf"{_WORD}/[A-Za-z0-9_-]+"
_FULL_REFERENCE = rf"^(?:(?:https?://)?[A-Za-z0-9._\-/]+\.yaml#)?/?{_STEPS}(?:/{_STEPS})*$"


def _texts(names: str) -> dict[str, Shape]:
    return dict.fromkeys(names.split(), text())


_ID: dict[str, Shape] = {"id": text(pattern=r"^[A-Za-z0-9_-]+$")}
_TAGS = list_of(text())
_CUSTOM_PROPERTIES = list_of(
    Record({**_ID, **_texts("property description"), "value": anything}, ("property", "value"))
)
_DEFINITIONS = list_of(Record({**_ID, **_texts("url type description")}, ("url", "type")))
_NOTES: dict[str, Shape] = {"authoritativeDefinitions": _DEFINITIONS, "customProperties": _CUSTOM_PROPERTIES}
_MEMBER = Record(
    {**_ID, **_NOTES, **_texts("username name description role dateIn dateOut replacedByUsername"), "tags": _TAGS},
    ("username",),
)
_TEAM = Record({**_ID, **_NOTES, **_texts("name description"), "members": list_of(_MEMBER), "tags": _TAGS})
_ROLE = Record(
    {
        **_ID,
        **_texts("role description access firstLevelApprovers secondLevelApprovers"),
        "customProperties": _CUSTOM_PROPERTIES,
    },
    ("role",),
)
_SERVER = Record(
    {
        **_ID,
        **_texts("server description environment"),
        "type": text(*_SERVER_TYPES),
        "roles": list_of(_ROLE),
        "customProperties": _CUSTOM_PROPERTIES,
    },
    ("server", "type"),
    is_open=True,  # each kind of server has fields of its own, which no part of the compiler reads
)
_SUPPORT = Record(
    {
        **_ID,
        **_texts("channel url description tool scope invitationUrl"),
        "customProperties": _CUSTOM_PROPERTIES,
    },
    ("channel",),
)
_PRICE = Record({**_ID, **_texts("priceCurrency priceUnit"), "priceAmount": number()})
_SLA = Record(
    {
        **_ID,
        **_texts("property unit element driver description scheduler schedule"),
        "value": scalar,
        "valueExt": scalar,
    },
    ("property", "value"),
)

# ---------------------------------------------------------------- quality
_PAIR = list_of(number(), minimum=2, maximum=2, distinct=True)
_BOUNDS: dict[str, Shape] = {
    "mustBe": anything,
    "mustNotBe": anything,
    **dict.fromkeys(("mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan", "mustBeLessOrEqualTo"), number()),
    "mustBeBetween": _PAIR,
    "mustNotBeBetween": _PAIR,
}


def _needs_bound(entry: Mapping[str, Any]) -> bool:
    return entry.get("type") in ("library", "sql") or isinstance(entry.get("metric"), str)


def _quality_form(entry: Mapping[str, Any]) -> Record:
    """What an entry has by its type: a metric or a query with a bound, or the words of an engine."""
    fields: dict[str, Shape] = dict(_BOUNDS) if _needs_bound(entry) else {}
    required: tuple[str, ...] = ()
    if entry.get("type") == "library" or isinstance(entry.get("metric"), str):
        fields |= {"metric": text(*_METRICS), "rule": text(), "arguments": mapping}
        required += ("metric",)
    if entry.get("type") == "sql":
        fields |= {"query": text()}
        required += ("query",)
    if entry.get("type") == "custom":
        fields |= {"engine": text(), "implementation": either(str, text(), mapping)}
        required += ("engine", "implementation")
    return Record(fields, required)


_QUALITY_FIELDS = Record(
    {
        **_ID,
        **_NOTES,
        **_texts("businessImpact description method name schedule scheduler severity unit"),
        "dimension": text(*_DIMENSIONS),
        "tags": _TAGS,
        "type": text("text", "library", "sql", "custom"),
    },
    more=_quality_form,
)


def _quality_entry(value: Any, place: Place) -> Iterator[ContractError]:
    yield from _QUALITY_FIELDS(value, place)
    if isinstance(value, dict) and _needs_bound(value) and sum(name in value for name in _BOUNDS) != 1:
        yield place.error(f"needs exactly one bound of {', '.join(_BOUNDS)}")


_QUALITY = list_of(_quality_entry)

# ---------------------------------------------------------------- relationships
_REFERENCE = text(pattern=f"{_SHORT_REFERENCE}|{_FULL_REFERENCE}")
_REFERENCES = list_of(_REFERENCE, minimum=1)
_LINK: dict[str, Shape] = {"type": text("foreignKey"), "customProperties": _CUSTOM_PROPERTIES}
_COLUMN_LINKS = list_of(Record({**_LINK, "to": either(list, _REFERENCES, _REFERENCE)}, ("to",)))


def _link_ends(entry: Mapping[str, Any]) -> Record:
    end = _REFERENCES if isinstance(entry.get("from"), list) else _REFERENCE
    return Record({"from": end, "to": end})


_TABLE_LINKS = list_of(Record(_LINK, ("from", "to"), _link_ends))

# ---------------------------------------------------------------- tables and columns
_SIZE = number(minimum=0, whole=True)
_RANGE = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_DAY_OPTIONS: dict[str, Shape] = {"format": text(), **dict.fromkeys(_RANGE, text())}
_INSTANT_OPTIONS: dict[str, Shape] = {**_DAY_OPTIONS, "timezone": boolean, "defaultTimezone": text()}
_NUMBER_OPTIONS: dict[str, Shape] = {"multipleOf": number(above=0), **dict.fromkeys(_RANGE, number())}
_OPTIONS: Mapping[str, Shape] = {
    "string": Record({"minLength": _SIZE, "maxLength": _SIZE, "pattern": text(), "format": text()}),
    "date": Record(_DAY_OPTIONS),
    "timestamp": Record(_INSTANT_OPTIONS),
    "time": Record(_INSTANT_OPTIONS),
    "integer": Record({**_NUMBER_OPTIONS, "format": text(*_INTEGER_FORMATS)}),
    "number": Record({**_NUMBER_OPTIONS, "format": text("f32", "f64")}),
    "object": Record(
        {"maxProperties": _SIZE, "minProperties": _SIZE, "required": list_of(text(), minimum=1, distinct=True)}
    ),
    "array": Record({"maxItems": _SIZE, "minItems": _SIZE, "uniqueItems": boolean}),
    "boolean": mapping,
}
_ELEMENT: dict[str, Shape] = {
    **_ID,
    **_NOTES,
    **_texts("name physicalType physicalName description businessName"),
    "tags": _TAGS,
    "quality": _QUALITY,
}
_COLUMN: dict[str, Shape] = {
    **_ELEMENT,
    **_texts("classification encryptedName transformLogic transformDescription"),
    **dict.fromkeys(("primaryKey", "required", "unique", "partitioned", "criticalDataElement"), boolean),
    **dict.fromkeys(("primaryKeyPosition", "partitionKeyPosition"), _WHOLE),
    "logicalType": text(*_LOGICAL_TYPES),
    "transformSourceObjects": list_of(text()),
    "examples": list_of(anything),
    "relationships": _COLUMN_LINKS,
}


def _columns(value: Any, place: Place) -> Iterator[ContractError]:
    """The columns of a table or inside a column: columns hold columns."""
    return list_of(_PROPERTY)(value, place)


def _items(value: Any, place: Place) -> Iterator[ContractError]:
    """What an array holds."""
    return _ITEM(value, place)


def _by_type(column: Mapping[str, Any]) -> Record:
    """Options, inner columns and items by logical type. Without a type the standard allows what all types do."""
    logical = column.get("logicalType")
    options = Record() if logical is None else _OPTIONS.get(str(logical), mapping)
    fields: dict[str, Shape] = {"logicalTypeOptions": options}
    if logical in (None, "object"):
        fields["properties"] = _columns
    if logical in (None, "array"):
        fields["items"] = _items
    return Record(fields)


_PROPERTY = Record(_COLUMN, ("name",), _by_type)
_ITEM = Record(_COLUMN, more=_by_type)
_TABLE = Record(
    {
        **_ELEMENT,
        "logicalType": text("object"),
        "dataGranularityDescription": text(),
        "properties": _columns,
        "relationships": _TABLE_LINKS,
    },
    ("name",),
)
DOCUMENT = Record(
    {
        **_NOTES,
        **_texts("version id name tenant status dataProduct domain slaDefaultElement contractCreatedTs"),
        "kind": text("DataContract"),
        "apiVersion": text(API_VERSION, *_EARLIER_VERSIONS),
        "tags": _TAGS,
        "servers": list_of(_SERVER),
        "description": Record({**_NOTES, **_texts("usage purpose limitations")}, is_open=True),
        "schema": list_of(_TABLE),
        "support": list_of(_SUPPORT),
        "price": _PRICE,
        "team": either(list, list_of(_MEMBER), _TEAM),
        "roles": list_of(_ROLE),
        "slaProperties": list_of(_SLA),
    },
    ("version", "apiVersion", "kind", "id", "status"),
)
