"""Any ODCS document: every part of it is emitted or refused with a reason, and what is emitted compiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from checks.contracts.coverage import KINDS, Coverage, read_coverage
from checks.contracts.foreign_types import spark_type
from checks.contracts.loader import FOLDER
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.place import ContractError, Place
from checks.contracts.plan import compile_plan
from checks.contracts.spark_schema import arrow_schema, create_table_sql
from tests.unit.checks.contracts.odcs_reference import example_files, plain_yaml

# kind -> (emitted, unsupported) over the 17 published examples
TOTALS = {
    "table": (13, 3),
    "key": (1, 6),
    "column": (31, 6),
    "option": (11, 17),
    "relationship": (2, 1),
    "quality": (3, 4),
    "sla": (0, 16),
}


def columns_in(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every column below a table or column, those inside columns and arrays included."""
    for column in node.get("properties", []):
        yield column
        yield from columns_in(column)
    if "items" in node:
        yield from columns_in(node["items"])


def parts_of(path: Path) -> Counter[str]:
    """The parts of a document, counted on the plain YAML."""
    document = plain_yaml(path)
    tables = document.get("schema", [])
    columns = [column for table in tables for column in columns_in(table)]
    entries = [*tables, *columns]
    return Counter(
        table=len(tables),
        key=sum(any(column.get("primaryKey") for column in table.get("properties", [])) for table in tables),
        column=len(columns),
        option=sum(len(column.get("logicalTypeOptions", {})) for column in columns),
        relationship=sum(len(entry.get("relationships", [])) for entry in entries),
        quality=sum(len(entry.get("quality", [])) for entry in entries),
        sla=len(document.get("slaProperties", [])),
    )


def examples() -> list[tuple[Path, Coverage]]:
    return [(path, read_coverage(path)) for path in example_files()]


def test_every_part_of_every_published_example_is_accounted_for() -> None:
    found = examples()
    assert len(found) == 17
    for path, coverage in found:
        counts = {kind: sum(numbers.values()) for kind, numbers in coverage.counts().items()}
        parts = parts_of(path)
        assert counts == {kind: parts[kind] for kind in KINDS}, path.name
        paths = [(item.kind, item.path) for item in coverage.items]
        assert len(paths) == len(set(paths))
        assert all(item.text for item in coverage.items)


def test_totals_over_the_published_examples() -> None:
    totals = dict.fromkeys(KINDS, (0, 0))
    for _, coverage in examples():
        for kind, numbers in coverage.counts().items():
            totals[kind] = (totals[kind][0] + numbers["emitted"], totals[kind][1] + numbers["unsupported"])
    assert totals == TOTALS


def test_what_is_emitted_compiles_to_every_engine() -> None:
    """A part may only count as emitted when the schemas and the plan that follow from the contract hold it."""
    for path, coverage in examples():
        emitted = Counter(item.kind for item in coverage.items if item.is_emitted)
        plans = [compile_plan(to_pandera(contract)) for contract in coverage.contracts]
        assert len(plans) == emitted["table"], path.name
        assert sum(len(plan.columns) for plan in plans) == emitted["column"]
        assert sum(bool(plan.key) for plan in plans) == emitted["key"]
        planned = [rule.id for plan in plans for rule in (*plan.row_rules, *plan.table_rules)]
        for item in coverage.items:
            if item.is_emitted and item.kind in ("option", "relationship", "quality"):
                assert item.text.split()[1] in planned, item
        for contract in coverage.contracts:
            assert create_table_sql(contract).count("COMMENT") == len(contract.columns) + 1
            assert arrow_schema(contract).names == list(contract.column_names)


