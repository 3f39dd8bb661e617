"""The queries of table rules, run by DuckDB over tables with planted faults."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from checks.contracts.rule_sql import latest_rows, literal, table_query, with_relations

HERE = [
    ("s1", "a", 1, "1.1000", True),
    ("s1", "b", 1, "2.2000", True),
    ("s1", "b", 1, "3.3000", False),
    ("s2", "c", 2, "4.4000", True),
    ("s2", None, 2, "5.5000", True),
    ("s2", None, 2, "5.5000", True),
    ("s9", "d", 3, "6.6000", True),
]
THERE = [("s1", "a", 1, "1.1000"), ("s1", "b", 1, "5.5000"), ("s2", "c", 2, "15.3999"), ("s2", "e", 4, "1.0000")]


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE here (store VARCHAR, product VARCHAR, week INT, usd DECIMAL(18,4), flag BOOLEAN)")
    connection.executemany("INSERT INTO here VALUES (?, ?, ?, ?, ?)", HERE)
    connection.execute("CREATE TABLE there (store VARCHAR, product VARCHAR, week INT, usd DECIMAL(18,4))")
    connection.executemany("INSERT INTO there VALUES (?, ?, ?, ?)", THERE)
    return connection


def run(engine: duckdb.DuckDBPyConnection, kind: str, **statistics: Any) -> list[dict[str, Any]]:
    sql = with_relations(table_query(kind, statistics).query, "here", "there")
    found = engine.execute(sql)
    names = [entry[0] for entry in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def failing_rows(found: list[dict[str, Any]]) -> int:
    return sum(row["failing_rows"] for row in found)


def test_unique_counts_every_row_of_a_repeated_key(engine: duckdb.DuckDBPyConnection) -> None:
    found = run(engine, "unique", keys=("store", "product"), where=None)
    oracle = Counter((row[0], row[1]) for row in HERE)
    expected = {key: times for key, times in oracle.items() if times > 1}
    assert {(row["store"], row["product"]): row["failing_rows"] for row in found} == expected
    assert failing_rows(found) == 4


def test_unique_with_a_condition(engine: duckdb.DuckDBPyConnection) -> None:
    found = run(engine, "unique", keys=("store", "product"), where="flag")
    assert [(row["store"], row["product"]) for row in found] == [("s2", None)]


def test_unique_has_a_proof_and_others_have_none() -> None:
    query = table_query("unique", {"keys": ("a", "b"), "where": "c"})
    assert query.proof is not None
    assert "xxhash64(a, b) AS h FROM audited WHERE c)" in query.proof
    assert table_query("row_count", {"minimum": 1, "maximum": None}).proof is None


@pytest.mark.parametrize(
    ("keys", "where", "holds"),
    [
        (("store", "product", "usd"), "product IS NOT NULL", True),
        (("store", "product"), None, False),
        (("store", "product"), "usd < 0", True),
    ],
)
def test_proof_of_a_key(
    engine: duckdb.DuckDBPyConnection, keys: tuple[str, ...], where: str | None, *, holds: bool
) -> None:
    engine.execute(f"CREATE OR REPLACE MACRO xxhash64({', '.join(keys)}) AS hash(concat_ws('|', {', '.join(keys)}))")
    proof = table_query("unique", {"keys": keys, "where": where}).proof
    assert proof is not None
    assert engine.execute(with_relations(proof, "here")).fetchall() == [(holds,)]


def test_foreign_key_lets_nulls_pass(engine: duckdb.DuckDBPyConnection) -> None:
    given = {
        "keys": ("product",),
        "columns": ("product",),
        "other": "x.y",
        "other_columns": ("product",),
        "where": None,
    }
    found = run(engine, "foreign_key", **given)
    known = {row[1] for row in THERE}
    assert [row["product"] for row in found] == [row[1] for row in HERE if row[1] is not None and row[1] not in known]


def test_foreign_key_of_two_columns_with_a_condition(engine: duckdb.DuckDBPyConnection) -> None:
    keys = ("store", "week")
    given = {"keys": keys, "columns": (*keys, "flag"), "other": "x.y", "other_columns": keys, "where": "flag"}
    assert [(row["store"], row["week"]) for row in run(engine, "foreign_key", **given)] == [("s9", 3)]


@pytest.mark.parametrize(
    ("minimum", "maximum", "fails"), [(1, None, 0), (8, None, 1), (None, 6, 1), (7, 7, 0), (None, 7, 0)]
)
def test_row_count(engine: duckdb.DuckDBPyConnection, minimum: int | None, maximum: int | None, fails: int) -> None:
    found = run(engine, "row_count", minimum=minimum, maximum=maximum)
    assert failing_rows(found) == fails
    assert all(row["row_count"] == len(HERE) for row in found)


def test_reconcile_finds_differences_and_missing_groups(engine: duckdb.DuckDBPyConnection) -> None:
    given = {"other": "x.y", "group_by": ("week",), "where": None, "other_where": None, "other_latest": None}
    found = run(engine, "reconcile", measures={"usd": ("sum(usd)", "sum(usd)")}, **given)
    differences = {row["week"]: (row["usd_here"], row["usd_there"]) for row in found}
    assert differences == {
        2: (Decimal("15.4000"), Decimal("15.3999")),
        3: (Decimal("6.6000"), None),
        4: (None, Decimal("1.0000")),
    }
    assert failing_rows(found) == 3


def test_reconcile_with_two_expressions_and_conditions(engine: duckdb.DuckDBPyConnection) -> None:
    given = {
        "other": "x.y",
        "group_by": ("week",),
        "measures": {"n": ("count(*)", "count(*)")},
        "where": "flag AND product IS NOT NULL",
        "other_where": "week < 4",
        "other_latest": None,
    }
    assert [(row["week"], row["n_here"], row["n_there"]) for row in run(engine, "reconcile", **given)] == [(3, 1, None)]


def test_of_the_versions_there_only_the_last_counts(engine: duckdb.DuckDBPyConnection) -> None:
    versions = "(SELECT * FROM (VALUES (1, 1, 5), (1, 2, 7), (2, 1, 4)) v(line, known, units))"
    found = engine.sql(f"SELECT line, units FROM {latest_rows(versions, ['line'], ['known'])} ORDER BY line")
    assert found.fetchall() == [(1, 7), (2, 4)]


def test_reconcile_where_an_absent_group_counts_as_zero(engine: duckdb.DuckDBPyConnection) -> None:
    """Zero equals nothing, any other sum does not, and a null in a group that is there is no zero."""
    given = {"other": "x.y", "group_by": ("week",), "where": None, "other_where": None, "other_latest": None}
    given |= {"absent_is_zero": True}
    found = run(engine, "reconcile", measures={"n": ("sum(usd)", "sum(usd)")}, **given)
    assert {row["week"]: (row["n_here"], row["n_there"]) for row in found} == {
        2: (Decimal("15.4000"), Decimal("15.3999")),
        3: (Decimal("6.6000"), 0),
        4: (0, Decimal("1.0000")),
    }
    nothing = {"n": ("sum(usd) - sum(usd)", "sum(usd) - sum(usd)")}
    assert run(engine, "reconcile", measures=nothing, **given) == []
    null = {"n": ("sum(CAST(NULL AS INT))", "0")}
    assert [row["week"] for row in run(engine, "reconcile", measures=null, **given)] == [1, 2, 3]


def test_unknown_kind_is_an_error() -> None:
    with pytest.raises(KeyError):
        table_query("magic", {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (3, "3"),
        (-1.5, "-1.5"),
        (1.7976931348623157e308, "1.7976931348623157E+308"),
        (Decimal("0.10"), "0.10"),
        ("it's \\ here", "'it\\'s \\\\ here'"),
        (date(2017, 12, 4), "DATE '2017-12-04'"),
        (datetime(2017, 12, 4, 5, tzinfo=UTC), "TIMESTAMP '2017-12-04 05:00:00+00:00'"),
    ],
)
def test_literals(value: Any, text: str) -> None:
    assert literal(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, [1], datetime(2017, 1, 1)])  # noqa: DTZ001
def test_values_without_a_literal(value: Any) -> None:
    with pytest.raises(ValueError, match=r"literal|time zone"):
        literal(value)
