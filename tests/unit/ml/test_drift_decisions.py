"""What follows from drift: four causes, four responses, and no storm of requests."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.drift_decisions import Cause, DriftDecision, Policy, Response, Window, decide

FIRST, POLICY = date(2017, 1, 2), Policy()


def week(number: int) -> date:
    return FIRST + timedelta(weeks=number)


def windows(*marks: str) -> list[Window]:
    """A window per mark: . nothing, d a drifted input, o another, e more error, f broken data, b d and f."""
    return [
        Window(
            week(number),
            faults=("price is missing",) if mark in "fb" else (),
            drifted=("price",) if mark in "db" else ("share",) if mark == "o" else (),
            error_p=0.001 if mark == "e" else 0.5,
        )
        for number, mark in enumerate(marks)
    ]


CASES = {
    ".....": (Cause.NONE, Response.NOTHING),
    "....d": (Cause.BLIP, Response.NOTHING),
    "....e": (Cause.BLIP, Response.NOTHING),
    "dd...": (Cause.NONE, Response.NOTHING),
    "..d.d": (Cause.COVARIATE, Response.RETRAIN),
    "o.o.d": (Cause.BLIP, Response.NOTHING),
    "d.o.o": (Cause.COVARIATE, Response.RETRAIN),
    "e...e": (Cause.CONCEPT, Response.RETRAIN),
    "d...e": (Cause.BLIP, Response.NOTHING),
    "dde.e": (Cause.CONCEPT, Response.RETRAIN),
    "dd..f": (Cause.DATA_FAULT, Response.INCIDENT),
    "....b": (Cause.DATA_FAULT, Response.INCIDENT),
    "..b.d": (Cause.BLIP, Response.NOTHING),
    "d....d": (Cause.BLIP, Response.NOTHING),
}


@pytest.mark.parametrize("marks", CASES)
def test_cause_and_response(marks: str) -> None:
    found = decide(windows(*marks), (), POLICY)
    assert (found.cause, found.response) == CASES[marks]
    assert all(found.reasons)


def test_the_evidence_names_columns_and_chances() -> None:
    assert "Drifted: price." in decide(windows(*"..ddd"), (), POLICY).reasons
    assert any("0.001" in reason for reason in decide(windows(*"..eee"), (), POLICY).reasons)
    assert decide(windows(*"....f"), (), POLICY).reasons == ("price is missing",)


def test_after_a_request_comes_a_cool_down() -> None:
    drifted = windows(*"ddddd")
    asked = [(ago, decide(drifted, (week(4 - ago),), POLICY).response) for ago in (0, 1, 3, 4, 9)]
    # The decision of the window itself is being made again, and does not stand in its own way.
    assert asked == [
        (0, Response.RETRAIN), (1, Response.SUPPRESSED), (3, Response.SUPPRESSED), (4, Response.RETRAIN),
        (9, Response.RETRAIN),
    ]  # fmt: skip


def run_through(marks: str) -> list[DriftDecision]:
    """Every week decided in its turn, as a lake does it."""
    made: list[DriftDecision] = []
    seen = windows(*marks)
    for number in range(len(seen)):
        requests = [week(i) for i, decision in enumerate(made) if decision.response is Response.RETRAIN]
        made.append(decide(seen[: number + 1], requests, POLICY))
    return made


@given(st.text(alphabet=".defb", min_size=1, max_size=60))
def test_at_most_one_request_per_cool_down_and_never_on_broken_data(marks: str) -> None:
    made = run_through(marks)
    asked = [number for number, decision in enumerate(made) if decision.response is Response.RETRAIN]
    assert all(later - earlier >= POLICY.cool_down_weeks for earlier, later in zip(asked, asked[1:], strict=False))
    for mark, decision in zip(marks, made, strict=True):
        assert (decision.response is Response.INCIDENT) == (mark in "fb")
        assert mark != "." or decision.response is Response.NOTHING


def test_a_flapping_metric_asks_once_per_cool_down() -> None:
    made = run_through("d." * 26)
    assert sum(decision.response is Response.RETRAIN for decision in made) <= 52 // POLICY.cool_down_weeks
