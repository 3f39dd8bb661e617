"""The audit on a real Spark server: planted faults of every kind, exactly those rows counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

import pytest
from pyspark.sql import SparkSession

from checks.contracts.model import RULE_KINDS, Contract
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.spark_schema import create_table_sql
from resources import validation
from resources.validation import MASK, Verdict, audit, with_broken_rules
from tests.integration.planted import (
    BAD_TOKEN,
    CENT,
    CONTRACTS,
    GOOD_LINES,
    LINES,
    PLANTED,
    PROMOTIONS,
    TOKEN,
    WEEKS,
    line,
    plan_of,
    promotion,
    view,
)

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def references(spark: SparkSession) -> Iterator[Mapping[str, str]]:
    """What the published tables hold that foreign keys point to."""
    weeks = " UNION ALL ".join(f"SELECT DATE'{week}' AS week_start_date" for week in WEEKS)
    tables = {
        "silver.dim_date": weeks,
        "silver.dim_product": "SELECT explode(array('p1', 'p2')) AS product_id",
        "silver.dim_store": "SELECT explode(array('s1', 's2')) AS store_id",
        "silver.dim_household": f"SELECT '{TOKEN}' AS household_token",
        "models.demand_models": "SELECT 'abc' AS model_version",
        "gold.demand_series": "SELECT 's1' AS store_id, 'TEAS' AS product_group",
        # Every line in one version, also where a test plants a line twice.
        "bronze.pos_lines": "SELECT * EXCEPT (transaction_id), 'sale' AS line_kind, 1L AS row_hash, "
        "CAST(monotonically_increasing_id() AS STRING) AS transaction_id FROM vt_lines",
    }
    yield {name: f"({query})" for name, query in tables.items()}
    spark.catalog.dropTempView("vt_lines")


def failing(verdict: Verdict) -> dict[str, int]:
    return {result.rule_id: result.failing_rows for result in verdict.failures}


@pytest.mark.parametrize("case", PLANTED)
def test_planted_rows_are_counted_exactly(spark: SparkSession, references: Mapping[str, str], case: str) -> None:
    contract, good, bad, expected = PLANTED[case]
    relation = view(spark, "vt_audited", contract, [*good, *bad])
    view(spark, "vt_lines", LINES, [*good, *bad] if contract is LINES else GOOD_LINES)
    verdict = audit(spark, relation, plan_of(contract), references=references)
    assert failing(verdict) == expected
    assert verdict.row_count == len(good) + len(bad)
    assert {result.rule_id for result in verdict.results} == {rule.id for rule in contract.all_rules}
    severities = {result.severity for result in verdict.failures}
    assert verdict.passed == ("error" not in severities)


CLEAN = {contract.published_name: (contract, good) for contract, good, _, _ in PLANTED.values() if len(good) > 1}


@pytest.mark.parametrize("name", CLEAN)
def test_good_rows_pass(spark: SparkSession, references: Mapping[str, str], name: str) -> None:
    """What the planted cases count comes from the planted rows."""
    contract, good = CLEAN[name]
    view(spark, "vt_lines", LINES, GOOD_LINES)
    verdict = audit(spark, view(spark, "vt_audited", contract, good), plan_of(contract), references=references)
    assert (verdict.passed, verdict.failures) == (True, ())


def test_a_large_table_is_proved_by_hashes_first(
    spark: SparkSession, references: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short cut gives the same counts: a proof that holds settles the rule, one that does not settles nothing."""
    monkeypatch.setattr(validation, "PROOF_FROM_ROWS", 0)
    good = [promotion(1), promotion(2)]
    plan = plan_of(PROMOTIONS)
    assert audit(spark, view(spark, "vt_audited", PROMOTIONS, good), plan, references=references).failures == ()
    relation = view(spark, "vt_audited", PROMOTIONS, [*good, promotion(2), promotion(2)])
    assert failing(audit(spark, relation, plan, references=references)) == {"primary_key": 3}


def test_planted_faults_cover_every_kind() -> None:
    found = {
        rule.kind for contract, _, _, expected in PLANTED.values() for rule in contract.all_rules if rule.id in expected
    }
    assert found | {"schema", "reconcile"} == set(RULE_KINDS)


