"""What becomes of a delivery that came before: refused, booked, or killed on its way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from resources.delivery_plan import (
    LEDGER,
    QUARANTINE,
    Intent,
    Miscounted,
    Undo,
    commits_of,
    first_with,
    is_settled,
    require_same_count,
    undo_of,
)
from resources.receipts import Receipt

TAKEN = Receipt(
    source="s", table_name="pos_lines", batch_id="b", file_name="sales.csv", file_sha256="f", content_sha256="c",
    file_bytes=1, mapping_sha256="m", file_columns=[], file_column_types=[], outcome="ingested", reason=None,
    received=3, accepted=2, quarantined=1, duplicates=0, late=0, rows_written=2,
)  # fmt: skip
REFUSED = replace(TAKEN, outcome="refused", received=1, accepted=0, quarantined=1)
INTENT = Intent("s", "pos_lines", "b")


def test_a_refused_file_is_looked_at_again_when_its_mapping_has_changed():
    assert is_settled([TAKEN], "pos_lines", "sales.csv", "f", "another mapping")
    assert is_settled([REFUSED], "pos_lines", "sales.csv", "f", "m")
    assert not is_settled([REFUSED], "pos_lines", "sales.csv", "f", "another mapping")
    assert not is_settled([TAKEN], "pos_lines", "sales_2.csv", "f", "m")


def test_content_that_was_refused_is_no_first_delivery():
    assert first_with("c", [REFUSED]) is None
    assert first_with("c", [REFUSED, TAKEN]) == TAKEN


def test_the_ledger_comes_last_and_books_a_batch_once():
    assert commits_of(TAKEN, ()) == ("pos_lines", QUARANTINE, LEDGER)
    assert commits_of(replace(TAKEN, quarantined=0), ()) == ("pos_lines", LEDGER)
    assert commits_of(replace(TAKEN, outcome="duplicate", quarantined=0), ()) == (LEDGER,)
    assert commits_of(REFUSED, ()) == (QUARANTINE, LEDGER)
    assert commits_of(replace(TAKEN, outcome="replayed", accepted=0, quarantined=-1), ()) == (QUARANTINE, LEDGER)
    assert commits_of(TAKEN, {"b"}) == ()


def test_what_a_batch_commits_next_is_the_same_before_and_after_it_is_counted():
    blank = replace(TAKEN, received=0, accepted=0, quarantined=0, duplicates=0, rows_written=0)
    assert commits_of(blank, ())[0] == commits_of(TAKEN, ())[0] == "pos_lines"


def test_a_batch_is_booked_only_as_it_was_written():
    require_same_count(TAKEN, "pos_lines", 2)
    require_same_count(TAKEN, QUARANTINE, 1)
    for table, rows in (("pos_lines", 1), (QUARANTINE, 2)):
        with pytest.raises(Miscounted, match=f"bronze.{table} got {rows}. Nothing is booked"):
            require_same_count(TAKEN, table, rows)
    with pytest.raises(Miscounted, match="4 records received"):
        require_same_count(replace(TAKEN, received=4), "pos_lines", 2)


def test_only_what_was_not_booked_is_undone():
    assert undo_of(None, ()) is None
    assert undo_of(INTENT, {"b"}) is None
    assert undo_of(INTENT, {"a"}) == Undo("b", (QUARANTINE, "pos_lines"))


def test_what_was_booked_twice_is_undone_and_its_lines_go_last():
    assert undo_of(INTENT, ["b", "a", "b"]) == Undo("b", (QUARANTINE, "pos_lines", LEDGER))
