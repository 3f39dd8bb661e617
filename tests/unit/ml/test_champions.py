"""The champion history: one line of decisions, whatever is promoted and rolled back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.champions import (
    NoRollback,
    champion_at,
    changes,
    gate_row,
    require_linear,
    rollback_row,
    rollback_target,
    standing,
    withdrawn,
)
from ml.frame_checks import BadFrame
from ml.promotion import Decision

START, WEEK = datetime(2017, 1, 2, tzinfo=UTC), timedelta(days=7)
A, B, C = (letter * 64 for letter in "abc")
YES, NO = Decision(True, ("better",)), Decision(False, ("a tie",))
NOTHING = gate_row("demand", pl.DataFrame(schema={"ordinal": pl.Int64}), START, A, YES).clear()


def at(week: float) -> datetime:
    return START + week * WEEK


def judged(history: pl.DataFrame, week: float, version: str | None, decision: Decision = YES) -> pl.DataFrame:
    return pl.concat([history, gate_row("demand", history, at(week), version, decision)])


def rolled_back(history: pl.DataFrame, week: float, asked: str | None = None) -> pl.DataFrame:
    target = rollback_target(history, asked)
    return pl.concat([history, rollback_row("demand", history, at(week), target, "it erred", "ann", {"probe.rows": 9})])


@pytest.fixture
def three() -> pl.DataFrame:
    """a, kept, b, c: champions of four weeks."""
    return judged(judged(judged(judged(NOTHING, 0, A), 1, B, NO), 2, B), 3, C)


def test_the_champion_of_an_instant_is_that_of_the_last_decision_by_then(three: pl.DataFrame) -> None:
    assert [champion_at(three, at(week)) for week in (-1, 0, 1, 1.9, 2, 3, 9)] == [None, A, A, A, B, C, C]
    assert champion_at(three) == C
    assert champion_at(NOTHING) is None
    assert changes(three)["model_version"].to_list() == [A, B, C]


def test_a_gate_that_never_passed_anybody_has_no_champion() -> None:
    history = judged(judged(NOTHING, 0, A, NO), 1, None, NO)
    assert champion_at(history) is None
    require_linear(history)


def test_rollbacks_walk_back_and_a_named_one_goes_anywhere(three: pl.DataFrame) -> None:
    once = rolled_back(three, 3.5)
    assert champion_at(once) == B
    twice = rolled_back(once, 3.6)
    assert champion_at(twice) == A
    with pytest.raises(NoRollback, match="nothing to roll back to"):
        rollback_target(twice)
    again = rolled_back(twice, 3.7, "cc")
    assert champion_at(again) == C
    assert rollback_target(again) == A
    assert [champion_at(again, at(week)) for week in (3.55, 3.65, 3.75)] == [B, A, C]
    require_linear(again)


def test_a_target_that_is_none_is_refused(three: pl.DataFrame) -> None:
    with pytest.raises(NoRollback, match="champion already"):
        rollback_target(three, C)
    with pytest.raises(NoRollback, match="0 former champions"):
        rollback_target(three, "f")
    with pytest.raises(NoRollback, match="3 former champions"):
        rollback_target(three, "")
    with pytest.raises(NoRollback, match="nothing to roll back to"):
        rollback_target(judged(NOTHING, 0, A))
    for reason, by in (("", "ann"), ("it erred", " ")):
        with pytest.raises(NoRollback, match="needs a reason"):
            rollback_row("demand", three, at(4), B, reason, by, {})
    with pytest.raises(NoRollback, match="before the last decision"):
        rollback_row("demand", three, at(2), B, "it erred", "ann", {})


def test_what_was_rolled_back_is_withdrawn_until_a_person_puts_it_back(three: pl.DataFrame) -> None:
    once = rolled_back(three, 3.5)
    assert withdrawn(once) == {C}
    assert withdrawn(rolled_back(once, 3.6)) == {C, B}
    assert withdrawn(rolled_back(once, 3.6, C)) == {B}
    assert withdrawn(three) == set()


def test_the_newest_decision_alone_is_made_again(three: pl.DataFrame) -> None:
    again = standing(three, at(3))
    assert (again.before["model_version"].to_list(), again.is_settled) == ([A, A, B], False)
    assert standing(three, at(4)).before.equals(three)
    assert not standing(three, at(4)).is_settled
    # A rollback rests on the gate's decision of its instant, and on one of the days before it.
    for week in (3, 3.5):
        assert standing(rolled_back(three, week), at(3)).is_settled
    assert standing(three, at(2)).is_settled
    assert standing(three.filter(pl.col("ordinal") != 3), at(2)).is_settled
    assert not standing(rolled_back(three, 3.5), at(4)).is_settled


def test_a_gap_or_a_fork_is_no_history(three: pl.DataFrame) -> None:
    require_linear(three.sample(fraction=1, shuffle=True, seed=1))
    with pytest.raises(BadFrame):
        require_linear(three.filter(pl.col("ordinal") != 2))
    fork = pl.concat(
        [three, gate_row("demand", three.head(3), at(4), A, YES).with_columns(ordinal=pl.lit(5, pl.Int64))]
    )
    with pytest.raises(BadFrame):
        require_linear(fork)


@given(st.lists(st.tuples(st.sampled_from(["promote", "keep", "back", "to"]), st.sampled_from([A, B, C])), max_size=25))
def test_any_sequence_is_one_line_with_one_champion(steps: list[tuple[str, str]]) -> None:
    history, champion = NOTHING, None
    for week, (step, version) in enumerate(steps):
        try:
            if step in ("promote", "keep"):
                history = judged(history, week, version, YES if step == "promote" else NO)
                champion = version if step == "promote" else champion
            else:
                history = rolled_back(history, week, version if step == "to" else None)
                assert champion_at(history) != champion
                champion = champion_at(history)
        except NoRollback:
            pass
        assert champion_at(history) == champion
        require_linear(history)
