"""The rules by which a table is behind, each on a graph of three or four tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from assets.automation.plan import Node, State, Work, as_runs, plan, reached
from resources.commits import Provenance
from resources.spans import as_texts, between, in_order

FIRST, LAST = date(2017, 1, 2), date(2017, 2, 27)
CUTOFF = date(2017, 2, 13)
COVERED, CLOSED = between(FIRST, LAST), between(FIRST, CUTOFF)
EVENTS, LINES, SERIES, MODEL = ("bronze", "events"), ("silver", "lines"), ("gold", "series"), ("models", "model")
NODES = [
    Node(EVENTS, (), "e1"),
    Node(LINES, (EVENTS,), "l1", wanted=COVERED),
    Node(SERIES, (LINES,), "s1", wanted=CLOSED, read_through={LINES: 0}),
    Node(MODEL, (SERIES,), "m1"),
]


def settled(**changes: object) -> State:
    """A lake in which nothing is behind, with some facts changed."""
    facts: dict = {
        "made_from": {
            LINES: Provenance("l1", {"bronze.events": "4"}, LAST.isoformat()),
            SERIES: Provenance("s1", {"silver.lines": "2"}, CUTOFF.isoformat()),
            MODEL: Provenance("m1", {"gold.series": "7"}),
        },
        "tokens": {EVENTS: "4", LINES: "2", SERIES: "7", MODEL: "1"},
        "arrived": {},
    }
    return State(**{**facts, **changes})


def test_a_settled_lake_needs_nothing():
    assert plan(NODES, settled()) == []


def test_an_empty_lake_needs_everything_upstream_first():
    work = plan(NODES, State({}, {}, {EVENTS: ["a.parquet"]}))
    assert [item.key for item in work] == [EVENTS, LINES, SERIES, MODEL]
    assert work[0].reason == "arrived: a.parquet"
    assert work[1].weeks == COVERED
    assert work[2].weeks == CLOSED
    assert work[3].weeks is None


def test_changed_code_rebuilds_all_weeks_and_what_follows():
    made_from = {**settled().made_from, SERIES: Provenance("old", {"silver.lines": "2"}, CUTOFF.isoformat())}
    work = plan(NODES, settled(made_from=made_from))
    assert [(item.key, item.weeks) for item in work] == [(SERIES, CLOSED), (MODEL, None)]
    assert "changed" in work[0].reason


def test_a_change_of_what_is_read_ahead_touches_the_weeks_before_it():
    """A plan for a target week is an input of the features of the cutoffs up to four weeks before it."""
    late, features = date(2017, 2, 6), ("gold", "features")
    ahead = Node(features, (SERIES,), "y1", CLOSED, read_through={SERIES: 4})
    made_from = {**settled().made_from, features: Provenance("y1", {"gold.series": "7"}, CUTOFF.isoformat())}
    tokens = {EVENTS: "4", LINES: "3", SERIES: "7", MODEL: "1", features: "1"}
    state = settled(made_from=made_from, tokens=tokens, changed_weeks={(LINES, "2"): (late,)})
    work = {item.key: item.weeks for item in plan([*NODES, ahead], state)}
    assert work[SERIES] == between(late, CUTOFF)
    assert work[features] == between(late - timedelta(weeks=4), CUTOFF)


def test_late_events_rebuild_their_weeks_and_all_later_ones_where_windows_look_back():
    late = (date(2017, 1, 16), date(2017, 1, 23))
    state = settled(tokens={EVENTS: "5", LINES: "2", SERIES: "7", MODEL: "1"}, changed_weeks={(EVENTS, "4"): late})
    work = {item.key: item.weeks for item in plan(NODES, state)}
    assert work == {LINES: late, SERIES: between(late[0], CUTOFF), MODEL: None}


def test_a_change_of_unknown_weeks_rebuilds_all_of_them():
    state = settled(tokens={EVENTS: "5", LINES: "2", SERIES: "7", MODEL: "1"}, changed_weeks={(EVENTS, "4"): None})
    assert plan(NODES, state)[0].weeks == COVERED


def test_a_clock_that_moved_on_asks_for_the_missing_weeks_only():
    moved = [
        node if node.key != SERIES else Node(SERIES, (LINES,), "s1", between(FIRST, date(2017, 2, 20)), {LINES: 0})
        for node in NODES
    ]
    work = {item.key: item.weeks for item in plan(moved, settled())}
    assert work == {SERIES: (date(2017, 2, 20),), MODEL: None}


def test_runs_are_few_and_never_wait_for_a_later_one():
    work = plan(NODES, State({}, {}, {EVENTS: ["a.parquet"]}))
    runs = as_runs(work, NODES)
    assert [(run.keys, run.weeks) for run in runs] == [
        ([EVENTS, LINES], COVERED),
        ([SERIES, MODEL], CLOSED),
    ]


def test_a_table_without_a_step_is_never_planned():
    nodes = [*NODES, Node(("bronze", "ingest_ledger"), (EVENTS,), "x", has_step=False)]
    assert plan(nodes, settled()) == []


def test_what_is_kept_is_made_once_and_again_for_its_own_reasons_only():
    """Newer inputs are no reason; what stands below is rebuilt for its other inputs."""
    study = ("models", "study")
    nodes = [*NODES[:3], Node(study, (SERIES,), "t1", is_kept=True), Node(MODEL, (SERIES, study), "m1")]
    state = settled(
        tokens={EVENTS: "5", LINES: "2", SERIES: "7", MODEL: "1", study: "3"},
        made_from={
            **settled().made_from,
            study: Provenance("t1", {"gold.series": "6"}),
            MODEL: Provenance("m1", {"gold.series": "7", "models.study": "3"}),
        },
    )
    assert [item.key for item in plan(nodes, state)] == [LINES, SERIES, MODEL]
    missing = replace(state, tokens={key: token for key, token in state.tokens.items() if key != study})
    assert [item.key for item in plan(nodes, missing)] == [LINES, SERIES, study, MODEL]
    recoded = [node if node.key != study else replace(node, code="t2") for node in nodes]
    assert [item.key for item in plan(recoded, state)] == [LINES, SERIES, study, MODEL]
    refused = replace(state, unpublished=frozenset({study}))
    assert [item.key for item in plan(nodes, refused)] == [LINES, SERIES, study, MODEL]
    # A study that was asked for by name moved on: the model follows.
    renewed = settled(
        tokens={**settled().tokens, study: "4"},
        made_from={**state.made_from, study: Provenance("t1", {"gold.series": "7"})},
    )
    assert [item.reason for item in plan(nodes, renewed)] == ["models.study changed"]


def test_a_version_that_no_check_has_seen_is_checked_before_anything_is_built_on_it():
    state = settled(unchecked=frozenset({EVENTS}))
    assert [(item.key, item.changes) for item in plan(NODES, state)] == [(EVENTS, False)]
    moved = settled(unchecked=frozenset({EVENTS}), tokens={EVENTS: "5", LINES: "2", SERIES: "7", MODEL: "1"})
    work = plan(NODES, moved)
    assert [item.key for item in work] == [EVENTS, LINES, SERIES, MODEL]
    assert next(run.keys[0] for run in as_runs(work, NODES)) == EVENTS


def test_a_published_version_whose_check_did_not_end_is_checked_or_made_with_its_check():
    state = settled(unchecked=frozenset({SERIES}))
    assert [(item.key, item.changes) for item in plan(NODES, state)] == [(SERIES, False)]
    moved = replace(state, tokens={**state.tokens, LINES: "3"})
    assert [(item.key, item.changes) for item in plan(NODES, moved)] == [(SERIES, True), (MODEL, True)]
    kept = [replace(node, is_kept=node.key == SERIES) for node in NODES]
    assert [(item.key, item.changes) for item in plan(kept, moved)] == [(SERIES, False)]


def test_what_uses_a_broken_column_waits_and_the_rest_goes_on():
    other = Node(("silver", "stores"), (EVENTS,), "o1")
    state = settled(
        tokens={EVENTS: "5", LINES: "2", SERIES: "7", MODEL: "1", other.key: "1"},
        made_from={**settled().made_from, other.key: Provenance("o1", {"bronze.events": "4"})},
    )
    nodes = [*NODES, other]
    assert {item.key for item in plan(nodes, state)} == {LINES, SERIES, MODEL, other.key}
    assert [item.key for item in plan(nodes, state, stopped={LINES})] == [other.key]


def test_a_weekly_version_that_did_not_pass_is_no_reason_for_other_weeks():
    """The run that makes the late weeks takes it back first; a table without weeks is made anew."""
    late = (date(2017, 1, 16), date(2017, 1, 30))
    tokens = {EVENTS: "5", LINES: "2", SERIES: "7", MODEL: "1"}
    state = settled(tokens=tokens, changed_weeks={(EVENTS, "4"): late}, unpublished=frozenset({LINES, MODEL}))
    work = {item.key: item for item in plan(NODES, state)}
    assert work[LINES].weeks == late
    assert "did not pass" in work[MODEL].reason


def test_late_weeks_with_a_gap_leave_the_gap_alone():
    late = (date(2017, 1, 9), date(2017, 1, 30))
    state = settled(tokens={EVENTS: "5", LINES: "2", SERIES: "7", MODEL: "1"}, changed_weeks={(EVENTS, "4"): late})
    work = plan(NODES, state)
    assert (work[0].key, work[0].weeks) == (LINES, late)
    assert [(run.keys, run.weeks) for run in as_runs(work, NODES)] == [
        ([LINES], late[:1]),
        ([LINES], late[1:]),
        ([SERIES, MODEL], between(late[0], CUTOFF)),
    ]


def test_weeks_that_a_run_left_behind_are_due_whatever_changed_since():
    behind = (date(2017, 1, 9), date(2017, 2, 6))
    made_from = Provenance("l1", {"bronze.events": "4"}, LAST.isoformat(), behind=as_texts(behind))
    work = plan(NODES, settled(made_from={**settled().made_from, LINES: made_from}))
    assert work[0].weeks == behind
    assert "2017-01-09, 2017-02-06 were left as they were" in work[0].reason


def test_a_table_is_behind_for_what_is_planned_above_and_for_what_changed_before():
    """Silver was made for week 2 and gold was not; now week 4 is late: gold needs both."""
    week_2, week_4 = date(2017, 1, 9), date(2017, 1, 23)
    plans = ("gold", "plans")
    nodes = [*NODES[:2], Node(plans, (LINES,), "p1", wanted=COVERED)]
    state = settled(
        made_from={**settled().made_from, plans: Provenance("p1", {"silver.lines": "1"}, LAST.isoformat())},
        tokens={EVENTS: "5", LINES: "2", plans: "1"},
        changed_weeks={(EVENTS, "4"): (week_4,), (LINES, "1"): (week_2,)},
    )
    assert {item.key: item.weeks for item in plan(nodes, state)} == {LINES: (week_4,), plans: (week_2, week_4)}


def test_a_table_that_only_gains_rows_touches_no_week_by_itself():
    keys, households = ("bronze", "keys"), ("silver", "households")
    late = (date(2017, 1, 16),)
    nodes = [
        NODES[0],
        Node(keys, (EVENTS,), "k1", only_gains=True),
        Node(LINES, (EVENTS, keys), "l1", wanted=COVERED),
        Node(households, (keys,), "h1"),
    ]
    state = settled(
        made_from={
            keys: Provenance("k1", {"bronze.events": "4"}),
            LINES: Provenance("l1", {"bronze.events": "4", "bronze.keys": "1"}, LAST.isoformat()),
            households: Provenance("h1", {"bronze.keys": "1"}),
        },
        tokens={EVENTS: "5", keys: "1", LINES: "2", households: "1"},
        changed_weeks={(EVENTS, "4"): late},
    )
    assert {item.key: item.weeks for item in plan(nodes, state)} == {keys: None, LINES: late, households: None}
    assert reached(nodes, {EVENTS: late}) == {keys: None, LINES: late, households: None}
    # Made by other code its rows are other rows.
    recoded = [node if node.key != keys else replace(node, code="k2") for node in nodes]
    assert {item.key: item.weeks for item in plan(recoded, state)}[LINES] == COVERED


def test_what_has_no_weeks_waits_for_all_spans_that_it_is_made_from():
    late = (date(2017, 1, 9), date(2017, 1, 30))
    stores, forecasts = ("silver", "stores"), ("forecasts", "forecasts")
    nodes = [*NODES[:1], Node(stores, (EVENTS,), "s"), NODES[1], Node(MODEL, (LINES,), "m1")]
    nodes.append(Node(forecasts, (MODEL,), "f1", wanted=COVERED))
    weeks = {LINES: late, forecasts: late}
    work = [Work(node.key, "asked for", weeks.get(node.key)) for node in nodes[1:]]
    assert [(run.keys, run.weeks) for run in as_runs(work, nodes)] == [
        ([stores, LINES], late[:1]),
        ([LINES], late[1:]),
        ([MODEL, forecasts], late[:1]),
        ([forecasts], late[1:]),
    ]


def test_a_cut_ends_a_span():
    weeks = between(FIRST, date(2017, 1, 30))
    runs = as_runs([Work(LINES, "asked for", weeks)], NODES, cuts={date(2017, 1, 16), date(2017, 1, 23)})
    assert [run.weeks for run in runs] == [weeks[:2], weeks[2:3], weeks[3:]]


@st.composite
def work_of_a_graph(draw: st.DrawFn) -> tuple[list[Node], list[Work]]:
    """Up to seven tables, some by week, each made from any above it; some of them are to be made, for any weeks."""
    nodes: list[Node] = []
    work: list[Work] = []
    for number in range(draw(st.integers(1, 7))):
        deps = tuple(node.key for node in nodes if draw(st.booleans()))
        is_weekly = draw(st.booleans())
        nodes.append(Node(("gold", f"t{number}"), deps, "c", wanted=COVERED if is_weekly else None))
        weeks = in_order(draw(st.lists(st.sampled_from(COVERED), min_size=1))) if is_weekly else None
        if draw(st.booleans()):
            work.append(Work(nodes[-1].key, "late", weeks))
    return nodes, work


@given(work_of_a_graph(), st.sets(st.sampled_from(COVERED)))
def test_runs_make_every_week_once_and_nothing_before_what_it_is_made_from(
    drawn: tuple[list[Node], list[Work]], cuts: set[date]
):
    nodes, work = drawn
    runs = as_runs(work, nodes, cuts)
    weekly = {node.key for node in nodes if node.wanted is not None}
    made = [
        (key, week, index)
        for index, run in enumerate(runs)
        for key in run.keys
        for week in (run.weeks or () if key in weekly else (None,))
    ]
    asked = Counter((item.key, week) for item in work for week in item.weeks or (None,))
    assert Counter((key, week) for key, week, _ in made) == asked
    assert all(run.weeks is None or run.weeks == between(run.weeks[0], run.weeks[-1]) for run in runs)
    assert all(week not in cuts for run in runs for week in (run.weeks or ())[1:])
    deps = {node.key: node.deps for node in nodes}
    for key, week, index in made:
        for above, other, earlier in made:
            if above in deps[key] and (week is None or other is None or other <= week):
                assert earlier <= index
