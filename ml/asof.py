"""Point-in-time joins: to each question the newest row that was known when it was asked.

Belongs here: the as-of join on one time or on both. Does not belong here: which features are joined.

Silver is sorted by entity and time, so the join is a binary search within the entity's rows, for all questions at once,
and a gather. Nothing is sorted or hashed but the entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.frame_checks import EXAMPLE_ROWS, BadFrame, require_columns

Index = NDArray[np.int64]
_FOUND = "_asof_found"
_BLOCK = 1 << 13


def as_of_join(
    questions: pl.DataFrame,
    history: pl.DataFrame,
    by: Sequence[str],
    *,
    asked_at: str,
    event_at: str = "event_at",
    known_at: str | None = "known_at",
) -> pl.DataFrame:
    """Each question with the newest row of its entity that had happened and was known.

    A row counts when event_at <= asked_at and known_at <= asked_at. Of those the one with the latest event_at is taken;
    of equal event times the last in the frame.

    Args:
        questions: `by` and asked_at; any order, duplicates allowed.
        history: `by`, event_at, known_at and values, sorted by `by` and then event_at, as silver is.
        by: columns of the entity.
        asked_at: time of a question, of the same type as event_at.
        event_at, known_at: the two times of a row; known_at None joins on one time.

    Returns:
        The questions in their order with the columns of history besides `by`; null where no row counts.

    Raises:
        BadFrame: columns are missing or clash, times are null or of another type, or history is not sorted.
    """
    times = [event_at] if known_at is None else [event_at, known_at]
    require_columns(questions, (*by, asked_at), "questions")
    require_columns(history, (*by, *times), "history")
    _require_comparable(questions, history, by, asked_at, times)
    starts, code_of = _entities(questions, history, by)
    happened = _instants(history, event_at)
    _require_sorted(happened, starts, history, by, event_at)
    visible, newest = happened, None
    if known_at is not None:
        visible, newest = _visible_from(np.maximum(happened, _instants(history, known_at)), starts)
    found = _last_not_after(visible, starts, code_of, _instants(questions, asked_at))
    if newest is not None and history.height:
        found = np.where(found >= 0, newest[found], -1)
    return pl.concat([questions, _rows_at(history.drop(by), found)], how="horizontal")


def _entities(questions: pl.DataFrame, history: pl.DataFrame, by: Sequence[str]) -> tuple[Index, Index]:
    """Where each entity's rows begin, shape (n_entities + 1,), and the entity of each question (-1: none)."""
    is_new = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in by)
    change = history.select(is_new.arg_true().cast(pl.Int64)).to_series().to_numpy()
    change = change if change.size and change[0] == 0 else np.append(np.zeros(min(1, history.height), np.int64), change)
    starts = np.append(change, history.height)
    distinct = history.select(by)[change].with_columns(_code=pl.int_range(pl.len(), dtype=pl.Int64))
    if distinct.select(by).is_duplicated().any():
        raise BadFrame(f"history must be sorted by {list(by)}: an entity's rows lie apart. Sort it first.")
    codes = questions.select(by).join(distinct, on=list(by), how="left", maintain_order="left")["_code"]
    return starts, codes.fill_null(-1).to_numpy()


def _last_not_after(times: Index, starts: Index, codes: Index, asked: Index) -> Index:
    """Position of the last row of an entity whose time is not after the question's; -1 when there is none.

    Binary search with steps of falling powers of two, all questions side by side.
    """
    found = np.full(codes.shape, -1, dtype=np.int64)
    if not times.size:
        return found
    # Steps of widest, widest / 2 ... 1 add up to at least the longest entity.
    widest = 1 << (int(np.diff(starts).max()).bit_length() - 1)

    def search(begin: int) -> None:
        block = slice(begin, begin + _BLOCK)
        code, asked_at = np.maximum(codes[block], 0), asked[block]
        first, stop = starts[code], np.where(codes[block] < 0, 0, starts[code + 1])
        reached, step = first.copy(), widest
        while step:
            tried = reached + step
            is_past = times.take(tried - 1, mode="clip") <= asked_at
            is_past &= tried <= stop
            reached += step * is_past
            step >>= 1
        found[block] = np.where(reached > first, reached - 1, -1)

    # A block's intermediate arrays stay in the cache of a core; numpy lets go of the interpreter within them.
    with ThreadPoolExecutor(pl.thread_pool_size()) as threads:
        list(threads.map(search, range(0, len(codes), _BLOCK)))
    return found


def _rows_at(values: pl.DataFrame, positions: Index) -> pl.DataFrame:
    """The rows at these positions, null at -1."""
    if not values.height:
        return values.clear(len(positions))
    # A gather by positions that may be null takes twice as long as one that may not.
    rows = values[np.maximum(positions, 0)]
    is_found = pl.Series(_FOUND, positions >= 0)
    return rows if is_found.all() else rows.select(pl.when(is_found).then(pl.all()))


def _visible_from(visible: Index, starts: Index) -> tuple[Index, Index | None]:
    """Instants from which rows count, ascending per entity, and the newest row at each of them (None: the same row).

    Rows mostly become known in the order of their events; then nothing moves. Otherwise each entity's rows are ordered
    by when they became visible, and a late arrival does not hide what had happened after it.
    """
    inner = np.ones(len(visible), dtype=bool)
    inner[starts[:-1]] = False
    if not (np.diff(visible, prepend=visible[:1])[inner] < 0).any():
        return visible, None
    entity = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    order = np.lexsort((np.arange(len(visible)), visible, entity))
    # Positions rise with event time within an entity, and entities follow each other: a running maximum never crosses.
    return visible[order], np.maximum.accumulate(order)


def _instants(frame: pl.DataFrame, column: str) -> Index:
    return frame[column].to_physical().cast(pl.Int64).to_numpy()


def _require_comparable(
    questions: pl.DataFrame, history: pl.DataFrame, by: Sequence[str], asked_at: str, times: Sequence[str]
) -> None:
    wrong = {name: str(history.schema[name]) for name in times if history.schema[name] != questions.schema[asked_at]}
    if wrong:
        raise BadFrame(f"{asked_at} is {questions.schema[asked_at]}, but history has {wrong}; cast one to the other.")
    clash = sorted((set(history.columns) - set(by)) & set(questions.columns))
    if clash:
        raise BadFrame(f"questions and history both have {clash}; rename them in one.")
    empty = [name for name in times if history[name].null_count()] + [asked_at] * bool(questions[asked_at].null_count())
    if empty:
        raise BadFrame(f"Times must not be null; {empty} are in places.")


def _require_sorted(happened: Index, starts: Index, history: pl.DataFrame, by: Sequence[str], event_at: str) -> None:
    falls = happened[1:] < happened[:-1]
    falls[starts[1:-1] - 1] = False
    inside = np.flatnonzero(falls) + 1
    if inside.size:
        example = history[inside[:EXAMPLE_ROWS].tolist()].select(*by, event_at).rows()
        raise BadFrame(f"history must be sorted by {[*by, event_at]}; {inside.size} rows fall back, as {example}.")
