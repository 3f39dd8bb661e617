"""How use travels: by name, SQL alias, declared source and whole reads; and that nothing is lost on the way."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from checks.contracts.changes import Change, breaking
from checks.contracts.impact import Consumer, changed_columns, impact, rules_that_read, sql_derivations, words_of
from checks.contracts.model import Column, Contract, Freshness, Rule

SQL = (
    "SELECT store, SUM(units) AS pieces, COUNT(DISTINCT basket) AS trips FROM silver.lines WHERE is_open GROUP BY store"
)


def consumer(table: str, columns: str, reads: str, code: str = "", **more: object) -> Consumer:
    names = {key: frozenset(str(value).split()) for key, value in more.items() if key in ("whole", "unseen")}
    rest = {key: value for key, value in more.items() if key not in names}
    given: dict[str, Any] = {"key": (), "words": words_of(code), "derived": sql_derivations(code), **names, **rest}
    return Consumer(table=table, columns=tuple(columns.split()), reads=tuple(reads.split()), **given)


SERIES = consumer("gold.series", "store pieces trips", "silver.lines", SQL)
FEATURES = consumer(
    "gold.features",
    "pieces_mean trips_mean",
    "gold.series",
    whole="gold.series",
    derived={"pieces_mean": frozenset({"pieces"}), "trips_mean": frozenset({"trips"})},
)
MODEL = consumer("models.model", "version", "gold.features", whole="gold.features")
GRAPH = (SERIES, FEATURES, MODEL)


def told(changed: dict[str, set[str]], graph: tuple[Consumer, ...] = GRAPH) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {use.table: (use.certainty, use.columns) for use in impact(changed, graph)}


def test_a_column_is_followed_by_alias_and_declared_source_down_to_the_model() -> None:
    assert told({"silver.lines": {"units"}}) == {
        "gold.series": ("uses", ("pieces",)),
        "gold.features": ("uses", ("pieces_mean",)),
        "models.model": ("uses", ("version",)),
    }


def test_a_column_that_explicit_sql_does_not_name_reaches_nobody() -> None:
    assert told({"silver.lines": {"coupon"}}) == {}


def test_a_condition_hits_every_column() -> None:
    assert told({"silver.lines": {"is_open"}})["gold.series"] == ("uses", ("store", "pieces", "trips"))


def test_a_key_column_hits_every_column() -> None:
    keyed = consumer("gold.series", "store pieces trips", "silver.lines", SQL, key=("store",))
    assert told({"silver.lines": {"store"}}, (keyed,))["gold.series"] == ("uses", ("store", "pieces", "trips"))


def test_a_table_below_that_uses_no_hit_column_may_use_it() -> None:
    below = consumer("gold.other", "n", "gold.series", "SELECT COUNT(trips) AS n FROM gold.series")
    found = told({"silver.lines": {"units"}}, (*GRAPH, below))
    assert found["gold.other"] == ("may use", ())


def test_a_projection_hands_on_what_it_names_and_nothing_else() -> None:
    staged = consumer("stage", "units coupon", "silver.lines", "SELECT units, coupon FROM x", is_projection=True)
    staged = Consumer(**{**vars(staged), "is_shown": False})
    series = consumer("gold.series", "pieces", "stage", "SELECT SUM(units) AS pieces FROM stage")
    assert told({"silver.lines": {"coupon"}}, (staged, series)) == {}
    assert told({"silver.lines": {"units"}}, (staged, series)) == {"gold.series": ("uses", ("pieces",))}


def test_code_that_names_no_table_may_use_anything() -> None:
    aside = consumer("bronze.ledger", "n", "silver.lines", unseen="silver.lines")
    below = consumer("insights.report", "text", "bronze.ledger", whole="bronze.ledger")
    assert told({"silver.lines": {"units"}}, (aside, below)) == {
        "bronze.ledger": ("may use", ()),
        "insights.report": ("may use", ()),
    }


def test_a_circle_ends() -> None:
    one, two = consumer("a.a", "x", "b.b", "x"), consumer("b.b", "x", "a.a c.c", "x")
    assert set(told({"c.c": {"x"}}, (one, two))) == {"a.a", "b.b"}


def test_derivations_follow_names_through_the_query_and_know_types_from_aliases() -> None:
    sql = """
    with sums as (select store, cast(sum(units) as decimal(18,4)) as total, max(a, b) as top from lines group by store)
    select store, total * price as value, top from sums as s
    """
    found = sql_derivations(sql)
    assert {"sum", "units", "total", "price"} <= found["value"]
    assert "units" not in found["top"]
    assert {"a", "b"} <= found["top"]
    assert "decimal" not in found


def test_which_columns_a_change_is_about() -> None:
    contract = Contract(
        layer="silver",
        name="lines",
        version="1.0.0",
        description="One row per line. x.",
        owner="team:data-platform",
        columns=tuple(Column(name, "INT", "x", is_nullable=False) for name in ("units", "store")),
        primary_key=(),
        rules=(),
        freshness=Freshness(1, None),
        tags=(),
        file="silver/lines.odcs.yaml",
        sha256="",
    )
    old = {contract.key: contract}
    changes = [
        breaking("silver.lines", "column_removed", "x", "readers", columns=["units"]),
        breaking("silver.lines", "version_not_raised", "x", "readers"),
        Change("silver.lines", "description_changed", "x", columns=("store",)),
        Change("silver.fresh", "table_added", "x", "additive"),
    ]
    assert changed_columns(changes, old) == {"silver.lines": {"units"}}
    late = breaking("silver.lines", "sla_loosened", "x", "readers")
    assert changed_columns([late], old) == {"silver.lines": {"units", "store"}}
    given = {"other": "silver.lines", "group_by": ("store",), "measures": {"u": ("sum(n)", "sum(units)")}}
    reader = Contract(**{**vars(contract), "name": "totals", "rules": (Rule("r", "reconcile", "error", (), given),)})
    assert rules_that_read({"silver.lines": {"units"}}, {reader.key: reader}) == (("silver.totals", "r"),)
    assert rules_that_read({"silver.lines": {"price"}}, {reader.key: reader}) == ()


NAMES = ["a", "b", "c"]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Consumer, ...]:
    """Tables t1..t5 over t0, each with columns of a, b, c and code that names some of them or reads everything."""
    found = []
    for index in range(1, 6):
        reads = draw(st.lists(st.integers(0, index - 1), min_size=1, unique=True))
        words = draw(st.sets(st.sampled_from(NAMES)))
        tables = [f"t{number}" for number in reads]
        whole = [table for table in tables if draw(st.booleans())]
        found.append(Consumer(f"t{index}", tuple(NAMES), (), tuple(tables), frozenset(words), frozenset(whole)))
    return tuple(found)


@given(graphs(), st.sets(st.sampled_from(NAMES), min_size=1))
def test_everything_below_a_table_that_uses_the_column_is_told(graph: tuple[Consumer, ...], columns: set[str]) -> None:
    found = told({"t0": columns}, graph)
    for item in graph:
        direct = "t0" in item.reads and bool("t0" in item.whole or columns & item.words)
        assert not direct or found[item.table][0] == "uses"
        assert item.table in found or not any(table in found for table in item.reads)


@given(graphs(), st.sets(st.sampled_from(NAMES), min_size=1), st.sets(st.sampled_from(NAMES)))
def test_more_changed_columns_never_reach_less(graph: tuple[Consumer, ...], some: set[str], more: set[str]) -> None:
    assert set(told({"t0": some}, graph)) <= set(told({"t0": some | more}, graph))