def test_some_parts_and_their_reasons() -> None:
    items = {(path.name, item.path): item for path, coverage in examples() for item in coverage.items}

    def text(file: str, path: str) -> str:
        return items[f"{file}.odcs.yaml", path].text

    full = "schema[0].properties[2].quality[0]"
    assert text("full-example", full) == "rule rcvr_cntry_code_not_null (not_null, error)"
    assert "dimension" in items["full-example.odcs.yaml", full].ignored
    assert text("full-example", "schema[0].quality[0]") == "rule row_count (row_count, error)"
    assert text("full-example", "schema[0].relationships[0]").startswith("rule rcvr_id_rcvr_cntry_code_in_receivers")
    assert "'receiver_types.type_code' is no emitted column" in text(
        "full-example", "schema[1].properties[3].relationships[0]"
    )
    assert (
        text("full-example", "slaProperties[4]")
        == "'retention' is not checked here; what is checked is freshness and frequency"
    )
    assert text("full-example", "schema[0].properties[1]") == "STRING"
    assert text("column-custom", "schema[0].properties[0].quality[0]") == "engine: must be 'liftlake', not 'soda'"
    assert text("column-accuracy", "schema[0].properties[0].quality[0]").startswith("'sql' is not supported here")
    assert text("column-validity", "schema[0].properties[0].quality[0]").startswith("unit: counts in 'percent'")
    assert text("all-data-types", "schema[0].properties[4]") == "logicalType: there is no column type for 'time'"
    assert text("all-data-types", "schema[0].properties[6].logicalTypeOptions.minimum") == "rule age_range"
    assert "stands inside the column 'x'" in text("all-schema-types", "schema[2].properties[0].items.properties[1]")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/*.odcs.yaml")), ids=lambda path: path.stem)
def test_our_own_contracts_are_emitted_but_for_references_to_other_files(path: Path) -> None:
    coverage = read_coverage(path)
    refused = {item.kind for item in coverage.items if not item.is_emitted}
    assert refused <= {"relationship"}, [item for item in coverage.items if not item.is_emitted]


def written(tmp_path: Path, **changes: Any) -> Coverage:
    table = {
        "name": "sales",
        "properties": [
            {"name": "sold_at", "logicalType": "timestamp", "required": True},
            {"name": "units", "physicalType": "numeric(9,2)", "logicalTypeOptions": {}},
            *changes.pop("columns", []),
        ],
        "quality": changes.pop("quality", []),
    }
    base = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "x", "version": "1", "status": "draft"}
    path = tmp_path / "x.odcs.yaml"
    path.write_text(yaml.safe_dump({**base, "schema": [table], **changes}), encoding="utf-8")
    return read_coverage(path)


def test_a_freshness_that_can_be_checked_is_emitted(tmp_path: Path) -> None:
    level = {"property": "freshness", "value": 36, "unit": "h", "element": "sales.sold_at"}
    found = written(tmp_path, slaProperties=[level, {**level, "element": "other.x"}, {**level, "unit": "y"}])
    assert found.counts()["sla"] == {"emitted": 1, "unsupported": 2}
    assert found.contracts[0].freshness.days == 1.5


def test_rules_of_one_id_and_nameless_units_are_told(tmp_path: Path) -> None:
    count = {"metric": "rowCount", "mustBeGreaterThan": 0}
    found = written(tmp_path, quality=[count, count, {**count, "id": "more", "unit": "rows"}])
    assert [item.is_emitted for item in found.items if item.kind == "quality"] == [True, False, True]
    assert "give this one an id" in next(item.text for item in found.items if not item.is_emitted)


def test_bounds_that_exclude_each_other_are_not_both_emitted(tmp_path: Path) -> None:
    bounds = {"minimum": 1, "exclusiveMinimum": 0, "maximum": -1}
    found = written(tmp_path, columns=[{"name": "a", "logicalType": "integer", "logicalTypeOptions": bounds}])
    assert found.counts()["option"] == {"emitted": 1, "unsupported": 2}


def test_a_relationship_between_two_types_is_not_emitted(tmp_path: Path) -> None:
    links = [{"to": "sales.units"}, {"to": "sales.sold_at"}]
    found = written(tmp_path, columns=[{"name": "a", "logicalType": "timestamp", "relationships": links}])
    assert [item.text for item in found.items if item.kind == "relationship"] == [
        "a and sales.units differ in type",
        "rule a_in_sales (foreign_key, error)",
    ]


def test_what_is_read_by_nobody_is_listed(tmp_path: Path) -> None:
    found = written(tmp_path, price={"priceAmount": 1}, columns=[{"name": "a", "physicalType": "text", "tags": ["t"]}])
    assert found.ignored == ("price",)
    assert {item.path: item.ignored for item in found.items if item.ignored} == {"schema[0].properties[2]": ("tags",)}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ({"physicalType": "varchar(18)", "logicalType": "string"}, "STRING"),
        ({"physicalType": "int", "logicalType": "number"}, "INT"),
        ({"physicalType": "float(3,2)"}, "DOUBLE"),
        ({"physicalType": "NUMERIC(9, 2)"}, "DECIMAL(9,2)"),
        ({"physicalType": "decimal"}, "DECIMAL(10,0)"),
        ({"physicalType": "jsonb", "logicalType": "string"}, "STRING"),
        ({"logicalType": "array", "items": {"logicalType": "string"}}, "ARRAY<STRING>"),
    ],
)
def test_types_of_others(column: dict[str, Any], expected: str) -> None:
    assert spark_type(column, Place("x")) == expected


@pytest.mark.parametrize(
    "column",
    [
        {"logicalType": "time"},
        {"logicalType": "object"},
        {"logicalType": "array"},
        {"physicalType": "geography"},
        {},
        {"logicalType": "date", "physicalType": "varchar(10)"},
    ],
)
def test_types_that_have_no_column(column: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        spark_type(column, Place("x"))