def test_reconciliation_finds_a_cent_and_a_lost_week(spark: SparkSession, references: Mapping[str, str]) -> None:
    relation = view(spark, "vt_audited", LINES, GOOD_LINES)
    cent_more = {**GOOD_LINES[1], "sales_amount_usd": GOOD_LINES[1]["sales_amount_usd"] + CENT}
    view(spark, "vt_lines", LINES, [*GOOD_LINES[:1], cent_more, *GOOD_LINES[2:]])
    verdict = audit(spark, relation, plan_of(LINES), references=references)
    assert failing(verdict) == {"weekly_totals_reconcile": 1}
    (example,) = verdict.failures[0].example
    assert example["week_start_date"] == str(WEEKS[1])
    assert Decimal(example["sales_amount_usd_there"]) - Decimal(example["sales_amount_usd_here"]) == CENT

    lost = [line(30, week_start_date=date(2017, 12, 4))]
    view(spark, "vt_lines", LINES, [*GOOD_LINES, *lost])
    assert failing(audit(spark, relation, plan_of(LINES), references=references)) == {"weekly_totals_reconcile": 1}


def test_reconciliation_is_limited_to_the_weeks_under_audit(spark: SparkSession, references: Mapping[str, str]) -> None:
    relation = view(spark, "vt_audited", LINES, [row for row in GOOD_LINES if row["week_start_date"] == WEEKS[0]])
    view(spark, "vt_lines", LINES, GOOD_LINES)
    plan = plan_of(LINES)
    assert failing(audit(spark, relation, plan, references=references)) == {"weekly_totals_reconcile": 1}
    verdict = audit(spark, relation, plan, references=references, weeks=(WEEKS[0], WEEKS[0]))
    assert verdict.passed
    lost = audit(spark, relation, plan, references=references, weeks=(WEEKS[0], WEEKS[1]))
    assert failing(lost) == {"weekly_totals_reconcile": 1}


def test_a_key_without_the_week_is_proved_over_all_weeks(spark: SparkSession, references: Mapping[str, str]) -> None:
    rows = [*GOOD_LINES, line(1, transaction_id="t0"), line(3, store_id=None)]
    rows[-2]["product_id"] = "p1"
    relation = view(spark, "vt_audited", LINES, rows)
    view(spark, "vt_lines", LINES, rows)
    verdict = audit(spark, relation, plan_of(LINES), references=references, weeks=(WEEKS[0], WEEKS[0]))
    # t0 stands in both weeks; the missing store is in the week that is not under audit, its doubled key is not.
    assert failing(verdict) == {"primary_key": 4}
    assert verdict.row_count == 7


