"""What is left of work after a failure: what waits, what goes on, and what a backfill still owes."""

from __future__ import annotations

from datetime import date

from assets.automation.plan import Node, Run, Work
from assets.automation.rest import (
    is_by_week,
    joined,
    lost_with,
    missing_of,
    reasons_of,
    rest_of,
    waiting_for,
)
from assets.automation.runs import Failed
from resources.spans import between
from resources.verdicts import Fault, together

FIRST, LAST = date(2017, 1, 2), date(2017, 2, 27)
COVERED = between(FIRST, LAST)
STORES, LINES, PLANS = ("silver", "stores"), ("silver", "lines"), ("gold", "plans")
SERIES, EVENTS = ("gold", "series"), ("gold", "events")
NODES = [
    Node(STORES, (), "s1"),
    Node(LINES, (STORES,), "l1", wanted=COVERED),
    Node(PLANS, (LINES,), "p1", wanted=COVERED),
    Node(SERIES, (LINES,), "s1", wanted=COVERED, read_through={LINES: 0}),
    Node(EVENTS, (PLANS,), "e1"),
]
WORK = [Work(node.key, "late", COVERED if node.wanted else None) for node in NODES]
BAD = (COVERED[3], COVERED[5])
FAULT = Fault(("rule",), frozenset({"units"}), BAD)


def test_only_what_is_made_from_refused_weeks_waits():
    users = {PLANS, SERIES, EVENTS}
    waiting = waiting_for(NODES, {LINES: FAULT}, users)
    assert waiting == {LINES: BAD, PLANS: BAD, SERIES: COVERED[3:], EVENTS: None}
    rest = rest_of(WORK, {STORES: {None}, LINES: {*COVERED} - {*BAD}}, waiting)
    assert {item.key: item.weeks for item in rest} == {
        PLANS: tuple(week for week in COVERED if week not in BAD),
        SERIES: COVERED[:3],
    }


def test_what_uses_none_of_the_broken_columns_goes_on_for_all_weeks():
    waiting = waiting_for(NODES, {LINES: FAULT}, {SERIES})
    rest = rest_of(WORK, {}, waiting)
    assert {item.key: item.weeks for item in rest}[PLANS] == COVERED
    assert [item.key for item in rest][-1] == EVENTS


def test_a_table_of_which_nothing_was_published_stops_its_users_whole():
    waiting = waiting_for(NODES, {LINES: Fault(("rule",), frozenset({"units"}))}, {PLANS, SERIES, EVENTS})
    assert [item.key for item in rest_of(WORK, {STORES: {None}}, waiting)] == []
    half, whole = FAULT, Fault(("other",), frozenset({"price"}))
    assert together(half, whole) == Fault(("rule", "other"), frozenset({"units", "price"}))
    assert together(half, half) == half


def test_a_week_whose_step_failed_takes_with_it_what_is_made_from_it():
    run = Run([LINES, PLANS], (COVERED[3],))
    lost = lost_with(NODES, run, {})
    assert lost == {LINES: run.weeks, PLANS: run.weeks, SERIES: COVERED[3:], EVENTS: None}
    assert lost_with(NODES, run, {LINES: {COVERED[3]}}) == {PLANS: run.weeks, EVENTS: None}
    assert joined(lost, {LINES: (COVERED[4],), STORES: None})[LINES] == COVERED[3:5]
    assert joined({LINES: None}, lost)[LINES] is None


def test_a_run_is_halved_only_where_another_week_may_succeed():
    assert is_by_week(Run([LINES, SERIES], COVERED), NODES, {})
    assert not is_by_week(Run([STORES, LINES], COVERED), NODES, {})
    assert is_by_week(Run([STORES, LINES], COVERED), NODES, {STORES: {None}})
    assert not is_by_week(Run([STORES]), NODES, {})


def test_what_a_backfill_owes_and_why():
    asked = {STORES: None, LINES: COVERED, SERIES: COVERED, EVENTS: None}
    done = {STORES: {None}, LINES: {*COVERED} - {*BAD}, SERIES: {*COVERED[:3]}}
    missing = missing_of(asked, done)
    assert missing == {LINES: BAD, SERIES: COVERED[3:], EVENTS: None}
    failures = [
        Failed("silver_weekly_facts", "the server died", weeks=COVERED),
        Failed("silver.lines", "rule r failed on 2 rows", weeks=BAD[:1]),
        Failed("gold.events", "no plans"),
    ]
    assert reasons_of(missing, failures) == {
        (LINES, "rule r failed on 2 rows"): BAD[:1],
        (LINES, "the server died"): BAD[1:],
        (EVENTS, "no plans"): (),
    }
    assert missing_of(asked, {**done, LINES: {*COVERED}, SERIES: {*COVERED}, EVENTS: {None}}) == {}
