"""Where a lake is killed, and what the log of its commits proves."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.crash import AT_EACH_GAP, FOLLOWED, GOLD, KILLS, chosen, gap_of, killed_in, require_equal, waits_of

TABLES = [*(f"t{number}" for number in range(8)), FOLLOWED, FOLLOWED]
CALM = [
    *(f"append {name} for {table}" for table in TABLES for name in ("quarantine", table, "ingest_ledger")),
    *(f"{act} gold.t{number}" for number in range(12) for act in ("write", "publish")),
    "bundle", "register",
]  # fmt: skip


def test_every_kind_of_gap_is_killed_in_and_every_part_dies():
    points = chosen(CALM, Path("server.json"), Path("broker.pid"), 1)
    found: dict[str, int] = {}
    for commit, _ in points:
        found[gap_of(commit)] = found.get(gap_of(commit), 0) + 1
    assert len(points) == KILLS
    assert set(found) == {
        "append quarantine", "append accepted", "append ingest_ledger", "write", "publish", "bundle", "register",
    }  # fmt: skip
    assert min(found.values()) >= AT_EACH_GAP
    assert {victim for _, victim in points} == {None, "server.json", "broker.pid"}
    assert all(commit.endswith(FOLLOWED) == (victim == "broker.pid") for commit, victim in points)
    assert points == chosen(CALM, Path("server.json"), Path("broker.pid"), 1)


def test_where_one_commit_is_all_of_its_kind_the_worker_dies_before_the_others_do():
    only = f"append quarantine for {FOLLOWED}"
    calm = [commit for commit in CALM if not commit.startswith("append quarantine") or commit == only]
    points = chosen(calm, Path("server.json"), Path("broker.pid"), 1)
    assert [victim for commit, victim in points if commit == only] == [None, None, "broker.pid"]
    assert [victim for commit, victim in points if commit == "bundle"][:2] == [None, None]


def test_the_log_says_in_which_gap_a_kill_fell_and_how_long_nothing_was_committed():
    lines = [
        (1.0, "append quarantine for t1"), (1.5, "killed 0"), (9.5, "append quarantine for t1"),
        (10.0, "append t1 for t1"),
        (10.1, "killed 1"), (12.0, "write gold.t1"),
    ]  # fmt: skip
    assert killed_in(lines) == {"append accepted": 1, "append quarantine": 1}
    assert waits_of(lines) == pytest.approx([8.0, 1.9])
    assert waits_of(lines, GOLD) == pytest.approx([1.9])


def test_a_table_that_differs_or_is_missing_is_named():
    require_equal({"a": 1}, {"a": 1})
    with pytest.raises(AssertionError, match=r"these tables differ: b, c$"):
        require_equal({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3})