CHANGES: dict[str, tuple[str, set[str], list[dict[str, str]]]] = {
    "missing": (
        "SELECT * EXCEPT (location) FROM vt_good",
        {"location_not_null", "location_length"},
        [{"column": "location", "expected": "STRING", "found": "missing"}],
    ),
    "extra": (
        "SELECT *, 1 AS surprise FROM vt_good",
        set(),
        [{"column": "surprise", "expected": "no such column", "found": "INT"}],
    ),
    "renamed by case": (
        "SELECT * EXCEPT (location), location AS Location FROM vt_good",
        {"location_not_null", "location_length"},
        [
            {"column": "location", "expected": "STRING", "found": "missing"},
            {"column": "Location", "expected": "no such column", "found": "STRING"},
        ],
    ),
    "type": (
        "SELECT * REPLACE (CAST(location_count AS INT) AS location_count) FROM vt_good",
        {"location_count_not_null", "location_count_range"},
        [{"column": "location_count", "expected": "BIGINT", "found": "INT"}],
    ),
    "order": (
        "SELECT known_at, event_at, * EXCEPT (event_at, known_at) FROM vt_good",
        set(),
        [{"column": "week_start_date", "expected": "position 0", "found": "position 2"}],
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_schema_differences_are_named(spark: SparkSession, references: Mapping[str, str], case: str) -> None:
    query, not_run, problems = CHANGES[case]
    if "EXCEPT" in query or "REPLACE" in query:
        query = _expanded(query)
    view(spark, "vt_good", PROMOTIONS, [promotion(1), promotion(2)])
    verdict = audit(spark, f"({query})", plan_of(PROMOTIONS), references=references)
    (schema,) = [result for result in verdict.results if result.rule_id == "schema"]
    assert schema.outcome == "failed"
    assert schema.example[: len(problems)] == problems
    assert {result.rule_id for result in verdict.results if result.outcome == "not_run"} == not_run
    assert not verdict.passed


def _expanded(query: str) -> str:
    """Spark's `EXCEPT` is there, `REPLACE` is not: write the columns out."""
    names = list(PROMOTIONS.column_names)
    if "REPLACE" in query:
        return (
            "SELECT "
            + ", ".join(
                "CAST(location_count AS INT) AS location_count" if name == "location_count" else name for name in names
            )
            + " FROM vt_good"
        )
    return query


def test_examples_are_few_and_masked(spark: SparkSession, references: Mapping[str, str]) -> None:
    rows = [*GOOD_LINES, *(line(20 + n, household_token=f"{BAD_TOKEN}{n}", store_id="") for n in range(9))]
    relation = view(spark, "vt_audited", LINES, rows)
    view(spark, "vt_lines", LINES, rows)
    verdict = audit(spark, relation, plan_of(LINES), references=references)
    results = {result.rule_id: result for result in verdict.failures}
    masked = results["household_token_pattern"]
    assert (masked.failing_rows, len(masked.example)) == (9, 5)
    assert all(row["household_token"] == MASK and row["transaction_id"].startswith("t2") for row in masked.example)
    assert all(row["household_token"] == MASK for row in results["household_token_in_dim_household"].example)
    assert results["store_id_length"].example[0]["store_id"] == ""
    assert BAD_TOKEN not in repr(verdict)


def test_pandera_itself_agrees(
    spark: SparkSession, references: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pandera's own validation of the same schema fails exactly the same row rules, one Spark action each."""
    monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")  # Pandera uses pyspark's functions, which ask for it
    bad = [
        promotion(3, kind="poster"),
        promotion(4, location=""),
        promotion(5, location_count=0),
        promotion(6, week_start_date=date(1999, 1, 4)),
    ]
    relation = view(spark, "vt_audited", PROMOTIONS, [promotion(1), promotion(2), *bad])
    schema = to_pandera(PROMOTIONS)
    schema.checks = [check for check in schema.checks if check.statistics["kind"] == "row_count"]
    errors = schema.validate(spark.table(relation)).pandera.errors
    found = {entry["check"] for entries in errors["DATA"].values() for entry in entries}
    verdict = audit(spark, relation, plan_of(PROMOTIONS), references=references)
    expected = {result.rule_id for result in verdict.failures if result.severity == "error"}
    assert found == expected == {"kind_enum", "location_length", "location_count_range", "week_start_date_range"}


def test_versions_of_a_delta_table(spark: SparkSession, references: Mapping[str, str]) -> None:
    """A table made from the contract holds the contract's schema, and an older version stays as it was."""
    spark.sql("CREATE SCHEMA IF NOT EXISTS validation_test")
    name = "validation_test.promotions"
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.sql(create_table_sql(PROMOTIONS, name))
    for rows in ([promotion(1), promotion(2)], [promotion(1, kind="poster")]):
        spark.sql(f"INSERT INTO {name} SELECT * FROM {view(spark, 'vt_rows', PROMOTIONS, rows)}")
    plan = plan_of(PROMOTIONS)
    assert audit(spark, f"{name} VERSION AS OF 1", plan, references=references).passed
    assert failing(audit(spark, f"{name} VERSION AS OF 2", plan, references=references)) == {"kind_enum": 1}
    weekly = audit(spark, f"{name} VERSION AS OF 2", plan, references=references, weeks=(WEEKS[1], WEEKS[1]))
    assert (weekly.row_count, failing(weekly)) == (0, {"row_count": 1})


def test_batch_is_split_by_its_blocking_row_rules(spark: SparkSession) -> None:
    contract = CONTRACTS["bronze", "pos_lines"]
    common = {"source": "s", "batch_id": "b", "household_id": "h", "row_hash": 1, "line_kind": "sale"}
    rows = [
        line(0, **common),
        line(1, **common, store_id=None, sales_amount_usd=-CENT),
        line(2, **common, is_zero_quantity=True),
        line(3, **common, quantity_units=Decimal(0), is_zero_quantity=True),
    ]
    names = set(contract.column_names)
    relation = view(spark, "vt_batch", contract, [{k: v for k, v in row.items() if k in names} for row in rows])
    frame = with_broken_rules(spark.table(relation), plan_of(contract))
    assert frame.columns == [*contract.column_names, "_broken_rules"]
    broken = {row["transaction_id"]: sorted(row["_broken_rules"]) for row in frame.collect()}
    # t3 breaks quantity_for_sales, which only warns: a warning never sends a row to quarantine.
    assert broken == {
        "t0": [],
        "t1": ["sales_amount_usd_range", "store_id_not_null"],
        "t2": ["zero_quantity_flag"],
        "t3": [],
    }


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.published_name)
def test_every_plan_is_valid_sql(spark: SparkSession, contract: Contract) -> None:
    """Every predicate and query of every contract is analysed and run by Spark, on empty tables of the right types."""
    plan = plan_of(contract)
    relation = view(spark, "vt_empty", contract, [])
    others: dict[str, str] = {}
    for name in plan.references:
        layer, _, table = name.partition(".")
        others[name] = view(spark, f"vt_empty_{layer}_{table}", CONTRACTS[layer, table], [])
    verdict = audit(spark, relation, plan, references=others)
    has_row_count = any(rule.kind == "row_count" for rule in contract.all_rules)
    assert failing(verdict) == ({"row_count": 1} if has_row_count else {})
    assert with_broken_rules(spark.table(relation), plan).count() == 0
