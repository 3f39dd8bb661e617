"""The loader: what it accepts, what it refuses, and that a refusal names file, path and rule."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard

from checks.contracts.loader import FOLDER, ContractError, load_contract, load_contracts, load_event_contracts
from checks.contracts.model import Contract
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from checks.contracts.spark_schema import arrow_schema
from ml.features import feature_table_columns
from ml.lift import LIFT_SCHEMA
from ml.promotion_events import EVENT_SCHEMA
from ml.series import SERIES_SCHEMA
from tests.unit.checks.contracts.odcs_reference import plain_yaml, schema_of_the_package
from tests.unit.checks.contracts.refusals import CUSTOM, REFUSALS, column

Document = dict[str, Any]
Contracts = Mapping[tuple[str, str], Contract]
FILES = sorted(FOLDER.glob("*/*.odcs.yaml"))


# ---------------------------------------------------------------- the real files
def test_every_file_is_a_contract(contracts: Contracts) -> None:
    found = {**contracts, **load_event_contracts()}
    assert {f"{layer}/{name}.odcs.yaml" for layer, name in found} == {
        path.relative_to(FOLDER).as_posix() for path in FILES
    }
    assert all(contract.file == f"{key[0]}/{key[1]}.odcs.yaml" for key, contract in found.items())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_round_trip(path: Path, tmp_path: Path) -> None:
    """Written out by the standard's own package and read again, a contract is the same."""
    copy = tmp_path / path.parent.name / path.name
    copy.parent.mkdir()
    copy.write_text(OpenDataContractStandard.from_file(str(path)).to_yaml(), encoding="utf-8")
    first, second = load_contract(path), load_contract(copy)
    assert dataclasses.replace(first, sha256="") == dataclasses.replace(second, sha256="")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_valid_under_the_schema_of_the_package(path: Path) -> None:
    schema_of_the_package().validate(plain_yaml(path))


def test_references_point_to_ids(contracts: Contracts) -> None:
    """The standard resolves a reference by `id`, so what is referred to must have one."""
    pattern = re.compile(r"to: (\S+)#/schema/(\w+)/properties/(\w+)|- (\S+)#/schema/(\w+)/properties/(\w+)")
    found = 0
    for path in FILES:
        for match in pattern.finditer(path.read_text(encoding="utf-8")):
            file, table, name = [part for part in match.groups() if part is not None]
            target = plain_yaml((path.parent / file).resolve())
            assert target["schema"][0]["id"] == table
            assert column(target, name)["id"] == name
            found += 1
    rules = [rule for contract in contracts.values() for rule in contract.rules if rule.kind == "foreign_key"]
    assert found == sum(len(rule.arguments["keys"]) for rule in rules) > 0


def test_households_are_named_in_bronze_only(contracts: Contracts) -> None:
    for contract in contracts.values():
        if contract.layer != "bronze":
            assert "household_id" not in contract.column_names
            assert all(entry.classification != "pii" for entry in contract.columns)
        for entry in contract.columns:
            expected = {"household_id": "pii", "household_token": "pseudonymous"}.get(entry.name, entry.classification)
            assert entry.classification == expected


def test_tables_that_ml_computes_have_the_columns_of_ml(contracts: Contracts) -> None:
    tables = {
        ("gold", "demand_features"): feature_table_columns(),
        ("gold", "demand_series"): SERIES_SCHEMA,
        ("gold", "promotion_events"): EVENT_SCHEMA,
        ("insights", "promotion_lift"): LIFT_SCHEMA,
    }
    for key, columns in tables.items():
        empty = pl.DataFrame(schema=columns).to_arrow(compat_level=pl.CompatLevel.oldest())
        schema = arrow_schema(contracts[key])
        assert schema.names == empty.schema.names
        assert [str(a).replace("large_", "") for a in empty.schema.types] == [str(a) for a in schema.types]


def test_facts_of_one_contract(contracts: Contracts) -> None:
    contract = contracts["silver", "fct_promotions"]
    assert contract.grain == "One row per product, store, week and kind of promotion."
    assert contract.owner == "team:data-platform"
    assert contract.primary_key == ("week_start_date", "product_id", "store_id", "kind")
    assert contract.week_column == "week_start_date"
    assert contracts["gold", "demand_labels"].week_column == "target_week_start_date"
    assert contracts["silver", "dim_product"].week_column is None
    assert (contract.published_name, contract.audit_name) == ("silver.fct_promotions", "silver_audit.fct_promotions")
    assert contracts["bronze", "promotions"].audit_name == "bronze.promotions"
    assert (contract.freshness.days, contract.freshness.column) == (8, "known_at")
    warnings = {rule.id for rule in contract.all_rules} - {rule.id for rule in contract.blocking_rules}
    assert warnings == {"product_id_in_dim_product", "store_id_in_dim_store"}
    assert {"schema", "primary_key", "kind_enum", "kind_not_null"} <= {rule.id for rule in contract.blocking_rules}


