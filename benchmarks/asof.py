"""The as-of join of 1 M questions with 5 M rows of sorted silver, beside polars and DuckDB in one run.

Belongs here: synthetic data, the same question to three engines, equal answers before any time counts. Does not belong
here: the join (ml.asof).

All three take the same two frames in memory and return one: silver sorted by entity and time, questions in any order.
polars needs the questions sorted within each entity, which is part of its time; of the ways to give it silver, the
order of silver itself is its fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import duckdb
import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from benchmarks.program import Options, Stopwatch, progress, result
from ml.asof import as_of_join

QUESTIONS, ROWS, ENTITIES, VALUES = 1_000_000, 5_000_000, 50_000, 8
REPEATS = 5
SECONDS_OF_A_YEAR = 365 * 86_400
SEED = 20171204


def bench_asof(_options: Options) -> dict[str, Any]:
    """Seconds of each engine (median of five, in turns) and the ratio of ours to the faster rival."""
    watch = Stopwatch()
    progress("making 5 M rows of silver and 1 M questions")
    questions, history = as_of_data()
    engines = _engines(questions, history)
    expected = engines["liftlake"]()
    for name, run in engines.items():
        assert_frame_equal(run().select(expected.columns).sort("question"), expected.sort("question"))
        progress(f"{name} gives the same {expected.height:,} rows")
    seconds = in_turns(engines, REPEATS)
    rivals = {name: value for name, value in seconds.items() if name != "liftlake"}
    return result(
        "asof",
        {
            "questions": QUESTIONS,
            "rows": ROWS,
            "entities": ENTITIES,
            "values": VALUES,
            "polars_threads": pl.thread_pool_size(),
        },
        {"seconds_liftlake": seconds["liftlake"], "ratio_to_faster_rival": seconds["liftlake"] / min(rivals.values())},
        watch.seconds(),
        rivals={name: {"seconds": value, "ratio": seconds["liftlake"] / value} for name, value in rivals.items()},
    )


def as_of_data(
    n_questions: int = QUESTIONS, n_rows: int = ROWS, n_entities: int = ENTITIES
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Questions in random order and silver sorted by entity_id and event_at; no two rows of an entity at one time."""
    random = np.random.default_rng(SEED)
    span = SECONDS_OF_A_YEAR
    place = np.unique(random.integers(0, n_entities * span, size=n_rows + n_rows // 50))
    place = np.sort(random.choice(place, size=n_rows, replace=False))
    values = {f"value_{number}": random.random(n_rows) for number in range(VALUES)}
    when = pl.Datetime("us", "UTC")
    history = pl.DataFrame({"entity_id": place // span, "event_at": (place % span) * 1_000_000, **values})
    questions = pl.DataFrame({
        "question": np.arange(n_questions),
        "entity_id": random.integers(0, n_entities, size=n_questions),
        "asked_at": random.integers(0, span, size=n_questions) * 1_000_000,
    })  # fmt: skip
    return (
        questions.with_columns(pl.col("asked_at").cast(when)),
        history.with_columns(pl.col("event_at").cast(when)),
    )


def in_turns(engines: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each, run in turns so that all meet the same machine."""
    laps: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(repeats):
        names = list(engines) if turn % 2 else list(engines)[::-1]
        for name in names:
            watch = Stopwatch()
            engines[name]()
            laps[name].append(watch.seconds())
    return {name: median(values) for name, values in laps.items()}


def _engines(questions: pl.DataFrame, history: pl.DataFrame) -> dict[str, Callable[[], pl.DataFrame]]:
    connection = duckdb.connect()
    connection.register("questions", questions.to_arrow())
    connection.register("history", history.to_arrow())
    columns = ", ".join(
        ["q.question", "q.entity_id", "q.asked_at", "h.event_at", *(f"h.value_{n}" for n in range(VALUES))]
    )
    query = (
        f"SELECT {columns} FROM questions q ASOF LEFT JOIN history h "
        "ON q.entity_id = h.entity_id AND q.asked_at >= h.event_at"
    )
    utc = [pl.col(name).cast(pl.Datetime("us", "UTC")) for name in ("asked_at", "event_at")]

    def with_duckdb() -> pl.DataFrame:
        return pl.DataFrame(connection.sql(query).to_arrow_table()).with_columns(utc)

    def with_polars() -> pl.DataFrame:
        asked = questions.sort("entity_id", "asked_at")
        return asked.join_asof(
            history, left_on="asked_at", right_on="event_at", by="entity_id", coalesce=False, check_sortedness=False
        )

    def with_liftlake() -> pl.DataFrame:
        return as_of_join(questions, history, ["entity_id"], asked_at="asked_at", known_at=None)

    return {"liftlake": with_liftlake, "polars": with_polars, "duckdb": with_duckdb}
