"""The as-of join against a loop on both times and against DuckDB and polars on one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.asof import as_of_join
from ml.frame_checks import BadFrame
from tests.conftest import tries

ZERO = datetime(2017, 1, 2, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
HOURS = st.integers(0, 12)
ENTITY = st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 1))
HISTORY = st.lists(st.tuples(ENTITY, HOURS, HOURS), max_size=30)
QUESTIONS = st.lists(st.tuples(ENTITY, HOURS), max_size=15)


def at(hours: int) -> datetime:
    return ZERO + timedelta(hours=hours)


def history_of(rows: list) -> pl.DataFrame:
    data = [(store, group, at(event), at(known)) for (store, group), event, known in rows]
    schema = {"store_id": pl.String, "group": pl.Int64, "event_at": TIME, "known_at": TIME}
    frame = pl.DataFrame(data, schema=schema, orient="row").sort("store_id", "group", "event_at", maintain_order=True)
    return frame.with_columns(value=pl.int_range(pl.len(), dtype=pl.Int64))


def questions_of(rows: list) -> pl.DataFrame:
    data = [(store, group, at(asked)) for (store, group), asked in rows]
    return pl.DataFrame(data, schema={"store_id": pl.String, "group": pl.Int64, "asked_at": TIME}, orient="row")


def loop(questions: pl.DataFrame, history: pl.DataFrame, *, both: bool) -> list[int | None]:
    answers: list[int | None] = []
    for question in questions.iter_rows(named=True):
        counted = [
            row
            for row in history.iter_rows(named=True)
            if (row["store_id"], row["group"]) == (question["store_id"], question["group"])
            and row["event_at"] <= question["asked_at"]
            and (not both or row["known_at"] <= question["asked_at"])
        ]
        answers.append(max(counted, key=lambda row: (row["event_at"], row["value"]))["value"] if counted else None)
    return answers


@settings(deadline=None)
@given(HISTORY, QUESTIONS)
def test_equals_a_loop_on_both_times(rows: list, asked: list) -> None:
    history, questions = history_of(rows), questions_of(asked)
    found = as_of_join(questions, history, ["store_id", "group"], asked_at="asked_at")
    assert found.select(questions.columns).equals(questions)
    assert found["value"].to_list() == loop(questions, history, both=True)


@settings(deadline=None, max_examples=tries(25, 400))
@given(HISTORY, QUESTIONS)
def test_equals_duckdb_on_one_time(rows: list, asked: list) -> None:
    history = history_of(rows).unique(["store_id", "group", "event_at"], keep="last", maintain_order=True)
    questions = questions_of(asked).with_row_index("n")
    found = as_of_join(questions, history.drop("known_at"), ["store_id", "group"], asked_at="asked_at", known_at=None)
    expected = duckdb.sql(
        "SELECT n, value FROM questions q ASOF LEFT JOIN history h "
        "ON q.store_id = h.store_id AND q.group = h.group AND q.asked_at >= h.event_at ORDER BY n"
    ).pl()
    assert found["value"].to_list() == expected["value"].to_list()


def test_a_late_arrival_does_not_hide_what_happened_after_it() -> None:
    """The row of hour 1 becomes known at 9, that of hour 2 at 3: asked at 10, the newest event is hour 2."""
    history = history_of([(("a", 0), 1, 9), (("a", 0), 2, 3)])
    questions = questions_of([(("a", 0), 2), (("a", 0), 4), (("a", 0), 10)])
    found = as_of_join(questions, history, ["store_id", "group"], asked_at="asked_at")
    assert found["value"].to_list() == [None, 1, 1]


def test_later_rows_change_no_answer() -> None:
    """Anything that happens or becomes known after a question leaves its answer as it was."""
    history = history_of([(("a", 0), hour, hour + 1) for hour in range(6)])
    later = history_of([(("a", 0), hour, hour + 1) for hour in range(6)] + [(("a", 0), 1, 7), (("a", 0), 8, 8)])
    questions = questions_of([(("a", 0), 5)])
    answers = [as_of_join(questions, rows, ["store_id", "group"], asked_at="asked_at") for rows in (history, later)]
    assert answers[0]["event_at"].to_list() == answers[1]["event_at"].to_list() == [at(4)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows.reverse(), "sorted"),
        (lambda rows: pl.concat([rows, rows.head(1)]), "lie apart"),
        (lambda rows: rows.drop("known_at"), "lacks"),
        (lambda rows: rows.with_columns(event_at=pl.col("event_at").dt.cast_time_unit("ms")), "cast"),
        (lambda rows: rows.with_columns(asked_at=pl.lit(1)), "both have"),
        (lambda rows: rows.with_columns(known_at=pl.lit(None, dtype=TIME)), "null"),
    ],
)
def test_history_that_cannot_be_joined_is_refused(change, sentence: str) -> None:
    history = history_of([(("a", 0), 1, 1), (("a", 0), 3, 3), (("b", 1), 2, 2)])
    with pytest.raises(BadFrame, match=sentence):
        as_of_join(questions_of([(("a", 0), 2)]), change(history), ["store_id", "group"], asked_at="asked_at")