# ---------------------------------------------------------------- what is refused
@pytest.mark.parametrize("case", REFUSALS)
def test_refusal_names_file_path_and_rule(case: str, document: Document, write: Callable[[Document], Path]) -> None:
    change, path, words = REFUSALS[case]
    change(document)
    with pytest.raises(ContractError) as caught:
        load_contract(write(document))
    assert caught.value.file == "bronze/pos_lines.odcs.yaml"
    assert caught.value.path == path
    assert words in caught.value.rule
    assert str(caught.value).startswith("bronze/pos_lines.odcs.yaml: ")


def test_unchanged_document_is_accepted(document: Document, write: Callable[[Document], Path]) -> None:
    """The refusals above come from their change, not from the way the document is written."""
    assert load_contract(write(document)).name == "pos_lines"


def test_schema_evolution_is_for_files_only(document: Document, write: Callable[[Document], Path]) -> None:
    text = yaml.safe_dump(document).replace("bronze.pos_lines", "silver.pos_lines").replace("pii", "personal")
    with pytest.raises(ContractError, match="only a bronze table"):
        load_contract(write(yaml.safe_load(text)))


def test_rules_may_warn_and_have_an_owner(document: Document, write: Callable[[Document], Path]) -> None:
    """Severity and owner for the forms that `required` and `logicalTypeOptions` cannot give them to."""
    owner = [{"property": "owner", "value": "demand-science"}]
    warns = {"severity": "warning", "customProperties": owner}
    nulls = {"metric": "nullValues", "mustBe": 0, **warns}
    length = {**CUSTOM, **warns, "id": "store_id_short", "implementation": {"kind": "length", "maxLength": 9}}
    column(document, "store_id").update(required=False, quality=[nulls, length])
    contract = load_contract(write(document))
    rules = {rule.id: rule for rule in contract.all_rules}
    assert rules["store_id_not_null"].arguments == {"expression": "store_id IS NOT NULL"}
    assert rules["store_id_short"].arguments == {"minimum": None, "maximum": 9}
    for name in ("store_id_not_null", "store_id_short"):
        assert (rules[name].severity, contract.owner_of(rules[name])) == ("warn", "team:demand-science")
    assert contract.owner_of(rules["row_count"]) == "team:data-platform"
    plan = compile_plan(to_pandera(contract))
    planned = {rule.id: (rule.kind, rule.severity, rule.predicate) for rule in plan.row_rules}
    assert planned["store_id_not_null"] == ("not_null", "warn", "coalesce(store_id IS NOT NULL, true)")
    assert planned["store_id_short"] == ("length", "warn", "coalesce(length(store_id) <= 9, true)")
    assert to_pandera(contract).metadata["owners"]["store_id_short"] == "team:demand-science"
    assert to_pandera(contract).columns["store_id"].nullable


def test_pii_outside_bronze_is_refused(write: Callable[[Document], Path]) -> None:
    text = (FOLDER / "silver" / "dim_household.odcs.yaml").read_text(encoding="utf-8")
    with pytest.raises(ContractError, match="pii stays in bronze"):
        load_contract(write(yaml.safe_load(text.replace("pseudonymous", "pii"))))


@pytest.mark.parametrize(
    ("text", "words"),
    [("id: a\nid: b\n", "the key 'id' stands twice"), ("- 1\n", "must be a mapping"), ("a: [", "is not valid YAML")],
)
def test_bad_yaml(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bronze" / "x.odcs.yaml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ContractError, match=words):
        load_contract(path)


def test_misplaced_file(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"<layer>/<name>\.odcs\.yaml"):
        load_contract(tmp_path / "copper" / "x.odcs.yaml")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"holds no <layer>/<name>"):
        load_contracts(tmp_path)


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("../silver/dim_nothing.odcs.yaml#/schema/dim_nothing/properties/store_id", "silver.dim_nothing, which has no"),
        ("pos_lines.odcs.yaml#/schema/pos_lines/properties/nothing", "bronze.pos_lines.nothing, no such column"),
        ("pos_lines.odcs.yaml#/schema/pos_lines/properties/quantity_units", "differ in type"),
    ],
)
def test_reference_to_nowhere(
    document: Document, write: Callable[[Document], Path], tmp_path: Path, to: str, words: str
) -> None:
    column(document, "store_id")["relationships"] = [{"to": to}]
    write(document)
    with pytest.raises(ContractError, match=words):
        load_contracts(tmp_path)


def test_reconciliation_with_an_unknown_column(
    document: Document, write: Callable[[Document], Path], tmp_path: Path
) -> None:
    implementation = {
        "kind": "reconcile",
        "other": "bronze.pos_lines",
        "group_by": ["store_id"],
        "measures": {"units": ["sum(quantity_units)", "sum(pieces)"]},
    }
    entry = {"id": "x", "type": "custom", "engine": "liftlake", "implementation": implementation}
    document["schema"][0]["quality"].append(entry)
    write(document)
    with pytest.raises(ContractError, match=r"bronze\.pos_lines: 'pieces' is no column"):
        load_contracts(tmp_path)


def test_content_hash_follows_the_file(document: Document, write: Callable[[Document], Path]) -> None:
    first = load_contract(write(document))
    document["schema"][0]["description"] += " More."
    assert load_contract(write(document)).sha256 != first.sha256
