"""The log: what approving, reviewing and editing add, what stands, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from ml.action_assignments import ASSIGNMENT_SCHEMA, Decider, approve, edit, standing
from ml.actions import advise
from ml.actions_candidates import candidates
from ml.actions_limits import Refused
from tests.unit.ml.action_data import ISSUE, NOTHING_DECIDED, WEEKS, assumed, forecasts, lift, planned, sales

EMPTY = pl.DataFrame(schema=ASSIGNMENT_SCHEMA)
BY = Decider("A. Planner", datetime(2026, 1, 12, 5, tzinfo=UTC), begun=())
KEY = ["target_week_start_date", "store_id", "product_group"]


@pytest.fixture(scope="module")
def advice() -> pl.DataFrame:
    settings = assumed(hold_out_share=0.3)
    rows = candidates(forecasts(), planned(), lift(), sales(), settings)
    return advise(rows, settings, ISSUE, "lift-1", NOTHING_DECIDED).rows


@pytest.fixture(scope="module")
def log(advice: pl.DataFrame) -> pl.DataFrame:
    return approve(advice, None, EMPTY, BY)


def test_approving_logs_who_what_when_with_propensity_and_hold_out(advice: pl.DataFrame, log: pl.DataFrame) -> None:
    assert log.schema == pl.Schema(ASSIGNMENT_SCHEMA)
    assert log["entry_number"].to_list() == list(range(1, advice.height + 1))
    same = log.join(advice, on=[*KEY, "kind"], suffix="_advised")
    assert same.height == advice.height
    assert same["propensity"].equals(same["propensity_advised"], check_names=False)
    assert same["is_hold_out"].equals(same["cell_advised"] == "hold_out", check_names=False)
    assert same["is_hold_out"].any()
    assert log["is_randomised"].all()
    assert set(log["decided_by"]) == {"A. Planner"}
    assert set(log["decided_at"]) == {BY.at}
    assert set(log["decision"]) == {"approved"}


def test_approving_twice_is_refused(advice: pl.DataFrame, log: pl.DataFrame) -> None:
    with pytest.raises(Refused, match=rf"Decided before: .* and {advice.height - 3} more"):
        approve(advice, None, log, BY)


def test_a_decision_after_the_week_began_is_refused(advice: pl.DataFrame, log: pl.DataFrame) -> None:
    late = Decider("A. Planner", BY.at, begun=WEEKS)
    with pytest.raises(Refused, match="has begun: what is decided now would follow its own outcome"):
        approve(advice, None, EMPTY, late)
    with pytest.raises(Refused, match="has begun"):
        edit(log, log.select(KEY).row(0), "none", "delivery late", late)


def test_a_review_that_leaves_out_or_changes_rows_takes_their_stratum_from_the_comparison(advice: pl.DataFrame) -> None:
    rows = advice.select(*KEY, "kind").sort(KEY)
    changed = rows.row(0, named=True)
    other = "mailer" if changed["kind"] == "display" else "display"
    is_first = pl.all_horizontal(*(pl.col(name) == changed[name] for name in KEY))
    reviewed = rows.with_columns(kind=pl.when(is_first).then(pl.lit(other)).otherwise("kind"))
    log = approve(advice, reviewed, EMPTY, BY)
    first = log.filter(is_first).row(0, named=True)
    assert (first["decision"], first["kind"], first["cell"]) == ("edited", other, "treated")
    assert first["propensity"] is None
    in_stratum = (pl.col("product_group") == changed["product_group"]) & (pl.col("kind") == changed["kind"])
    assert not log.filter(in_stratum)["is_randomised"].any()
    assert log.filter(~in_stratum & ~is_first)["is_randomised"].all()
    dropped = approve(advice, rows.filter(~is_first), EMPTY, BY)
    assert dropped.height == advice.height - 1
    assert not dropped.filter(in_stratum)["is_randomised"].any()
    assert dropped.filter(~in_stratum)["is_randomised"].all()


def test_a_review_that_cannot_be_is_refused(advice: pl.DataFrame) -> None:
    rows = advice.select(*KEY, "kind")
    with pytest.raises(Refused, match="decides twice about"):
        approve(advice, pl.concat([rows, rows.head(1).with_columns(kind=pl.lit("none"))]), EMPTY, BY)
    stranger = rows.head(1).with_columns(store_id=pl.lit("S99"), product_group=pl.lit("BEER"))
    with pytest.raises(Refused, match="names what was not advised: BEER in store S99"):
        approve(advice, pl.concat([rows, stranger]), EMPTY, BY)
    with pytest.raises(Refused, match="no activity of the kind 'radio'"):
        approve(advice, rows.with_columns(kind=pl.lit("radio")), EMPTY, BY)
    with pytest.raises(Refused, match="nothing to approve"):
        approve(advice.clear(), None, EMPTY, BY)
    with pytest.raises(Refused, match="--by"):
        Decider(" ", BY.at, ())


def test_an_edit_is_a_new_entry_and_the_newest_stands(log: pl.DataFrame) -> None:
    cell = log.filter("is_hold_out").select(KEY).row(0)
    entry = edit(log, cell, "display", "the buyer wants it", BY)
    assert entry["entry_number"].to_list() == [log.height + 1]
    after = standing(pl.concat([log, entry]))
    assert after.height == log.height
    row = after.join(entry, on=KEY, how="semi").row(0, named=True)
    assert (row["decision"], row["kind"], row["is_hold_out"], row["is_randomised"]) == (
        "edited",
        "display",
        False,
        False,
    )
    assert row["propensity"] is None
    assert row["note"] == "the buyer wants it"
    again = edit(pl.concat([log, entry]), cell, "none", "and then not", BY)
    assert standing(pl.concat([log, entry, again])).join(entry, on=KEY, how="semi")["kind"][0] == "none"


def test_edits_that_cannot_be_are_refused(log: pl.DataFrame) -> None:
    row = log.filter(~pl.col("is_hold_out")).row(0, named=True)
    cell = (row["target_week_start_date"], row["store_id"], row["product_group"])
    with pytest.raises(Refused, match="already"):
        edit(log, cell, row["kind"], "why not", BY)
    with pytest.raises(Refused, match="Nothing was decided about"):
        edit(log, (cell[0], "S99", cell[2]), "none", "why not", BY)
    with pytest.raises(Refused, match="--note"):
        edit(log, cell, "none", " ", BY)
    with pytest.raises(Refused, match="radio"):
        edit(log, cell, "radio", "why not", BY)


def test_a_log_that_contradicts_itself_is_refused(log: pl.DataFrame) -> None:
    with pytest.raises(Refused, match="two entries of one number"):
        standing(pl.concat([log, log.head(1)]))
    twice = log.head(1).with_columns(entry_number=pl.lit(999, pl.Int64))
    with pytest.raises(Refused, match="conflicting approvals of"):
        standing(pl.concat([log, twice]))
